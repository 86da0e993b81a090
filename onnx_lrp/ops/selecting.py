"""Routes that pick positions along axes: Slice, Split, Gather, Tile, Pad, Resize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend, Shape
from .registry import Site, Unsupported, register
from .roles import Operands, Route
from .routing import Pick, SelectMap, ZeroPadMap, constants_only, ints


@register("Slice")
def slice_(node: Site, starts: Sequence[int] | None = None, ends: Sequence[int] | None = None,
           axes: Sequence[int] | None = None) -> Route:  # fmt: skip
    """Slice: attributes, or inputs since opset 10."""
    constants_only(node)

    def picks(operands: Operands) -> list[list[Pick]]:
        shape = operands.shape(0)
        first = ints(operands, 1) if node.has(1) else list(starts or ())
        last = ints(operands, 2) if node.has(2) else list(ends or ())
        along = ints(operands, 3) if node.has(3) else list(axes or range(len(first)))
        steps = ints(operands, 4) if node.has(4) else [1] * len(first)
        along = [a % len(shape) for a in along]
        return [[(a, sliced(shape[a], s, e, st)) for s, e, a, st in zip(first, last, along, steps)]]

    return Route(SelectMap(picks))


def sliced(n: int, start: int, end: int, step: int) -> np.ndarray:
    """Positions of a Slice along an axis of length n, clamped as the standard says (not quite as Python does)."""
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first = min(max(start + n * (start < 0), 0), high)
    last = min(max(end + n * (end < 0), low), high)
    return np.arange(first, last, step)


@register("Split")
def split(node: Site, axis: int = 0, split: Sequence[int] | None = None, num_outputs: int | None = None) -> Route:
    """Split: sizes as attribute, as input since opset 13, or equal ones."""
    constants_only(node)

    def picks(operands: Operands) -> list[list[Pick]]:
        shape = operands.shape(0)
        along = axis % len(shape)
        sizes = ints(operands, 1) if node.has(1) else list(split or ())
        chunk = -(-shape[along] // (num_outputs or node.outputs))
        bounds = np.cumsum(sizes or [chunk] * node.outputs).clip(max=shape[along]).tolist()
        return [[(along, np.arange(b, e))] for b, e in zip([0, *bounds[:-1]], bounds)]

    return Route(SelectMap(picks))


@dataclass(frozen=True)
class GatherMap:
    """Gather along one axis, with indices of any rank in place of that axis."""

    axis: int

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        shape, axis, indices = self._resolved(operands)
        picked = xp.take(operands.value(0), indices.reshape(-1), axis)
        return [xp.reshape(picked, (*shape[:axis], *indices.shape, *shape[axis + 1 :]))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance added where it was gathered."""
        shape, axis, indices = self._resolved(operands)
        flat = xp.reshape(relevance[0], (*shape[:axis], indices.size, *shape[axis + 1 :]))
        return [SelectMap.put(xp, flat, [(axis, indices.reshape(-1))], shape)]

    def _resolved(self, operands: Operands) -> tuple[Shape, int, np.ndarray]:
        shape = operands.shape(0)
        axis = self.axis % len(shape)
        indices = np.asarray(operands.constant(1))
        return shape, axis, np.where(indices < 0, indices + shape[axis], indices)


@register("Gather")
def gather(node: Site, axis: int = 0) -> Route:
    """Gather with constant indices."""
    if 1 in node.variable:
        raise Unsupported(
            "looks up rows by data (an embedding of integer ids): ids carry no relevance",
            "explain a model whose input is the embedding",
        )
    return Route(GatherMap(axis))


@register("Tile")
def tile(node: Site) -> Route:
    """Repeat along each axis."""
    constants_only(node)

    def picks(operands: Operands) -> list[list[Pick]]:
        repeated = [(i, n, r) for i, (n, r) in enumerate(zip(operands.shape(0), ints(operands, 1))) if r != 1]
        return [[(i, np.tile(np.arange(n), r)) for i, n, r in repeated]]  # samples, not repeated, may be any number

    return Route(SelectMap(picks))


