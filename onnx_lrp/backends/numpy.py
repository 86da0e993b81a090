"""The readable reference backend: NumPy, float64 unless told otherwise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .base import Array, Shape, Window


def _spatial(a: Array) -> Shape:
    return tuple(a.shape[2:])


def _taps(window: Window, out: Shape) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Each kernel position, with the (padded) input elements that it meets."""
    for tap in itertools.product(*map(range, window.kernel)):
        yield (
            tap,
            tuple(
                slice(k * d, k * d + (n - 1) * s + 1, s)
                for k, d, s, n in zip(tap, window.dilations, window.strides, out)
            ),
        )


class NumpyBackend:
    """One dtype, float64 by default; the CPU."""

    name = "numpy"
    out_of_memory: tuple[type[Exception], ...] = (MemoryError,)

    def __init__(self, dtype: str = "float64") -> None:
        self.dtype = np.dtype(dtype)

    def asarray(self, value: np.ndarray) -> Array:
        return value.astype(self.dtype, copy=False) if value.dtype.kind == "f" else value

    def to_numpy(self, a: Array) -> np.ndarray:
        return np.asarray(a)

    def shape(self, a: Array) -> Shape:
        return tuple(a.shape)

    def where(self, condition: Array, a: Array | float, b: Array | float) -> Array:
        # Python floats are weak: they do not raise float32 to float64
        return np.where(condition, a, b).astype(self.dtype, copy=False)

    def maximum(self, a: Array, b: float) -> Array:
        return np.maximum(a, b)

    def minimum(self, a: Array, b: float) -> Array:
        return np.minimum(a, b)

    def leaky(self, a: Array, slope: float) -> Array:
        return np.maximum(a, 0.0) + slope * np.minimum(a, 0.0)

    def abs(self, a: Array) -> Array:
        return np.abs(a)

    def exp(self, a: Array) -> Array:
        return np.exp(a)

    def log(self, a: Array) -> Array:
        return np.log(a)

    def tanh(self, a: Array) -> Array:
        return np.tanh(a)

    def erf(self, a: Array) -> Array:
        return np.vectorize(math.erf, otypes=[self.dtype])(a)

    def round(self, a: Array) -> Array:
        return np.rint(a)

    def truncate(self, a: Array) -> Array:
        return np.trunc(a)

    def elementwise(self, function: str, a: Array) -> Array:
        return getattr(np, function.lower())(a)

    def power(self, a: Array, exponent: Array | float) -> Array:
        return np.power(a, exponent)

    def softmax(self, a: Array, axis: int) -> Array:
        e = np.exp(a - a.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    def whole(self, a: Array) -> Array:
        return a.astype(np.int64)

    def largest(self, a: Array) -> Array:
        return np.asarray(a.max())

    def stabilized_ratio(self, a: Array, epsilon: float, nonnegative: bool = False) -> Array:
        size = a if nonnegative else np.abs(a)
        return size / (size + epsilon)

    def stabilize(self, z: Array, epsilon: float) -> Array:
        return self.where(z < 0, z - epsilon, z + epsilon)

    def zeros_like(self, a: Array) -> Array:
        return np.zeros_like(a)

    def ones_like(self, a: Array) -> Array:
        return np.ones_like(a)

    def sum(self, a: Array, axes: Sequence[int], keepdims: bool = False) -> Array:
        return np.asarray(a.sum(axis=tuple(axes), keepdims=keepdims))

    def reshape(self, a: Array, shape: Sequence[int]) -> Array:
        return a.reshape(shape)

    def permute(self, a: Array, axes: Sequence[int]) -> Array:
        return a.transpose(axes)

    def expand(self, a: Array, shape: Sequence[int]) -> Array:
        return np.broadcast_to(a, shape)

    def concat(self, arrays: Sequence[Array], axis: int) -> Array:
        return np.concatenate(arrays, axis)

    def pad(self, a: Array, before: Sequence[int], after: Sequence[int]) -> Array:
        kept = tuple(slice(max(-b, 0), n - max(-e, 0)) for b, e, n in zip(before, after, a.shape))
        return np.pad(a[kept], [(max(b, 0), max(e, 0)) for b, e in zip(before, after)])

    def take(self, a: Array, indices: np.ndarray, axis: int) -> Array:
        return np.take(a, indices, axis)

    def put(self, a: Array, indices: np.ndarray, axis: int, length: int) -> Array:
        result = np.zeros((*a.shape[:axis], length, *a.shape[axis + 1 :]), a.dtype)
        where: tuple[Any, ...] = (*(slice(None),) * axis, indices)
        np.add.at(result, where, a)
        return result

    def lookup(self, table: Array, indices: Array, axis: int) -> Array:
        return np.take(table, indices.astype(np.int64), axis)

    def matmul(self, a: Array, b: Array) -> Array:
        return a @ b

    def conv(self, x: Array, w: Array, window: Window) -> Array:
        out, groups = window.output(_spatial(x)), window.groups
        padded = self.pad(x, (0, 0, *window.before), (0, 0, *window.after))
        grouped = padded.reshape(len(x), groups, -1, *_spatial(padded))
        weight = w.reshape(groups, -1, *w.shape[1:])
        y = np.zeros((len(x), groups, weight.shape[1], int(np.prod(out))), x.dtype)
        for tap, met in _taps(window, out):
            y += weight[(..., *tap)] @ grouped[(..., *met)].reshape(*grouped.shape[:3], -1)
        return y.reshape(len(x), -1, *out)

    def conv_transpose(self, s: Array, w: Array, window: Window, spatial: Sequence[int]) -> Array:
        out, groups = _spatial(s), window.groups
        padded = tuple(n + b + a for n, b, a in zip(spatial, window.before, window.after))
        weight = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)
        grouped = s.reshape(len(s), groups, -1, int(np.prod(out)))
        x: Array = np.zeros((len(s), groups, weight.shape[1], *padded), s.dtype)
        for tap, met in _taps(window, out):
            x[(..., *met)] += (weight[(..., *tap)] @ grouped).reshape(*x.shape[:3], *out)
        crop = [(-b, -a) for b, a in zip((0, 0, *window.before), (0, 0, *window.after))]
        return self.pad(x.reshape(len(s), -1, *padded), *zip(*crop))

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        out, spatial = window.output(_spatial(x)), _spatial(x)
        # a ceil_mode whose stride is beyond the kernel crops the end instead of padding it
        ends = [n + min(a, 0) for n, a in zip(spatial, window.after)]
        kept: Any = (..., *(slice(n) for n in ends))
        widths = [(b, max(a, 0)) for b, a in zip(window.before, window.after)]
        padded: Array = np.pad(x[kept], [(0, 0), (0, 0), *widths], constant_values=-np.inf)
        flat: Array = np.pad(np.arange(np.prod(spatial)).reshape(spatial)[kept], widths)
        best: Array = np.full((*x.shape[:2], *out), -np.inf, x.dtype)
        winner = np.zeros(best.shape, np.int64)
        for _, met in _taps(window, out):
            candidate = padded[(..., *met)]
            better = candidate > best  # strictly: the first one wins a tie
            winner = np.where(better, flat[met], winner)
            best = np.where(better, candidate, best)
        return best, winner

    def max_unpool(self, s: Array, winner: Array, window: Window, shape: Shape) -> Array:
        rows = (*shape[:2], -1)
        return self.scatter(s.reshape(rows), winner.reshape(rows), int(np.prod(shape[2:]))).reshape(shape)

    def argmax(self, a: Array) -> Array:
        return a.argmax(-1)[..., None]

    def top(self, a: Array, count: int) -> Array:
        return np.argsort(-a, axis=-1, kind="stable")[..., :count]

    def gather(self, a: Array, indices: Array) -> Array:
        return np.take_along_axis(a, indices, -1)

    def scatter(self, a: Array, indices: Array, length: int) -> Array:
        result = np.zeros((int(np.prod(a.shape[:-1])), length), a.dtype)
        rows = np.arange(len(result))[:, None]
        np.add.at(result, (rows, indices.reshape(len(result), -1)), a.reshape(len(result), -1))
        return result.reshape(*a.shape[:-1], length)
