"""Steps that choose among values, by a mask, by a table of indices, or the largest, and that join constants to them."""

from __future__ import annotations

import numpy as np

from .operands import broadcastable, operand, values, widening
from .sketch import Sketch, need


def where(s: Sketch, x: str, other: str) -> str:
    """A constant mask, with x on either side: masked_fill if the other one is a constant."""
    shape = widening(s, x) if s.chance(15) else broadcastable(s, x)
    mask = s.constant(s.rng.random(shape) < s.pick([0.2, 0.5, 0.9]))
    return s.op("Where", mask, *s.shuffled([x, other]))


def masked_fill(s: Sketch, x: str) -> str:
    """Often of a ReLU: nonnegative, but for what it is filled with."""
    y = s.op("Relu", x) if s.chance() else x
    return where(s, y, operand(s, y))


def extreme(s: Sketch, operands: list[str]) -> str:
    return s.op(s.pick(["Max", "Min"]), *s.shuffled(operands))


def gather_nd(s: Sketch, x: str) -> str:
    """Into axes behind the samples, which stand last meanwhile; or, of a fixed batch, into the samples, too."""
    need(s.rank(x) >= 2)
    if s.fixed and s.chance():
        return gather_samples(s, x)
    order = [*range(1, s.rank(x)), 0]
    turned = s.hidden("Transpose", x, perm=order)
    depth = s.whole(1, s.rank(x) - 1)
    picked = s.hidden("GatherND", turned, s.constant(table(s, s.shapes[turned][:depth], s.pick([(), (1,), (3,)]))))
    last = s.rank(picked) - 1
    return s.op("Transpose", picked, perm=[last, *range(last)])


def gather_samples(s: Sketch, x: str) -> str:
    """Tuples that begin with their own sample's number."""
    depth = s.whole(2, s.rank(x))
    inner = table(s, s.shapes[x][1:depth], (s.samples, *s.pick([(), (1,), (3,)])))
    own = np.arange(s.samples).reshape(-1, *(1,) * (inner.ndim - 1))
    own = np.broadcast_to(own, (*inner.shape[:-1], 1))
    return s.op("GatherND", x, s.constant(np.concatenate([own, inner], -1)))


def table(s: Sketch, sizes: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Indices into axes of these sizes, counted from either side."""
    return np.stack([s.rng.integers(-n, n, shape) for n in sizes], -1)


def token(s: Sketch, x: str) -> str:
    """A learned constant joined to every sample of a fixed batch."""
    rank = s.rank(x)
    need(s.fixed and rank >= 2)
    axis = s.whole(1, rank - 1)
    shape = [s.whole(1, 2) if i == axis else n for i, n in enumerate(s.shapes[x])]
    y = s.op("Relu", x) if s.chance() else x
    return s.op("Concat", *s.shuffled([y, values(s, tuple(shape))]), axis=axis)


CHOICES = [masked_fill, masked_fill, gather_nd, token]
