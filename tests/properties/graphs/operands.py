"""Constant operands: of every shape that broadcasts, and of either sign, because much is concluded from a sign."""

from __future__ import annotations

import numpy as np

from .sketch import Shape, Sketch


def broadcastable(s: Sketch, x: str) -> Shape:
    """A shape that broadcasts to x: a number, per channel, per feature, per element, per sample."""
    shape = s.shapes[x]
    full = [n if i and s.chance() else 1 for i, n in enumerate(shape)]
    options = [(), (1,), shape[1:][-1:], tuple(full), tuple(full[1:])]
    return s.pick([*options, (shape[0], *full[1:])] if s.fixed else options)


def widening(s: Sketch, x: str) -> Shape:
    """Of x's rank, and of any size where x has 1: x is broadcast to it."""
    return (1, *(s.whole(1, 3) if n == 1 else s.pick([1, n]) for n in s.shapes[x][1:]))


def operand(s: Sketch, x: str) -> str:
    """A constant to add, to choose from, or to compare with x."""
    return values(s, widening(s, x) if s.chance(15) else broadcastable(s, x))


def values(s: Sketch, shape: Shape) -> str:
    """All positive, all negative, of both signs, or the same number everywhere."""
    a = s.rng.standard_normal(shape) * 0.3
    kind = s.pick(["mixed", "mixed", "positive", "negative", "one number"])
    if kind == "one number":
        a = np.full(shape, s.pick([-1.0, 0.0, 1.0, -20.0]))
    return s.constant(np.asarray({"positive": np.abs(a), "negative": -np.abs(a)}.get(kind, a)))
