"""Strategies of nodes that select, scatter, sample or transform, for the dot tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

Draw = Callable[..., Any]
Given = tuple[str, list[np.ndarray | None], dict[str, Any], dict[str, Any]]  # op, inputs, attributes, about the node


def rng(draw: Draw) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32)))


def numbers(draw: Draw, *shape: int) -> np.ndarray:
    return np.asarray(rng(draw).integers(-8, 9, shape) / 4.0)


def shaped(draw: Draw, low: int = 1, high: int = 4) -> np.ndarray:
    return numbers(draw, *(draw(st.integers(1, 4)) for _ in range(draw(st.integers(low, high)))))


def alike(draw: Draw, a: np.ndarray) -> np.ndarray:
    """Maybe with the first row in place of all, as a table that is one for all samples."""
    return np.ascontiguousarray(np.broadcast_to(a[:1], a.shape)) if draw(st.booleans()) else a


@st.composite
def several_winners(draw: Draw) -> Given:
    x = shaped(draw)
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    count = np.array([draw(st.integers(1, x.shape[axis]))])
    return "TopK", [x, count], {"axis": axis, "largest": draw(st.integers(0, 1))}, {"outputs": 2}


@st.composite
def triangles(draw: Draw) -> Given:
    x = shaped(draw, 2)
    k = [np.array(draw(st.integers(-3, 3)))] if draw(st.booleans()) else []
    return "Trilu", [x, *k], {"upper": draw(st.integers(0, 1))}, {}


@st.composite
def compressions(draw: Draw) -> Given:
    x = shaped(draw)
    axis = draw(st.sampled_from([None, *range(-x.ndim, x.ndim)]))
    n = x.size if axis is None else x.shape[axis]
    kept = np.array([draw(st.booleans()) for _ in range(n)] or [True])
    kept[draw(st.integers(0, n - 1))] = True
    return "Compress", [x, kept], {} if axis is None else {"axis": axis}, {}


@st.composite
def running_sums(draw: Draw) -> Given:
    x = shaped(draw)
    axis = np.array(draw(st.integers(-x.ndim, x.ndim - 1)))
    return "CumSum", [x, axis], {"exclusive": draw(st.integers(0, 1)), "reverse": draw(st.integers(0, 1))}, {}


@st.composite
def scatters(draw: Draw) -> Given:
    x, r = shaped(draw), rng(draw)
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    shape = [draw(st.integers(1, n)) for n in x.shape]
    add = draw(st.booleans())
    if not add:  # no place twice: runtimes differ on which one is last
        order = np.argsort(r.random([*shape[: axis % x.ndim], x.shape[axis], *shape[axis % x.ndim + 1 :]]), axis)
        indices = np.take(order, np.arange(shape[axis]), axis)
    else:
        indices = r.integers(-x.shape[axis], x.shape[axis], shape)
    if axis % x.ndim:
        indices = alike(draw, indices)
    about = {"variable": (2,)} if add else {"variable": draw(st.sampled_from([(0, 2), (2,), (0,)]))}
    updates = numbers(draw, *shape)
    x, updates = (a if i in about["variable"] else 0 * a for i, a in ((0, x), (2, updates)))
    return "ScatterElements", [x, indices, updates], {"axis": axis, "reduction": "add" if add else "none"}, about


@st.composite
def row_scatters(draw: Draw) -> Given:
    x, r = shaped(draw), rng(draw)
    depth = draw(st.integers(1, x.ndim))
    head = int(np.prod(x.shape[:depth]))
    add = draw(st.booleans())
    count = draw(st.integers(1, head))
    flat = r.integers(0, head, count) if add else r.permutation(head)[:count]
    indices = np.stack(np.unravel_index(flat, x.shape[:depth]), -1).astype(np.int64)
    about = {"variable": (2,)} if add else {"variable": draw(st.sampled_from([(0, 2), (2,), (0,)]))}
    updates = numbers(draw, count, *x.shape[depth:])
    x, updates = (a if i in about["variable"] else 0 * a for i, a in ((0, x), (2, updates)))
    return "ScatterND", [x, indices, updates], {"reduction": "add" if add else "none"}, about


@st.composite
def element_gathers(draw: Draw) -> Given:
    x = shaped(draw)
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    shape = [draw(st.integers(1, n)) for n in x.shape]
    indices = alike(draw, rng(draw).integers(-x.shape[axis], x.shape[axis], shape))
    return "GatherElements", [x, indices], {"axis": axis}, {}


@st.composite
def grids(draw: Draw) -> Given:
    rank = draw(st.sampled_from([2, 2, 3]))
    n, sizes, out = 2, [draw(st.integers(2, 4)) for _ in range(rank)], [draw(st.integers(1, 3)) for _ in range(rank)]
    grid = alike(draw, rng(draw).uniform(-1.4, 1.4, (n, *out, rank)).astype(np.float32))
    mode = draw(st.sampled_from(["linear", "nearest", *(["cubic"] if rank == 2 else [])]))
    attributes = {
        "mode": mode, "padding_mode": draw(st.sampled_from(["zeros", "border", "reflection"])),
        "align_corners": draw(st.integers(0, 1)),
    }  # fmt: skip
    return "GridSample", [numbers(draw, n, 2, *sizes), grid], attributes, {}


@st.composite
def boxes(draw: Draw) -> Given:
    h, w, count, r = draw(st.integers(2, 6)), draw(st.integers(2, 6)), draw(st.integers(1, 3)), rng(draw)
    corner = r.uniform(-1, 4, (count, 2))
    box = np.concatenate([corner, corner + r.uniform(0.2, 5, (count, 2))], 1).astype(np.float32)
    attributes = {
        "output_height": draw(st.integers(1, 3)), "output_width": draw(st.integers(1, 3)),
        "sampling_ratio": draw(st.integers(0, 2)), "spatial_scale": draw(st.sampled_from([1.0, 0.5])),
        "coordinate_transformation_mode": draw(st.sampled_from(["half_pixel", "output_half_pixel"])),
    }  # fmt: skip
    return "RoiAlign", [numbers(draw, 2, 2, h, w), box, r.integers(0, 2, count)], attributes, {}


@st.composite
def folds(draw: Draw) -> Given:
    rank = draw(st.integers(1, 2))  # onnxruntime's takes no more
    kernel, strides, dilations = ([draw(st.integers(1, 2)) for _ in range(rank)] for _ in range(3))
    pads = [draw(st.integers(0, 1)) for _ in range(2 * rank)]
    image = [draw(st.integers(4, 5)) for _ in range(rank)]
    ends = zip(image, pads, pads[rank:], kernel, strides, dilations)
    count = int(np.prod([(n + b + a - (k - 1) * d - 1) // s + 1 for n, b, a, k, s, d in ends]))
    x = numbers(draw, 2, 2 * int(np.prod(kernel)), count)
    attributes = {"strides": strides, "dilations": dilations, "pads": pads}
    return "Col2Im", [x, np.array(image), np.array(kernel)], attributes, {"exact": rank == 2}


@st.composite
def spectra(draw: Draw) -> Given:
    inverse, rank = draw(st.integers(0, 1)), draw(st.integers(2, 4))
    x = numbers(draw, *(draw(st.integers(2, 5)) for _ in range(rank - 1)), draw(st.sampled_from([1, 2])))
    axis = draw(st.integers(1 if rank > 2 else 0, rank - 2))
    length = draw(st.sampled_from([None, np.array(draw(st.integers(1, 6)))]))
    onesided = 0 if inverse or x.shape[-1] == 2 else draw(st.integers(0, 1))
    attributes = {"inverse": inverse, "onesided": onesided}
    return "DFT", [x, length, np.array(axis)], attributes, {"exact": rank > 2}


@st.composite
def frames(draw: Draw) -> Given:
    n, step, length = draw(st.integers(2, 5)), draw(st.integers(1, 3)), draw(st.integers(6, 12))
    window = rng(draw).uniform(0.2, 1, n).astype(np.float32) if draw(st.booleans()) else None
    given = [np.array(step), window, np.array(n)]
    return "STFT", [numbers(draw, 2, length, 1), *given], {"onesided": draw(st.integers(0, 1))}, {}


SPARSE = {
    "several winners": several_winners(), "triangle": triangles(), "compression": compressions(),
    "running sum": running_sums(), "scatter": scatters(), "row scatter": row_scatters(),
    "element gather": element_gathers(), "grid": grids(), "box": boxes(), "fold": folds(), "spectrum": spectra(),
    "frame": frames(),
}  # fmt: skip
