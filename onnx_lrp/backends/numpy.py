"""The readable reference backend: NumPy, float64 unless told otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from .base import Shape, Window


def _spatial(a: np.ndarray) -> Shape:
    return a.shape[2:]


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

    def __init__(self, dtype: str | np.dtype = "float64") -> None:
        self.dtype = np.dtype(dtype)

    def asarray(self, value: np.ndarray) -> np.ndarray:
        return value.astype(self.dtype, copy=False) if value.dtype.kind == "f" else value

    def to_numpy(self, a: np.ndarray) -> np.ndarray:
        return np.asarray(a)

    def shape(self, a: np.ndarray) -> Shape:
        return a.shape

    def where(self, condition: np.ndarray, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
        # Python floats are weak: they do not raise float32 to float64
        return np.where(condition, a, b).astype(self.dtype, copy=False)

    def maximum(self, a: np.ndarray, b: float) -> np.ndarray:
        return np.maximum(a, b)

    def minimum(self, a: np.ndarray, b: float) -> np.ndarray:
        return np.minimum(a, b)

    def zeros_like(self, a: np.ndarray) -> np.ndarray:
        return np.zeros_like(a)

    def ones_like(self, a: np.ndarray) -> np.ndarray:
        return np.ones_like(a)

    def sum(self, a: np.ndarray, axes: Sequence[int], keepdims: bool = False) -> np.ndarray:
        return np.asarray(a.sum(axis=tuple(axes), keepdims=keepdims))

    def reshape(self, a: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        return a.reshape(shape)

    def permute(self, a: np.ndarray, axes: Sequence[int]) -> np.ndarray:
        return a.transpose(axes)

    def expand(self, a: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        return np.broadcast_to(a, shape)

    def concat(self, arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
        return np.concatenate(arrays, axis)

    def pad(self, a: np.ndarray, before: Sequence[int], after: Sequence[int]) -> np.ndarray:
        kept = tuple(slice(max(-b, 0), n - max(-e, 0)) for b, e, n in zip(before, after, a.shape))
        return np.pad(a[kept], [(max(b, 0), max(e, 0)) for b, e in zip(before, after)])

    def take(self, a: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
        return np.take(a, indices, axis)

    def put(self, a: np.ndarray, indices: np.ndarray, axis: int, length: int) -> np.ndarray:
        result = np.zeros((*a.shape[:axis], length, *a.shape[axis + 1 :]), a.dtype)
        np.add.at(result, (slice(None),) * axis + (indices,), a)
        return result

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a @ b

    def conv(self, x: np.ndarray, w: np.ndarray, window: Window) -> np.ndarray:
        out, groups = window.output(_spatial(x)), window.groups
        padded = self.pad(x, (0, 0, *window.before), (0, 0, *window.after))
        grouped = padded.reshape(len(x), groups, -1, *_spatial(padded))
        weight = w.reshape(groups, -1, *w.shape[1:])
        y = np.zeros((len(x), groups, weight.shape[1], int(np.prod(out))), x.dtype)
        for tap, met in _taps(window, out):
            y += weight[(..., *tap)] @ grouped[(..., *met)].reshape(*grouped.shape[:3], -1)
        return y.reshape(len(x), -1, *out)

    def conv_transpose(self, s: np.ndarray, w: np.ndarray, window: Window, spatial: Sequence[int]) -> np.ndarray:
        out, groups = _spatial(s), window.groups
        padded = tuple(n + b + a for n, b, a in zip(spatial, window.before, window.after))
        weight = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)
        grouped = s.reshape(len(s), groups, -1, int(np.prod(out)))
        x = np.zeros((len(s), groups, weight.shape[1], *padded), s.dtype)
        for tap, met in _taps(window, out):
            x[(..., *met)] += (weight[(..., *tap)] @ grouped).reshape(*x.shape[:3], *out)
        crop = [(-b, -a) for b, a in zip((0, 0, *window.before), (0, 0, *window.after))]
        return self.pad(x.reshape(len(s), -1, *padded), *zip(*crop))

    def argmax_pool(self, x: np.ndarray, window: Window) -> np.ndarray:
        out, spatial = window.output(_spatial(x)), _spatial(x)
        widths = [(0, 0), (0, 0), *zip(window.before, window.after)]
        padded = np.pad(x, widths, constant_values=-np.inf)
        flat = np.pad(np.arange(np.prod(spatial)).reshape(spatial), widths[2:])
        best = np.full((*x.shape[:2], *out), -np.inf, x.dtype)
        winner = np.zeros(best.shape, np.int64)
        for _, met in _taps(window, out):
            candidate = padded[(..., *met)]
            better = candidate > best  # strictly: the first one wins a tie
            winner = np.where(better, flat[met], winner)
            best = np.where(better, candidate, best)
        return winner

    def argmax(self, a: np.ndarray) -> np.ndarray:
        return a.argmax(-1)[..., None]

    def gather(self, a: np.ndarray, indices: np.ndarray) -> np.ndarray:
        return np.take_along_axis(a, indices, -1)

    def scatter(self, a: np.ndarray, indices: np.ndarray, length: int) -> np.ndarray:
        result = np.zeros((int(np.prod(a.shape[:-1])), length), a.dtype)
        rows = np.arange(len(result))[:, None]
        np.add.at(result, (rows, indices.reshape(len(result), -1)), a.reshape(len(result), -1))
        return result.reshape(*a.shape[:-1], length)
