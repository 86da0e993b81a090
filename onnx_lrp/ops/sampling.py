"""Pictures read at constant places: GridSample, RoiAlign, and their inverse, Col2Im, are sparse linear maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from ..backends.base import Array, Backend, Shape, Window
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, register
from .resizing import cubic_kernel
from .roles import Linear

Taps = tuple[np.ndarray, np.ndarray]  # positions among those of all pictures, and their weights


@dataclass(frozen=True)
class SampleMap(LinearMap):
    """Σ of a few pixels by constant weights, the same for every channel (and, if ``shared``, for every picture).

    w says which, gives the output's shape, and whether they are shared.
    """

    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        terms, (count, *sizes), shared = w
        channels = xp.shape(x)[1]
        if shared:
            flat = xp.reshape(x, (*xp.shape(x)[:2], math.prod(xp.shape(x)[2:])))
            found = [xp.take(flat, positions, 2) * xp.asarray(weights) for positions, weights in terms]
            return xp.reshape(sum(found[1:], found[0]), (*xp.shape(x)[:2], *sizes))
        flat = xp.reshape(self._swapped(xp, x), (channels, -1))
        found = [xp.take(flat, positions, 1) * xp.asarray(weights) for positions, weights in terms]
        return self._swapped(xp, xp.reshape(sum(found[1:], found[0]), (channels, count, *sizes)))

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        terms, (_, *sizes), shared = w
        if shared:
            flat = xp.reshape(s, (*shape[:2], math.prod(sizes)))
            parts = xp.concat([flat * xp.asarray(weights) for _, weights in terms], 2)
            places = np.concatenate([positions for positions, _ in terms])
            return xp.reshape(xp.put(parts, places, 2, math.prod(shape[2:])), shape)
        flat = xp.reshape(self._swapped(xp, s), (shape[1], -1))
        parts = xp.concat([flat * xp.asarray(weights) for _, weights in terms], 1)
        places = np.concatenate([positions for positions, _ in terms])
        back = xp.put(parts, places, 1, shape[0] * math.prod(shape[2:]))
        return self._swapped(xp, xp.reshape(back, (shape[1], shape[0], *shape[2:])))

    @staticmethod
    def _swapped(xp: Backend, a: Array) -> Array:
        """Channels first, or samples first again."""
        return xp.permute(a, [1, 0, *range(2, len(xp.shape(a)))])


@dataclass(frozen=True)
class Sampler:
    """GridSample's attributes."""

    mode: str
    border: str
    align: bool

    def terms(self, grid: np.ndarray, spatial: Sequence[int]) -> list[Taps]:
        """For a grid (N, *out, axes), whose last axis counts from the picture's last one."""
        axes = [self._taps(self._pixels(grid[..., -1 - i], n), n) for i, n in enumerate(spatial)]
        sample = np.arange(len(grid)).reshape(-1, *(1,) * (grid.ndim - 2)) * math.prod(spatial)
        result = []
        for taps in product(*axes):
            place, weight = np.zeros(grid.shape[:-1], np.int64), np.ones(grid.shape[:-1])
            for n, (at, share) in zip(spatial, taps):
                place, weight = place * n + at, weight * share
            result.append(((place + sample).reshape(-1), weight.reshape(-1)))
        return result

    def _pixels(self, x: np.ndarray, n: int) -> np.ndarray:
        """-1 and 1 are the ends: the centres of the last pixels, or their outer edges."""
        return np.asarray((x + 1) / 2 * (n - 1) if self.align else ((x + 1) * n - 1) / 2)

    def _taps(self, x: np.ndarray, n: int) -> list[Taps]:
        """The pixels along one axis, and their weights."""
        if self.mode == "cubic":
            first = np.floor(x)
            return [self._tap(first + i, cubic_kernel(x - first - i), n) for i in (-1, 0, 1, 2)]
        x = self._bounded(x, n)
        if self.mode == "nearest":
            return [self._tap(np.rint(x), np.ones(x.shape), n)]
        first = np.floor(x)
        return [self._tap(first, 1 - (x - first), n), self._tap(first + 1, x - first, n)]

    def _tap(self, place: np.ndarray, weight: np.ndarray, n: int) -> Taps:
        place = self._bounded(place, n)
        inside = (place >= 0) & (place <= n - 1)
        return np.asarray(np.clip(np.rint(place), 0, n - 1), np.int64), np.where(inside, weight, 0.0)

    def _bounded(self, x: np.ndarray, n: int) -> np.ndarray:
        if self.border == "zeros":
            return x
        if self.border == "reflection":
            low, high = (0.0, n - 1.0) if self.align else (-0.5, n - 0.5)
            span = high - low
            away = np.abs(x - low) % (2 * span) if span else np.zeros(x.shape)
            x = low + np.where(away > span, 2 * span - away, away)
        return np.asarray(np.clip(x, 0, n - 1))


@register("GridSample")
def grid_sample(node: Site, mode: str | None = None, padding_mode: str = "zeros", align_corners: int = 0) -> Linear:
    """A picture read at the places of a constant grid, which holds (x, y) or (x, y, z) from -1 to 1."""
    if node.variable != (0,):
        raise Unsupported("the grid depends on the data", "only a constant grid is linear; explain an earlier output")
    kind = {None: "linear", "bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    if kind not in ("linear", "nearest", "cubic") or padding_mode not in ("zeros", "border", "reflection"):
        raise Unsupported(f"GridSample with {mode}, {padding_mode}", "export with another mode")
    sampler = Sampler(kind, padding_mode, bool(align_corners))

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, None]:
        row = operands.same_rows(1)
        grid = np.asarray(operands.constant(1) if row is None else row[None], np.float64)
        return (sampler.terms(grid, operands.shape(0)[2:]), grid.shape[:-1], row is not None), None

    return Linear(SampleMap(), 0, parameters, fixed=False, nonnegative=kind != "cubic", composed=True)