@register("Pad")
def pad(node: Site, mode: str = "constant", pads: Sequence[int] | None = None, value: float = 0.0) -> Route:
    """Pad with zeros, or by reflecting, repeating the edge, or wrapping."""
    constants_only(node)
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise Unsupported(f"unknown mode {mode!r}", "export with constant or reflecting padding")
    if mode == "constant" and _fill(node, value) != 0:
        raise Unsupported("pads with a value other than 0", "only a zero border is linear")

    def widths(operands: Operands) -> tuple[list[int], list[int]]:
        rank = len(operands.shape(0))
        given = ints(operands, 1) if node.has(1) else list(pads or ())
        axes = [a % rank for a in ints(operands, 3)] if node.has(3) else list(range(rank))
        before, after = dict(zip(axes, given)), dict(zip(axes, given[len(axes) :]))
        return [before.get(i, 0) for i in range(rank)], [after.get(i, 0) for i in range(rank)]

    def picks(operands: Operands) -> list[list[Pick]]:
        ends = zip(operands.shape(0), *widths(operands))
        return [[(i, _border(n, b, a, mode)) for i, (n, b, a) in enumerate(ends) if b or a]]

    return Route(ZeroPadMap(widths) if mode == "constant" else SelectMap(picks))


def _border(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Positions that a padded axis shows; negative widths crop."""
    kept = np.arange(max(-before, 0), n - max(-after, 0))
    return np.pad(kept, (max(before, 0), max(after, 0)), mode=mode)  # type: ignore[call-overload,no-any-return]


def _fill(node: Site, attribute: float) -> float:
    if not node.has(2):
        return attribute
    value = node.constant(2)
    return float("nan") if value is None else float(np.asarray(value).reshape(-1)[0])


@register("Resize", "Upsample")
def resize(node: Site, mode: str = "nearest", scales: Sequence[float] | None = None,
           coordinate_transformation_mode: str | None = None, nearest_mode: str | None = None,
           axes: Sequence[int] | None = None, antialias: int = 0, cubic_coeff_a: float = -0.75,
           exclude_outside: int = 0, extrapolation_value: float = 0.0,
           keep_aspect_ratio_policy: str = "stretch") -> Route:  # fmt: skip
    """Nearest-neighbour resizing: every output is a copy of one input."""
    constants_only(node)
    old = node.op_type == "Upsample" or node.opset < 11  # both mean asymmetric, floor
    coordinate = coordinate_transformation_mode or ("asymmetric" if old else "half_pixel")
    rounding = nearest_mode or ("floor" if old else "round_prefer_floor")
    unknown = coordinate == "tf_crop_and_resize" or rounding not in ROUNDING
    if mode != "nearest" or unknown or keep_aspect_ratio_policy != "stretch":
        raise Unsupported(
            f"Resize with mode={mode}, {coordinate}, {rounding}, {keep_aspect_ratio_policy}",
            "only nearest-neighbour resizing has a role so far",
        )

    def picks(operands: Operands) -> list[list[Pick]]:
        shape = operands.shape(0)
        along = [a % len(shape) for a in axes] if axes else list(range(len(shape)))
        return [[(a, nearest(shape[a], n, factor, coordinate, rounding)) for a, n, factor in _sizes(operands, along)]]

    def _sizes(operands: Operands, along: list[int]) -> list[tuple[int, int, float]]:
        shape = operands.shape(0)
        if node.has(3) and not old:
            return [(a, n, n / shape[a]) for a, n in zip(along, ints(operands, 3)) if n != shape[a]]
        given = scales if scales is not None else operands.constant(1 if old else 2)
        factors = [float(f) for f in np.asarray(given).reshape(-1)]
        # in float32, as runtimes do: 10 * 0.7 is 7
        return [(a, int(np.float32(shape[a]) * np.float32(f)), f) for a, f in zip(along, factors) if f != 1]

    return Route(SelectMap(picks))


ROUNDING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def nearest(n: int, out: int, factor: float, coordinate: str, rounding: str) -> np.ndarray:
    """Which of n positions each of ``out`` output positions shows (the standard's formulas for Resize).

    In float32, as runtimes do: at exact halves the two precisions round to different neighbours.
    """
    i: np.ndarray = np.arange(out, dtype=np.float32)
    scale, half = np.float32(factor), np.float32(0.5)
    x: np.ndarray
    if coordinate == "asymmetric":
        x = i / scale
    elif coordinate == "align_corners":
        x = i * np.float32(n - 1) / np.float32(max(out - 1, 1))
    elif coordinate == "half_pixel_symmetric":
        offset = np.float32(n) / np.float32(2) * (np.float32(1) - np.float32(out) / (scale * np.float32(n)))
        x = offset + (i + half) / scale - half
    elif coordinate == "pytorch_half_pixel" and out == 1:
        x = i
    else:
        x = (i + half) / scale - half
    return np.clip(ROUNDING[rounding](x).astype(np.int64), 0, n - 1)
