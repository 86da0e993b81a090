"""What a rule does to an input or a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend
from ..errors import CompositeError

Modifier = Callable[[Backend, Array], Array]
Bound = float | tuple[float, ...] | np.ndarray


@dataclass(frozen=True)
class Signed:
    """a ↦ positive·a⁺ + negative·a⁻: what most rules do to a weight, as numbers that can be reckoned with."""

    positive: float
    negative: float

    def __call__(self, xp: Backend, a: Array) -> Array:
        """The modified array."""
        up, down = self.positive, self.negative
        if up == down:
            return a if up == 1 else up * a
        if up == 0:
            return times(down, xp.minimum(a, 0.0))
        return times(up, xp.leaky(a, down / up) if down else xp.maximum(a, 0.0))

    def scaled(self, factor: float) -> Signed:
        """factor · what it gives."""
        return Signed(factor * self.positive, factor * self.negative)


def times(factor: float, a: Array) -> Array:
    """factor · a, without a pass for a factor of 1."""
    return a if factor == 1 else factor * a


identity = Signed(1, 1)  # unmodified
pos = Signed(1, 0)  # max(a, 0)
neg = Signed(0, 1)  # min(a, 0)


def square(_: Backend, a: Array) -> Array:
    """a²."""
    return a * a


def ones(xp: Backend, a: Array) -> Array:
    """1 everywhere."""
    return xp.ones_like(a)


def constant(bound: Bound) -> Modifier:
    """The same value for every input; a sequence has one entry per channel (axis 1)."""

    def modifier(xp: Backend, a: Array) -> Array:
        value = np.asarray(bound, np.float64)
        shape = xp.shape(a)
        if value.ndim == 1 and value.size > 1:
            value = value.reshape(-1, *(1,) * (len(shape) - 2))
        aligned = (1,) * (len(shape) - value.ndim) + value.shape
        if len(aligned) != len(shape) or any(v not in (1, n) for n, v in zip(shape[1:], aligned[1:])):
            raise CompositeError(f"bounds of shape {value.shape} do not fit an input of shape {tuple(shape)}")
        return xp.expand(xp.asarray(value), tuple(n if v == 1 else v for n, v in zip(shape, aligned)))

    return modifier


SIGNS: dict[Modifier, int] = {pos: 1, neg: -1, square: 1, ones: 1}
