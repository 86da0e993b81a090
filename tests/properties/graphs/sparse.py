"""Steps that select, scatter, sample, transform, or look up ids."""

from __future__ import annotations

import numpy as np

from .sketch import Sketch, need

IDS = ("OneHot", "Equal")  # whose steps have no gradient


def first_of(s: Sketch, names: list[str]) -> str:
    """The float among a node's outputs."""
    s.fresh.append(names[0])
    s.made.append(names[0])
    return names[0]


def largest(s: Sketch, x: str) -> str:
    rank = s.rank(x)
    need(rank >= 2)
    axis = s.whole(1, rank - 1)
    k = s.whole(1, s.shapes[x][axis])
    if s.opset < 10:
        return first_of(s, s.hidden("TopK", x, outputs=2, axis=axis, k=k))
    given = {"largest": s.pick([None, 0])} if s.opset >= 11 else {}
    return first_of(s, s.hidden("TopK", x, s.constant([k]), outputs=2, axis=axis - rank * s.whole(0, 1), **given))


def triangle(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 3 and s.opset >= 14)
    k = [s.constant(np.array(s.whole(-1, 1)))] if s.chance() else []
    return s.op("Trilu", x, *k, upper=s.pick([None, 0]))


def compress(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 2)
    axis = s.whole(1, s.rank(x) - 1)
    kept = s.rng.random(s.shapes[x][axis]) < 0.6
    kept[0] = True
    shape = tuple(int(kept.sum()) if i == axis else n for i, n in enumerate(s.shapes[x]))
    return s.shaped("Compress", x, s.constant(kept), shape=shape, axis=axis)


def running_sum(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 2 and s.opset >= 11)
    axis = s.constant(np.array(s.whole(1, s.rank(x) - 1)))
    return s.op("CumSum", x, axis, exclusive=s.pick([None, 1]), reverse=s.pick([None, 1]))


def gather_elements(s: Sketch, x: str) -> str:
    need(s.fixed and s.opset >= 11 and s.rank(x) >= 2)
    axis = s.whole(1, s.rank(x) - 1)
    shape = [n if i == 0 else s.whole(1, n) for i, n in enumerate(s.shapes[x])]
    n = s.shapes[x][axis]
    return s.op("GatherElements", x, s.constant(s.rng.integers(-n, n, shape)), axis=axis)


def scatter(s: Sketch, x: str) -> str:
    """x in other values' places, or they in its; or added there, or the extremes of both."""
    need(s.fixed and s.rank(x) >= 2)
    shape = s.shapes[x]
    axis, n = s.whole(1, len(shape) - 1), shape
    reductions = [None] + ["add", "add"] * (s.opset >= 16) + ["max", "min"] * (s.opset >= 18)
    reduction = s.pick(reductions)
    order = np.argsort(s.rng.random(shape), axis)
    indices = order if reduction is None else s.rng.integers(0, n[axis], shape)
    y = s.pick([z for z in s.made if s.shapes[z] == shape]) if s.chance(40) else s.constant(s.rng.random(shape))
    kept = np.take(indices, np.arange(s.whole(1, n[axis])), axis)
    part = [slice(0, m) for m in kept.shape]
    data, updates = (y, x) if kept.shape == shape and s.chance() else (x, s.constant(s.rng.random(shape)[tuple(part)]))
    kind = "ScatterElements" if s.opset >= 11 else "Scatter"
    return s.op(kind, data, s.constant(kept), updates, axis=axis, reduction=reduction)


def scatter_rows(s: Sketch, x: str) -> str:
    """As torch assigns to a slice: the axes behind the samples first, meanwhile."""
    need(s.rank(x) >= 2 and s.opset >= 11)
    order = [*range(1, s.rank(x)), 0]
    turned = s.hidden("Transpose", x, perm=order)
    n = s.shapes[turned][0]
    count = s.whole(1, n)
    add = s.opset >= 16 and s.chance()
    rows = s.rng.integers(0, n, count) if add else s.rng.permutation(n)[:count]
    updates = s.hidden("Gather", turned, s.constant(s.rng.integers(0, n, count)), axis=0)
    placed = s.hidden("ScatterND", turned, s.constant(rows[:, None]), updates, reduction="add" if add else None)
    last = s.rank(placed) - 1
    return s.op("Transpose", placed, perm=[last, *range(last)])


