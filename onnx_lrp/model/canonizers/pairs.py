"""Ops that are two others in one: an absolute sum, and additions or extremes at scattered places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ...ops.gathering import element_places, tuple_places
from ..graph import dims
from .expanding import Builder, expands
from .unrolling import filling


@expands("", "ReduceL1")
def absolute_sum(build: Builder) -> Sequence[ir.Value]:
    """Σ |x|."""
    given = dict(build.attributes)
    axes = build.inputs[1]
    if axes is None and given.get("axes") is not None and build.opset >= 13:
        axes = build.constant(np.array(given.pop("axes"), np.int64), "axes")
    size = build.node("Abs", [build.value(0)], "size")
    return [build.node("ReduceSum", [size] if axes is None else [size, axes], **given)]


@expands("", "ScatterElements", "ScatterND")
def scattered(build: Builder) -> Sequence[ir.Value] | None:
    """What is added to data is scattered into zeros and added; of extremes, all candidates of a place are compared."""
    reduction, data = build.attributes.get("reduction", "none"), build.value(0)
    if reduction == "add" and filling(data) is None:
        shape = build.node("Shape", [data], "shape")
        zeros = build.node("ConstantOfShape", [shape], "zeros", value=ir.Tensor(np.zeros(1, np.float32)))
        added = build.node(build.old.op_type, [zeros, *build.old.inputs[1:]], "scattered", **build.attributes)
        return [build.node("Add", [data, added])]
    if reduction in ("max", "min"):
        return [_extreme(build, f"Reduce{reduction.capitalize()}")]
    return None


def _extreme(build: Builder, op: str) -> ir.Value:
    """All that goes to a place side by side, filled up with the first of it; then the extreme of each row."""
    data, indices, shape = build.value(0), build.array(1), dims(build.value(0))
    if indices is None or shape is None or not all(isinstance(n, int) for n in shape):
        raise Unsupported("scatters extremes by indices or into a shape that is not known", "export it with constants")
    sizes = tuple(int(n) for n in shape if isinstance(n, int))
    if build.old.op_type == "ScatterND":
        rows, places, tail = tuple_places(indices, sizes)
    else:
        places, tail = element_places(indices, build.attributes.get("axis", 0), sizes), ()
        rows = int(np.prod(sizes))
    candidates: list[list[int]] = [[row] for row in range(rows)]
    for update, place in enumerate(places.reshape(-1)):
        candidates[place].append(rows + update)
    most = max(map(len, candidates))
    table = np.array([row + row[:1] * (most - len(row)) for row in candidates])
    parts = [
        build.node("Reshape", [value, build.constant(np.array([-1, *tail]), f"{part}/shape")], part)
        for value, part in ((data, "data"), (build.value(2), "updates"))
    ]
    both = build.node("Concat", parts, "both", axis=0)
    found = build.node("Gather", [both, build.constant(table, "table")], "candidates", axis=0)
    axes = build.constant(np.array([1]), "axis")
    if build.opset >= 18:
        best = build.node(op, [found, axes], "best", keepdims=0)
    else:
        best = build.node(op, [found], "best", axes=[1], keepdims=0)
    return build.node("Reshape", [best, build.constant(np.array(sizes), "shape")])
