"""Scatter by constant indices: values put in others' places are a route, added ones a linear map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..backends.base import Array, Backend, Shape
from .gathering import shared_places, tuple_places
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, register
from .roles import Linear, Route


@dataclass(frozen=True, eq=False)
class Places:
    """Where rows go: the ``positions`` of ``rows`` rows, each of the shape ``tail``, along all ``lead`` axes alike."""

    positions: np.ndarray
    rows: int
    tail: Shape = ()
    lead: Shape = ()

    @property
    def axis(self) -> int:
        """Along which the rows are."""
        return len(self.lead)

    def flat(self, xp: Backend, a: Array, count: int) -> Array:
        """So many rows, one below the other."""
        return xp.reshape(a, (*self.lead, count, *self.tail))

    def cut(self, xp: Backend, a: Array, first: int, last: int) -> Array:
        """Without so many rows at either end."""
        still = [0] * len(self.tail)
        return xp.pad(a, [*[0] * self.axis, -first, *still], [*[0] * self.axis, -last, *still])


Placing = Callable[[Operands], Places]


@dataclass(frozen=True)
class OverwriteMap:
    """The data, but with the updates where these go; the last one where several do."""

    placing: Placing
    data: tuple[int, ...]

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The mixture."""
        places, table = self._table(operands)
        both = [
            places.flat(xp, operands.value(0), places.rows),
            places.flat(xp, operands.value(2), places.positions.size),
        ]
        return [xp.reshape(xp.take(xp.concat(both, places.axis), table, places.axis), operands.shape(0))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance to what is seen of either."""
        places, table = self._table(operands)
        n, m = places.rows, places.positions.size
        back = xp.put(places.flat(xp, relevance[0], n), table, places.axis, n + m)
        parts = {0: places.cut(xp, back, 0, m), 2: places.cut(xp, back, n, 0)}
        return [xp.reshape(parts[i], operands.shape(i)) for i in self.data]

    def _table(self, operands: Operands) -> tuple[Places, np.ndarray]:
        """Which row of both each row of the output is."""
        places = self.placing(operands)
        table = np.arange(places.rows)
        table[places.positions] = places.rows + np.arange(places.positions.size)
        return places, table


@dataclass(frozen=True)
class ScatterSumMap(LinearMap):
    """Sums of the updates that go to a place, zeros elsewhere; w says where, and in which shape."""

    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        places, shape = w
        rows = places.flat(xp, x, places.positions.size)
        return xp.reshape(xp.put(rows, places.positions, places.axis, places.rows), shape)

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        places, _ = w
        return xp.reshape(xp.take(places.flat(xp, s, places.rows), places.positions, places.axis), shape)

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """Each update once."""
        return math.prod(x)


@register("ScatterElements", "Scatter")
def scatter_elements(node: Site, axis: int = 0, reduction: str = "none") -> Route | Linear:
    """Single elements along an axis."""

    def placing(operands: Operands) -> Places:
        lead, positions = shared_places(operands, axis)
        return Places(positions.reshape(-1), math.prod(operands.shape(0)[len(lead) :]), (), lead)

    return _scatter(node, placing, reduction)


@register("ScatterND")
def scatter_nd(node: Site, reduction: str = "none") -> Route | Linear:
    """Rows, by tuples of indices into the first axes."""

    def placing(operands: Operands) -> Places:
        rows, positions, tail = tuple_places(np.asarray(operands.constant(1)), operands.shape(0))
        return Places(positions.reshape(-1), rows, tail)

    return _scatter(node, placing, reduction)


def _scatter(node: Site, placing: Placing, reduction: str) -> Route | Linear:
    if 1 in node.variable:
        raise Unsupported("the indices depend on the data", "only constant ones can be explained")
    if reduction == "none":
        constants = tuple(sorted({0, 2} - set(node.variable)))
        return Route(OverwriteMap(placing, node.variable), data=node.variable, moves=constants)
    if reduction != "add" or node.variable != (2,):
        raise Unsupported(f"scatters with reduction={reduction!r}", "only none, add, max and min can be explained")

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array]:
        return (placing(operands), operands.shape(0)), operands.value(0)

    return Linear(ScatterSumMap(), 2, parameters, fixed=False, nonnegative=True, composed=True)