def grid(s: Sketch, x: str) -> str:
    need(s.fixed and s.rank(x) == 4 and s.opset >= 16)
    places = s.rng.uniform(-1.3, 1.3, (s.samples, *s.wholes(2, 1, 3), 2))
    modes = ["linear", "nearest", "cubic"] if s.opset >= 20 else ["bilinear", "nearest", "bicubic"]
    given = {"mode": s.pick(modes), "padding_mode": s.pick([None, "border", "reflection"])}
    return s.op("GridSample", x, s.constant(places), align_corners=s.pick([None, 1]), **given)


def boxes(s: Sketch, x: str) -> str:
    need(s.fixed and s.rank(x) == 4 and 16 <= s.opset < 22)  # for which onnxruntime has a kernel
    corners = s.rng.uniform(-1, 3, (s.samples, 2))
    boxes = np.concatenate([corners, corners + s.rng.uniform(0.3, 4, (s.samples, 2))], 1)
    own = s.constant(list(range(s.samples)))
    sizes = {"output_height": s.whole(1, 2), "output_width": s.whole(1, 3), "sampling_ratio": s.whole(0, 2)}
    return s.op("RoiAlign", x, s.constant(boxes), own, **sizes)


def fold(s: Sketch, x: str) -> str:
    need(s.rank(x) == 3 and s.shapes[x][1] % 4 == 0 and s.opset >= 18)
    image = [2, s.shapes[x][2] + 1]
    return s.op("Col2Im", x, s.constant(image), s.constant([2, 2]))


def spectrum(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 3 and s.opset >= 17 and s.shapes[x][-1] <= 2)
    inverse = s.pick([None, 1])
    onesided = None if inverse or s.shapes[x][-1] == 2 else s.pick([None, 1])
    given = {"inverse": inverse, "onesided": onesided}
    if s.opset >= 20:
        return s.op("DFT", x, "", s.constant(np.array(1)), **given)
    return s.op("DFT", x, axis=1, **given)


def frames(s: Sketch, x: str) -> str:
    need(s.rank(x) == 2 and s.shapes[x][1] >= 4 and s.opset >= 17)
    signal = s.hidden("Unsqueeze", x, s.constant([2]))
    window = s.constant(s.rng.uniform(0.3, 1, 3))
    step, n = s.constant(np.array(s.whole(1, 2))), s.constant(np.array(3))
    return s.op("STFT", signal, step, window, n, onesided=s.whole(0, 1))


def ids(s: Sketch, x: str) -> str:
    """Numbers cut to whole ones, which are looked up."""
    need(s.rank(x) >= 2 and s.opset >= 11)
    low = s.op("Clip", x, s.constant(0.0), s.constant(3.0))
    whole = s.hidden("Cast", low, to=7)
    whole = s.hidden("Add", whole, s.constant([1])) if s.chance() else whole
    kind = s.pick(["OneHot", "OneHot", "Equal"])
    if kind == "OneHot":
        found = s.hidden("OneHot", whole, s.constant(np.array(5)), s.constant(np.array([0.5, 2.0])))
        return s.op("Identity", found)
    same = s.hidden("Cast", s.hidden("Equal", whole, s.constant([2])), to=1)
    rows = s.op("Gather", s.weight(5, 2), whole, axis=0)
    return s.op("Mul", rows, s.constant(0.5)) if s.chance() else s.op("Identity", same)


def absolute(s: Sketch, x: str) -> str:
    if s.chance(30):
        return s.op("Pow", x, s.constant(1.0))
    return s.op("Abs", x)


SPARSE = [
    boxes, boxes, boxes, scatter, scatter, scatter_rows, scatter_rows, spectrum, spectrum, fold, fold, largest,
    triangle, compress, running_sum, gather_elements, grid, frames, ids, absolute,
]  # fmt: skip