@dataclass(frozen=True)
class Aligner:
    """RoiAlign's attributes."""

    sizes: tuple[int, int]
    ratio: int
    scale: float
    offset: float

    def terms(self, boxes: np.ndarray, samples: np.ndarray, spatial: Sequence[int]) -> list[Taps]:
        """For boxes (count, 4) of x1, y1, x2, y2: every bin is the mean of points that are interpolated."""
        bins = [list(self._bins(box, int(sample), spatial)) for box, sample in zip(boxes, samples)]
        width = max((len(one) for box in bins for one in box), default=1) or 1
        padded = [one + [(0, 0.0)] * (width - len(one)) for box in bins for one in box]
        return [
            (np.array([one[k][0] for one in padded], np.int64), np.array([one[k][1] for one in padded]))
            for k in range(width)
        ]

    def _bins(self, box: np.ndarray, sample: int, spatial: Sequence[int]) -> Iterator[list[tuple[int, float]]]:
        """The pixels of each bin, and their weights."""
        first = [box[1 - i] * self.scale - self.offset for i in range(2)]
        extent = [box[3 - i] * self.scale - self.offset - first[i] for i in range(2)]
        if not self.offset:
            extent = [max(e, 1.0) for e in extent]
        step = [e / n for e, n in zip(extent, self.sizes)]
        count = [self.ratio or max(math.ceil(s), 1) for s in step]
        for at in product(*map(range, self.sizes)):
            taps: list[tuple[int, float]] = []
            for point in product(*map(range, count)):
                where = [f + s * (a + (p + 0.5) / c) for f, s, a, p, c in zip(first, step, at, point, count)]
                taps += [
                    (sample * math.prod(spatial) + place, weight / math.prod(count))
                    for place, weight in _interpolated(where, spatial)
                ]
            yield taps


def _interpolated(where: Sequence[float], spatial: Sequence[int]) -> Iterator[tuple[int, float]]:
    """The four pixels around a point; none if it lies more than one pixel outside."""
    if any(x < -1 or x > n for x, n in zip(where, spatial)):
        return
    axes = []
    for x, n in zip(where, spatial):
        low = min(int(max(x, 0)), n - 1)
        share = 0.0 if low >= n - 1 else max(x, 0) - low
        axes.append([(low, 1 - share), (min(low + 1, n - 1), share)])
    for (row, a), (column, b) in product(*axes):
        yield row * spatial[1] + column, a * b


@register("RoiAlign")
def roi_align(node: Site, mode: str = "avg", output_height: int = 1, output_width: int = 1, sampling_ratio: int = 0,
              spatial_scale: float = 1.0, coordinate_transformation_mode: str | None = None) -> Linear:  # fmt: skip
    """Means over the bins of constant boxes."""
    if node.variable != (0,):
        raise Unsupported("the boxes depend on the data", "only constant boxes are linear; explain an earlier output")
    if mode != "avg":
        raise Unsupported(f"RoiAlign with mode={mode}", "only means are linear: export with avg")
    half = (coordinate_transformation_mode or ("half_pixel" if node.opset >= 16 else "")) == "half_pixel"
    aligner = Aligner((output_height, output_width), sampling_ratio, spatial_scale, 0.5 if half else 0.0)

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, None]:
        boxes, samples = (np.asarray(operands.constant(i), np.float64) for i in (1, 2))
        terms = aligner.terms(boxes, samples, operands.shape(0)[2:])
        return (terms, (len(boxes), output_height, output_width), False), None

    return Linear(SampleMap(), 0, parameters, fixed=False, nonnegative=True, composed=True)


@dataclass(frozen=True)
class FoldMap(LinearMap):
    """Blocks added where they belong in a picture: the adjoint of reading them; w = 1 scales."""

    window: Window
    image: Shape
    batchwise: ClassVar[bool] = True

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        samples, rows = xp.shape(x)[:2]
        channels = rows // math.prod(self.window.kernel)
        blocks = xp.reshape(x, (-1, math.prod(self.window.kernel), *self.window.output(self.image)))
        picture = xp.conv_transpose(blocks, self._reader(xp), self.window, self.image)
        return w * xp.reshape(picture, (samples, channels, *self.image))

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        pictures = xp.reshape(s * w, (-1, 1, *self.image))
        return xp.reshape(xp.conv(pictures, self._reader(xp), self.window), shape)

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """Each input once."""
        return math.prod(x)

    def _reader(self, xp: Backend) -> Array:
        """The convolution that reads a block: one output channel for each of its elements."""
        size = math.prod(self.window.kernel)
        return xp.asarray(np.eye(size).reshape(size, 1, *self.window.kernel))


@register("Col2Im")
def fold(node: Site, dilations: Sequence[int] | None = None, pads: Sequence[int] | None = None,
         strides: Sequence[int] | None = None) -> Linear:  # fmt: skip
    """Overlapping blocks to a picture of a constant size."""
    image, block = node.constant(1), node.constant(2)
    if node.variable != (0,) or image is None or block is None:
        raise Unsupported("the size of the picture or of a block is not known", "export it with constant sizes")
    kernel = tuple(map(int, block))
    rank, border = len(kernel), tuple(pads or (0,) * 2 * len(kernel))
    window = Window(
        kernel, tuple(strides or (1,) * rank), border[:rank], border[rank:], tuple(dilations or (1,) * rank)
    )
    folded = FoldMap(window, tuple(map(int, image)))
    return Linear(folded, 0, lambda xp, _: (xp.asarray(np.array(1.0)), None), nonnegative=True)
