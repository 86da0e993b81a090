"""Steps that move or pick values: each in the form of the graph's opset."""

from __future__ import annotations

import math

import numpy as np

from .sketch import Sketch, need


def reshape(s: Sketch, x: str) -> str:
    """The same elements per sample in another shape, with 0, -1, or sizes computed from the shape."""
    shape = s.shapes[x]
    rest = list(s.shuffled(shape[1:]))
    if s.chance(30):
        rest.insert(s.whole(0, len(rest)), 1)
    if len(rest) > 1 and s.chance(30):
        rest = [math.prod(rest[:2]), *rest[2:]]
    wanted = [0, *rest]
    if s.chance(40):
        wanted[1:] = [0 if i < len(shape) and n == shape[i] else n for i, n in enumerate(wanted)][1:]
    if s.chance(60) and rest:
        wanted[s.whole(0, len(rest)) if s.chance(60) else -1] = -1
    if s.chance(25):
        return s.op("Reshape", x, measured(s, x, rest))
    return s.op("Reshape", x, s.constant(wanted))


def measured(s: Sketch, x: str, rest: list[int]) -> str:
    """[batch, *rest] as exporters compute it: Shape → Gather or Slice → Concat."""
    sizes = s.arithmetic("Shape", x, value=s.shapes[x])
    if s.opset >= 10 and s.chance():
        bounds = [s.constant([0]), s.constant([1])]
        first = s.arithmetic("Slice", sizes, *bounds, value=[s.samples])
    else:
        first = s.arithmetic("Gather", sizes, s.constant([0]), value=[s.samples], axis=0)
    return s.arithmetic("Concat", first, s.constant(rest), value=[s.samples, *rest], axis=0)


def flatten(s: Sketch, x: str) -> str:
    rank = s.rank(x)
    return s.op("Flatten", x, axis=s.pick([None, 1, 1 - rank] if s.opset >= 11 and rank > 1 else [None, 1]))


def transpose(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 3)
    return s.op("Transpose", x, perm=[0, *s.shuffled(range(1, s.rank(x)))])


def squeeze(s: Sketch, x: str) -> str:
    rank = s.rank(x)
    axes = [a for a, n in enumerate(s.shapes[x]) if a and n == 1 and s.chance(70)]
    need(bool(axes))
    return _with_axes(s, "Squeeze", x, axes, rank)


def unsqueeze(s: Sketch, x: str) -> str:
    rank = s.rank(x) + (count := s.whole(1, 2))
    axes = sorted(s.shuffled(range(1, rank))[:count])
    need(rank <= 5)
    return _with_axes(s, "Unsqueeze", x, axes, rank)


def _with_axes(s: Sketch, kind: str, x: str, axes: list[int], rank: int) -> str:
    signed = [a - rank * (s.whole(0, 1) if s.opset >= 11 else 0) for a in axes]
    return s.op(kind, x, s.constant(signed)) if s.opset >= 13 else s.op(kind, x, axes=signed)


def unchanged(s: Sketch, x: str) -> str:
    kind = s.pick(["Identity", "Dropout", "Cast"] + ["CastLike"] * (s.opset >= 15))
    if kind == "CastLike":
        return s.op(kind, x, s.constant(np.ones(1)) if s.chance() else s.pick(s.made))
    if kind == "Dropout" and s.opset < 12:
        return s.op(kind, x, ratio=0.3)
    return s.op(kind, x, to=1 if kind == "Cast" else None)


def slice_(s: Sketch, x: str) -> str:
    rank = s.rank(x)
    axes = [a for a in range(1, rank) if s.chance()]
    need(bool(axes))
    old = s.opset < 10
    steps = [1 if old else s.pick([-2, -1, 1, 1, 2]) for _ in axes]
    starts, ends = zip(*(_stretch(s, s.shapes[x][a], step) for a, step in zip(axes, steps)))
    if old:
        return s.op("Slice", x, starts=starts, ends=ends, axes=axes)
    signed = [a - rank * s.whole(0, 1) for a in axes]
    last = [s.constant(steps)] if s.chance() or set(steps) != {1} else []
    return s.op("Slice", x, s.constant(starts), s.constant(ends), s.constant(signed), *last)


def _stretch(s: Sketch, n: int, step: int) -> tuple[int, int]:
    """A start and an end, counted from either side, or beyond."""
    i = s.whole(0, n - 1)
    if step < 0:
        j = s.whole(-1, i - 1)
        return s.pick([i, i - n] + [n + 2] * (i == n - 1)), s.pick([j, j - n] if j >= 0 else [-n - 1, -(2**31)])
    j = s.whole(i + 1, n)
    return s.pick([i, i - n] + [-n - 2] * (i == 0)), s.pick([j, j - n] if j < n else [n, n + 3, 2**31 - 1])


