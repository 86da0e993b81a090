"""Fourier transforms are linear maps; numbers are complex, real and imaginary part side by side on the last axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..backends.base import Array, Backend, Shape
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, register
from .roles import Linear


@dataclass(frozen=True)
class SpectrumMap(LinearMap):
    """w (n, parts, m, 2) times the numbers along an axis."""

    axis: int
    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        n, parts, m, both = xp.shape(w)
        moved = self._moved(xp, x)
        flat = xp.reshape(moved, (*xp.shape(moved)[:-2], n * parts))
        found = xp.matmul(flat, xp.reshape(w, (n * parts, m * both)))
        return self._moved(xp, xp.reshape(found, (*xp.shape(found)[:-1], m, both)))

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        return self.forward(xp, s, xp.permute(w, [2, 3, 0, 1]))

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """All numbers along the axis, for each output."""
        return math.prod(z) * math.prod(w[:2])

    def _moved(self, xp: Backend, a: Array) -> Array:
        """The axis swapped with the one before the last, or back."""
        rank = len(xp.shape(a))
        order = list(range(rank))
        order[self.axis], order[rank - 2] = rank - 2, self.axis
        return xp.permute(a, order)


@register("DFT")
def dft(node: Site, axis: int | None = None, inverse: int = 0, onesided: int = 0) -> Linear:
    """The discrete Fourier transform along a constant axis: an attribute, or an input since opset 20."""
    if node.variable != (0,) or any(node.has(i) and node.constant(i) is None for i in (1, 2)):
        raise Unsupported("a length or axis depends on the data", "export it as a constant")
    if inverse and onesided:
        raise Unsupported("an inverse transform of half a spectrum", "export it for the whole spectrum")
    along = node.constant(2) if node.has(2) else np.array((-2 if node.opset >= 20 else 1) if axis is None else axis)
    rank = node.rank(0)
    if rank is None:
        raise Unsupported("the rank of the input is not known", "export it with shapes")
    place = int(np.asarray(along).reshape(-1)[0]) % rank

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, None]:
        shape, given = operands.shape(0), operands.constant(1)
        length = shape[place] if given is None else int(np.asarray(given).reshape(-1)[0])
        return xp.asarray(fourier(shape[place], shape[-1], length, bool(inverse), bool(onesided))), None

    return Linear(SpectrumMap(place), 0, parameters, fixed=False)


def fourier(n: int, parts: int, length: int, inverse: bool, onesided: bool) -> np.ndarray:
    """Weights (n, parts, m, 2) of a transform of this length: beyond it numbers are cut, before it they are zeros."""
    m = length // 2 + 1 if onesided else length
    turn = (1 if inverse else -1) * 2j * np.pi / length
    wave = np.exp(turn * (np.outer(np.arange(n), np.arange(m)) % length)) / (length if inverse else 1)
    wave[length:] = 0
    w = np.empty((n, parts, m, 2))
    for part, factor in zip(range(parts), (1, 1j)):
        w[:, part] = np.stack([(factor * wave).real, (factor * wave).imag], -1)
    return np.where(np.abs(w) < 1e-14 * np.abs(w).max(), 0.0, w)  # a sine of π is 0: relevance over 1e-16 is noise


@dataclass(frozen=True)
class FramesMap(LinearMap):
    """w (n, bins, 2) times the frames of n numbers of a signal, ``step`` apart."""

    step: int
    batchwise: ClassVar[bool] = True

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        n, bins, both = xp.shape(w)
        samples, places = xp.shape(x)[0], self._places(n, xp.shape(x)[1])
        frames = xp.take(xp.reshape(x, (samples, xp.shape(x)[1])), places.reshape(-1), 1)
        found = xp.matmul(xp.reshape(frames, (samples, *places.shape)), xp.reshape(w, (n, bins * both)))
        return xp.reshape(found, (samples, len(places), bins, both))

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        n, bins, both = xp.shape(w)
        places = self._places(n, shape[1])
        flat = xp.reshape(s, (shape[0], len(places), bins * both))
        frames = xp.matmul(flat, xp.permute(xp.reshape(w, (n, bins * both)), [1, 0]))
        return xp.reshape(xp.put(xp.reshape(frames, (shape[0], places.size)), places.reshape(-1), 1, shape[1]), shape)

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """A frame for each output."""
        return math.prod(z) * w[0]

    def _places(self, n: int, length: int) -> np.ndarray:
        return np.arange(0, length - n + 1, self.step)[:, None] + np.arange(n)


@register("STFT")
def stft(node: Site, onesided: int = 1) -> Linear:
    """Fourier transforms of the frames of a real signal (samples, length, 1), under a constant window."""
    step, window, length = (node.constant(i) for i in (1, 2, 3))
    if node.variable != (0,) or step is None or (window is None and length is None):
        raise Unsupported("the step, window or length of the frames is not known", "export them as constants")
    n = int(np.asarray(length).reshape(-1)[0]) if length is not None else len(np.asarray(window))

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, None]:
        if len(operands.shape(0)) > 2 and operands.shape(0)[2] != 1:
            raise ValueError("a complex signal has no short-time transform here")
        w = fourier(n, 1, n, False, bool(onesided))[:, 0]
        shape = np.ones(n) if window is None else np.asarray(window, np.float64)
        return xp.asarray(w * shape.reshape(-1, 1, 1)), None

    return Linear(FramesMap(int(np.asarray(step).reshape(-1)[0])), 0, parameters, fixed=False)
