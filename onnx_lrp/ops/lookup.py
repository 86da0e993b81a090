"""Integer ids: a row of a table, a one-hot vector, or a comparison. All three are one linear map of the id's one-hot
vector, whose relevance is summed: the id gets one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend, sum_to
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Route


@dataclass(frozen=True)
class TableMap:
    """table[id], the ids in place of an axis."""

    axis: int
    data: int = 1

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The rows."""
        return [xp.lookup(operands.value(0), operands.value(1), self.axis % len(operands.shape(0)))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """The sum over a row."""
        axis, ids = self.axis % len(operands.shape(0)), operands.shape(1)
        rank = len(xp.shape(relevance[0]))
        others = [*range(axis), *range(axis + len(ids), rank)]
        return [xp.sum(relevance[0], others)]


@dataclass(frozen=True)
class OneHotMap:
    """``on`` at the id's place of a new axis, ``off`` elsewhere."""

    axis: int
    data: int = 0

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The vectors."""
        depth, (off, on) = self._depth(operands), operands.constant(2)  # type: ignore[misc]
        shape, axis = list(operands.shape(0)), self._place(operands)
        ids = xp.truncate(operands.value(0))
        column = xp.reshape(ids, [*shape[:axis], 1, *shape[axis:]])
        wrapped = xp.where(column < 0, column + float(depth), column)
        places = np.arange(depth, dtype=np.float64).reshape(-1, *(1,) * (len(shape) - axis))
        return [xp.where(xp.abs(wrapped - xp.asarray(places)) < 0.5, float(on), float(off))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """The sum over a vector."""
        return [xp.sum(relevance[0], [self._place(operands)])]

    def _place(self, operands: Operands) -> int:
        return self.axis % (len(operands.shape(0)) + 1)

    @staticmethod
    def _depth(operands: Operands) -> int:
        return int(np.asarray(operands.constant(1)).reshape(-1)[0])


@dataclass(frozen=True)
class EqualMap:
    """1 where the id is the constant, else 0; ``data`` is the id's position."""

    data: int

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The matches."""
        ids = xp.truncate(operands.value(self.data))
        wanted = xp.asarray(np.asarray(operands.constant(1 - self.data), np.float64))
        return [xp.where(xp.abs(ids - wanted) < 0.5, 1.0, 0.0)]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """The sum over what the id was compared with."""
        return [sum_to(xp, relevance[0], operands.shape(self.data))]


def looked_up(node: Site, axis: int) -> Route:
    """Gather with a constant table, by ids that depend on the data."""
    if 0 in node.variable:
        raise Unsupported("the indices depend on the data", "only constant ones can be explained")
    return Route(TableMap(axis), data=(1,), moves=(0,), copies=False)


@register("OneHot")
def one_hot(node: Site, axis: int = -1) -> Route:
    """OneHot of ids."""
    if node.variable != (0,):
        raise Unsupported("the depth or a value depends on the data", "export them as constants")
    return Route(OneHotMap(axis), moves=(2,), copies=False)


@register("Equal")
def equal(node: Site) -> Route:
    """Whether an id, an integer, is a constant."""
    if len(node.variable) != 1 or not node.is_integer(node.variable[0]):
        raise Unsupported(
            "decides by the data which values count, and is not part of a ReLU, LeakyReLU or Clip",
            "write it with ReLU, LeakyReLU or Clip, or explain an earlier output",
        )
    return Route(EqualMap(node.variable[0]), data=node.variable, copies=False)
