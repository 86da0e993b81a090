"""Resize and Upsample: nearest-neighbour ones copy (a route), the others interpolate (a linear map)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.base import Array, Backend, Shape
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Linear, Route
from .routes import Pick, SelectMap
from .routing import constants_only
from .separable import SeparableMap

Sizing = tuple[int, int, float]  # axis, length of the output, factor


@dataclass(frozen=True)
class Resizing:
    """The attributes of Resize, defaults filled in."""

    mode: str
    coordinate: str
    rounding: str
    policy: str
    scales: Sequence[float] | None
    axes: Sequence[int] | None
    antialias: bool
    cubic: float
    outside: bool

    def sizes(self, node: Site, operands: Operands) -> Iterator[Sizing]:
        """What happens to each axis that changes.

        Raises:
            ValueError: nothing would be left of one.
        """
        for axis, out, factor in self._sizes(node, operands):
            if out < 1 or factor <= 0:
                raise ValueError(f"axis {axis} would have {out} elements")
            yield axis, out, factor

    def _sizes(self, node: Site, operands: Operands) -> Iterator[Sizing]:
        shape, first = operands.shape(0), _scales_position(node)
        along = [a % len(shape) for a in self.axes] if self.axes else list(range(len(shape)))
        if first == 2 and node.has(3):
            yield from self._to_sizes(shape, along, np.asarray(operands.constant(3)).reshape(-1).tolist())
            return
        given = self.scales if self.scales is not None else operands.constant(first)
        for axis, factor in zip(along, (float(f) for f in np.asarray(given).reshape(-1))):
            if factor != 1:  # in float32, as runtimes do: 10 * 0.7 is 7
                yield axis, int(np.float32(shape[axis]) * np.float32(factor)), factor

    def _to_sizes(self, shape: Shape, along: list[int], wanted: list[int]) -> Iterator[Sizing]:
        if self.policy == "stretch":
            yield from ((a, n, n / shape[a]) for a, n in zip(along, wanted) if n != shape[a])
            return
        factors = [n / shape[a] for a, n in zip(along, wanted)]
        factor = min(factors) if self.policy == "not_larger" else max(factors)
        yield from ((a, int(np.floor(shape[a] * factor + 0.5)), factor) for a in along)

    def nearest(self, n: int, out: int, factor: float) -> np.ndarray:
        """Which of n positions each output position shows."""
        x = positions(n, out, factor, self.coordinate, np.float32)
        return np.clip(ROUNDING[self.rounding](x).astype(np.int64), 0, n - 1)

    def matrix(self, n: int, out: int, factor: float) -> np.ndarray:
        """Interpolation weights, shape (out, n); elements beyond the ends count as the last ones."""
        x = positions(n, out, factor, self.coordinate, np.float64)
        stretch = min(factor, 1.0) if self.antialias else 1.0
        reach = int(np.ceil((1 if self.mode == "linear" else 2) / stretch))
        taps = np.floor(x)[:, None].astype(np.int64) + np.arange(1 - reach, reach + 1)
        weights = self._kernel((taps - x[:, None]) * stretch)
        if self.outside:
            weights = np.where((taps >= 0) & (taps < n), weights, 0.0)
        weights = weights / weights.sum(1, keepdims=True)
        result = np.zeros((out, n))
        np.add.at(result, (np.arange(out)[:, None], np.clip(taps, 0, n - 1)), weights)
        return result

    def _kernel(self, t: np.ndarray) -> np.ndarray:
        """Triangle, or the cubic convolution of Keys 1981."""
        if self.mode == "linear":
            return np.asarray(np.maximum(1 - np.abs(t), 0.0))
        return cubic_kernel(t, self.cubic)


def cubic_kernel(t: np.ndarray, a: float = -0.75) -> np.ndarray:
    """The cubic convolution of Keys 1981, at distances t."""
    d = np.abs(t)
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.asarray(np.where(d <= 1, near, np.where(d < 2, far, 0.0)))


COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
)  # fmt: skip
ROUNDING: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def positions(n: int, out: int, factor: float, coordinate: str, dtype: type[np.floating[Any]]) -> np.ndarray:
    """Where each of ``out`` output positions lies among n (the standard's formulas for Resize).

    The nearest neighbour is found in float32, as runtimes do: at exact halves the two precisions round to different
    ones. Weights of neighbours are smooth in the position, and best in float64.
    """
    i: np.ndarray = np.arange(out, dtype=dtype)
    scale, half = dtype(factor), dtype(0.5)
    x: np.ndarray = (i + half) / scale - half
    if coordinate == "asymmetric":
        x = i / scale
    elif coordinate == "tf_half_pixel_for_nn":
        x = (i + half) / scale
    elif coordinate == "align_corners":
        x = i * dtype(n - 1) / dtype(max(out - 1, 1))
    elif coordinate == "half_pixel_symmetric":
        x += dtype(n) / dtype(2) * (dtype(1) - dtype(out) / (scale * dtype(n)))
    elif coordinate == "pytorch_half_pixel" and out == 1:
        x = np.zeros(1, dtype)
    return x


@register("Resize", "Upsample")
def resize(node: Site, mode: str = "nearest", scales: Sequence[float] | None = None,
           coordinate_transformation_mode: str | None = None, nearest_mode: str | None = None,
           axes: Sequence[int] | None = None, antialias: int = 0, cubic_coeff_a: float = -0.75,
           exclude_outside: int = 0, extrapolation_value: float = 0.0,
           keep_aspect_ratio_policy: str = "stretch") -> Route | Linear:  # fmt: skip
    """Nearest-neighbour resizing: every output is a copy of one input. Linear and cubic: a weighted mean of several."""
    constants_only(node)
    old = _is_old(node)  # then asymmetric, floor
    coordinate = coordinate_transformation_mode or ("asymmetric" if old else "half_pixel")
    rounding = nearest_mode or ("floor" if old else "round_prefer_floor")
    if mode not in ("nearest", "linear", "cubic") or coordinate not in COORDINATES or rounding not in ROUNDING:
        raise Unsupported(
            f"Resize with mode={mode}, {coordinate}, {rounding}", "export with another mode, or without crop"
        )
    how = Resizing(mode, coordinate, rounding, keep_aspect_ratio_policy, scales, axes, bool(antialias), cubic_coeff_a,
                   bool(exclude_outside))  # fmt: skip

    def picks(operands: Operands) -> list[list[Pick]]:
        shape = operands.shape(0)
        return [[(a, how.nearest(shape[a], n, factor)) for a, n, factor in how.sizes(node, operands)]]

    def matrices(xp: Backend, operands: Operands) -> tuple[Array, None]:
        shape = operands.shape(0)
        found = [(a, xp.asarray(how.matrix(shape[a], n, factor))) for a, n, factor in how.sizes(node, operands)]
        return found, None

    if mode == "nearest":
        return Route(SelectMap(picks))
    return Linear(SeparableMap(), 0, matrices, fixed=False, nonnegative=mode == "linear", composed=True)


def _is_old(node: Site) -> bool:
    return node.op_type == "Upsample" or node.opset < 11


def _scales_position(node: Site) -> int:
    return 1 if _is_old(node) else 2
