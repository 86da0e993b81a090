"""Routes that leave some elements out: a triangle of a matrix, or positions by a constant condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Route
from .routes import Pick, SelectMap
from .routing import constants_only


@dataclass(frozen=True)
class TriangleMap:
    """The upper or lower triangle, zeros elsewhere."""

    upper: bool

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The triangle."""
        return [xp.where(self._inside(xp, operands), operands.value(0), 0.0)]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Its relevance."""
        return [xp.where(self._inside(xp, operands), relevance[0], 0.0)]

    def _inside(self, xp: Backend, operands: Operands) -> Array:
        rows, columns = operands.shape(0)[-2:]
        given = operands.constant(1)
        k = 0 if given is None else int(np.asarray(given).reshape(-1)[0])
        gap = np.arange(columns) - np.arange(rows)[:, None] - k
        return xp.asarray(gap >= 0 if self.upper else gap <= 0)


@register("Trilu")
def trilu(node: Site, upper: int = 1) -> Route:
    """Triangle above (or below) the k-th diagonal."""
    constants_only(node)
    return Route(TriangleMap(bool(upper)))


@register("Compress")
def compress(node: Site, axis: int | None = None) -> Route:
    """The positions of an axis, or of the flattened tensor, where a constant condition holds."""
    if node.variable != (0,) or node.constant(1) is None:
        raise Unsupported("selects by the data, and with it the shape", "explain an earlier output")
    kept = np.flatnonzero(np.asarray(node.constant(1)).reshape(-1))

    def picks(operands: Operands) -> list[list[Pick]]:
        return [[(axis % len(operands.shape(0)), kept)]]  # type: ignore[operator]

    return Route(SelectMap(picks) if axis is not None else FlatPickMap(kept))


@dataclass(frozen=True, eq=False)
class FlatPickMap:
    """Positions of the flattened tensor."""

    kept: np.ndarray

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The picked elements."""
        return [xp.take(xp.reshape(operands.value(0), (-1,)), self.kept, 0)]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance where they stood."""
        shape = operands.shape(0)
        return [xp.reshape(xp.put(relevance[0], self.kept, 0, int(np.prod(shape))), shape)]
