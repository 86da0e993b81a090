"""Rotary positions: pairs of numbers turned by an angle that depends on their place, which is a constant map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from .expanding import Builder, expands
from .fused import EXPORT_PLAINLY, MICROSOFT
from .split_heads import SplitHeads, length_of


@expands(MICROSOFT, "RotaryEmbedding", profile=True)
def rotary_embedding(build: Builder) -> Sequence[ir.Value | None]:
    """Pairs of numbers turned by an angle that depends on their place; a constant map."""
    given, (x, positions, cos, sin) = build.attributes, build.inputs[:4]
    rank = 0 if x is None or x.shape is None else len(x.shape)
    if x is None or cos is None or sin is None or rank not in (3, 4):
        raise Unsupported("a rotation of unknown rank", "declare the shape of the model's input")
    count = int(given.get("num_heads", 0))
    if rank == 3:
        size = cos.shape[-1] * 2 if cos.shape is not None and isinstance(cos.shape[-1], int) else 0
        width = x.shape[-1]  # type: ignore[index]
        count = count or (width // size if isinstance(width, int) and size else 1)
        x = SplitHeads(build, count, count, 1.0).apart(x, "heads", count)
    turned = rotated(build, x, cos, sin, positions, bool(given.get("interleaved")), "turned")
    if rank == 3:
        moved = build.node("Transpose", [turned], "moved", perm=[0, 2, 1, 3])
        turned = build.node("Reshape", [moved, build.constant(np.array([0, 0, -1]), "shape")], "joined")
    return [turned]


def rotated(
    build: Builder,
    x: ir.Value,
    cos: ir.Value,
    sin: ir.Value,
    positions: ir.Value | None,
    interleaved: bool,
    part: str,
) -> ir.Value:
    """x cos + turn(x) sin, of heads that are apart; of the first numbers of each, as many as there are angles."""
    half = cos.shape[-1] if cos.shape is not None else None
    if not isinstance(half, int):
        raise Unsupported("a rotation by tables of unknown width", EXPORT_PLAINLY)
    if positions is None:
        zero, one = build.constant(np.int64(0), f"{part}/from"), build.constant(np.int64(1), f"{part}/step")
        positions = build.node("Range", [zero, length_of(build, x, 2, part), one], f"{part}/places")
    axis = build.constant(np.array([-3]), f"{part}/axis")
    double = np.repeat(np.arange(half), 2) if interleaved else np.tile(np.arange(half), 2)
    angles = []
    for name, table in (("cos", cos), ("sin", sin)):
        wide = build.node(
            "Gather", [table, build.constant(double, f"{part}/{name}/both")], f"{part}/{name}/wide", axis=1
        )
        rows = build.node("Gather", [wide, positions], f"{part}/{name}/rows", axis=0)
        angles.append(build.node("Unsqueeze", [rows, axis], f"{part}/{name}"))
    ends = [build.constant(np.array([n]), f"{part}/{n}") for n in (0, 2 * half, np.iinfo(np.int64).max, 3)]
    first = build.node("Slice", [x, ends[0], ends[1], ends[3]], f"{part}/first")
    order = np.arange(2 * half).reshape(-1, 2)[:, ::-1].ravel() if interleaved else np.roll(np.arange(2 * half), half)
    signs = np.where(np.arange(2 * half) % 2 == 0 if interleaved else np.arange(2 * half) < half, -1.0, 1.0)
    swapped = build.node("Gather", [first, build.constant(order, f"{part}/order")], f"{part}/swapped", axis=3)
    signed = build.node("Mul", [swapped, build.constant(signs.astype(np.float32), f"{part}/signs")], f"{part}/signed")
    sides = [
        build.node("Mul", [a, b], f"{part}/{n}") for a, b, n in ((first, angles[0], "x"), (signed, angles[1], "y"))
    ]
    turned = build.node("Add", sides, f"{part}/sum")
    size = x.shape[-1] if x.shape is not None else None
    if size == 2 * half:
        return turned
    rest = build.node("Slice", [x, ends[1], ends[2], ends[3]], f"{part}/rest")
    return build.node("Concat", [turned, rest], f"{part}/whole", axis=3)