def split(s: Sketch, x: str) -> str:
    """All parts are read: back to back in another order, or added where they are equal."""
    rank = s.rank(x)
    need(rank >= 2)
    axis = s.whole(1, rank - 1)
    n = s.shapes[x][axis]
    need(n >= 2)
    first = s.whole(1, n - 1)
    even = n % 2 == 0 and s.chance()
    sizes, given = ([n // 2] * 2 if even else [first, n - first]), {"axis": axis - rank * s.whole(0, 1), "outputs": 2}
    if even and s.opset < 18 and s.chance():
        parts = s.op("Split", x, **given)
    elif s.opset >= 18 and s.chance() and -(-n // 2) < n:
        parts = s.op("Split", x, num_outputs=2, **given)
    elif s.opset >= 13:
        parts = s.op("Split", x, s.constant(sizes), **given)
    else:
        parts = s.op("Split", x, split=sizes, **given)
    if s.chance(30):
        return s.pick(parts)  # the other part may stay unread
    if len({s.shapes[p] for p in parts}) == 1 and s.chance():
        return s.op(s.pick(["Add", "Sub"]), *parts)
    return s.op("Concat", *parts[::-1], axis=axis)


def gather(s: Sketch, x: str) -> str:
    rank = s.rank(x)
    need(rank >= 2)
    axis = s.whole(1, rank - 1)
    n, shape = s.shapes[x][axis], s.pick([(), (1,), (3,), (2, 2)])
    low = -n if s.opset >= 11 else 0
    return s.op("Gather", x, s.constant(s.rng.integers(low, n, shape)), axis=axis - rank * s.whole(0, 1))


def pad(s: Sketch, x: str) -> str:
    mode = s.pick(["constant", "constant", "reflect", "edge"] + ["wrap"] * (s.opset >= 19))
    shape = s.shapes[x]
    low = [-1 if n > 2 and s.chance(30) else 0 for n in shape]
    high = [2 if mode in ("constant", "edge") else min(n - 1, 1) for n in shape]
    widths = [[s.whole(a, b) if i else 0 for i, (a, b) in enumerate(zip(low, high))] for _ in range(2)]
    given = None if mode == "constant" and s.chance() else mode
    if s.opset < 11:
        return s.op("Pad", x, pads=widths[0] + widths[1], mode=given)
    moved = any(node.op_type == "Transpose" for node in s.nodes)  # onnxruntime pulls it through, and forgets the axes
    if s.opset >= 18 and not moved and s.chance():
        axes = list(range(1, len(shape)))
        kept = [w[1:] for w in widths]
        return s.op("Pad", x, s.constant(kept[0] + kept[1]), "", s.constant(axes), mode=given)
    return s.op("Pad", x, s.constant(widths[0] + widths[1]), mode=given)


def expand(s: Sketch, x: str) -> str:
    shape = s.shapes[x]
    full = [s.pick([1, n] if n > 1 or i == 0 else [1, 3]) for i, n in enumerate(shape)]
    return s.op("Expand", x, s.constant([1, *full[1:]] if s.chance() else full[1:]))


def tile(s: Sketch, x: str) -> str:
    return s.op("Tile", x, s.constant([1, *s.wholes(s.rank(x) - 1, 1, 2)]))


def blocks(s: Sketch, x: str) -> str:
    need(s.rank(x) == 4)
    _, c, h, w = s.shapes[x]
    if c % 4 == 0 and s.chance(80):
        return s.op("DepthToSpace", x, blocksize=2, mode=s.pick([None, "CRD"]) if s.opset >= 11 else None)
    need(h % 2 == 0 and w % 2 == 0)
    return s.op("SpaceToDepth", x, blocksize=2)


COORDINATES = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]


def resize(s: Sketch, x: str) -> str:
    shape = s.shapes[x]
    need(3 <= len(shape) <= 5)
    smaller = [0.5] if s.opset >= 10 else []  # onnxruntime refuses less than 1 of Upsample
    scales = [1.0, 1.0, *(s.pick([*smaller, 1.0, 1.5, 2.0, 3.0]) for _ in shape[2:])]
    made = [int(n * f) for n, f in zip(shape, scales)]
    need(min(made) > 0 and all(n != m or f == 1 for n, m, f in zip(shape, made, scales)))
    if s.opset < 11:
        return s.op("Upsample" if s.opset < 10 else "Resize", x, s.constant(np.array(scales)), mode="nearest")
    given = {
        "coordinate_transformation_mode": s.pick([None, *COORDINATES]),
        "nearest_mode": s.pick([None, "round_prefer_ceil", "floor", "ceil"]),
    }
    roi = "" if s.opset >= 13 and s.chance() else s.constant(np.zeros(0))
    if s.chance(40) and s.opset >= 13:
        if s.opset >= 18 and s.chance():
            axes = list(range(2, len(shape)))
            return s.op("Resize", x, "", "", s.constant(made[2:]), axes=axes, mode="nearest", **given)
        return (
            s.op("Resize", x, "", "", s.constant([s.samples, *made[1:]]), mode="nearest", **given)
            if s.fixed
            else (s.op("Resize", x, "", s.constant(np.array(scales)), mode="nearest", **given))
        )
    return s.op("Resize", x, roi, s.constant(np.array(scales)), mode="nearest", **given)


MOVES = [
    reshape, reshape, flatten, transpose, squeeze, unsqueeze, unchanged, slice_, split, gather, pad, expand, tile,
    blocks, resize,
]  # fmt: skip
