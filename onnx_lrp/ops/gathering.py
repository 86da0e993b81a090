"""Routes that pick by tables of constants: Gather, GatherElements, GatherND, and Where with a constant condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend, Shape, sum_to
from .lookup import looked_up
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Route
from .routes import SelectMap


@dataclass(frozen=True)
class GatherMap:
    """Gather along one axis, with indices of any rank in place of that axis."""

    axis: int

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        shape, axis, indices = self._resolved(operands)
        picked = xp.take(operands.value(0), indices.reshape(-1), axis)
        return [xp.reshape(picked, (*shape[:axis], *indices.shape, *shape[axis + 1 :]))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance added where it was gathered."""
        shape, axis, indices = self._resolved(operands)
        flat = xp.reshape(relevance[0], (*shape[:axis], indices.size, *shape[axis + 1 :]))
        return [SelectMap.put(xp, flat, [(axis, indices.reshape(-1))], shape)]

    def _resolved(self, operands: Operands) -> tuple[Shape, int, np.ndarray]:
        shape = operands.shape(0)
        axis = self.axis % len(shape)
        indices = np.asarray(operands.constant(1))
        return shape, axis, np.where(indices < 0, indices + shape[axis], indices)


@dataclass(frozen=True)
class GatherNDMap:
    """Gather by tuples of constant indices (the last axis of the table) into the first axes."""

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        flat, table, tail = self._resolved(operands)
        rows = xp.reshape(operands.value(0), (flat, *tail))
        return [xp.reshape(xp.take(rows, table.reshape(-1), 0), (*table.shape, *tail))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance added where it was gathered."""
        flat, table, tail = self._resolved(operands)
        rows = xp.reshape(relevance[0], (table.size, *tail))
        return [xp.reshape(xp.put(rows, table.reshape(-1), 0, flat), operands.shape(0))]

    @staticmethod
    def _resolved(operands: Operands) -> tuple[int, np.ndarray, Shape]:
        return tuple_places(np.asarray(operands.constant(1)), operands.shape(0))


def tuple_places(tuples: np.ndarray, shape: Shape) -> tuple[int, np.ndarray, Shape]:
    """Of tuples of indices into the first axes: the size of these taken as one, positions along it, the axes behind."""
    depth = tuples.shape[-1]
    head, tail = shape[:depth], shape[depth:]
    wrapped = np.where(tuples < 0, tuples + np.array(head), tuples)
    if not ((wrapped >= 0) & (wrapped < np.array(head))).all():
        raise IndexError("an index is out of range")
    strides = np.array([math.prod(head[i + 1 :]) for i in range(depth)], np.int64)
    return math.prod(head), (wrapped * strides).sum(-1), tail


def element_places(indices: np.ndarray, axis: int, shape: Shape) -> np.ndarray:
    """Positions in the flattened tensor of elements whose index along one axis is given, the others being their own."""
    places = np.indices(indices.shape)
    along = axis % len(shape)
    places[along] = np.where(indices < 0, indices + shape[along], indices)
    return np.asarray(np.ravel_multi_index(tuple(places), shape))


def shared_places(operands: Operands, axis: int) -> tuple[Shape, np.ndarray]:
    """The axis of samples, if all have the same indices (at 1), and the places behind it; else none, and all places."""
    shape = operands.shape(0)
    row = operands.same_rows(1) if axis % len(shape) else None
    if row is not None and operands.shape(1)[0] == shape[0]:
        return shape[:1], element_places(row, axis % len(shape) - 1, shape[1:])
    return (), element_places(np.asarray(operands.constant(1)), axis, shape)


@dataclass(frozen=True)
class GatherElementsMap:
    """Single elements along an axis."""

    axis: int

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        lead, places = shared_places(operands, self.axis)
        rest = operands.shape(0)[len(lead) :]
        flat = xp.reshape(operands.value(0), (*lead, math.prod(rest)))
        return [xp.reshape(xp.take(flat, places.reshape(-1), len(lead)), (*lead, *places.shape))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance added where it was gathered."""
        lead, places = shared_places(operands, self.axis)
        shape = operands.shape(0)
        flat = xp.reshape(relevance[0], (*lead, places.size))
        back = xp.put(flat, places.reshape(-1), len(lead), math.prod(shape[len(lead) :]))
        return [xp.reshape(back, shape)]


@dataclass(frozen=True)
class ChoiceMap:
    """Where with a constant condition: every output is a copy of one operand's element."""

    data: tuple[int, ...]

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        return [xp.where(self._condition(xp, operands), operands.value(1), operands.value(2))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance to the operand that was chosen."""
        sides = {1: (relevance[0], 0.0), 2: (0.0, relevance[0])}
        chosen = {i: xp.where(self._condition(xp, operands), *sides[i]) for i in self.data}
        return [sum_to(xp, r, operands.shape(i)) for i, r in chosen.items()]

    @staticmethod
    def _condition(xp: Backend, operands: Operands) -> Array:
        if operands.is_open(0):
            return operands.value(0) > 0.5
        return xp.asarray(np.asarray(operands.constant(0), bool))


@register("Gather")
def gather(node: Site, axis: int = 0) -> Route:
    """Gather with constant indices, or with ids from a constant table."""
    return looked_up(node, axis) if 1 in node.variable else Route(GatherMap(axis))


@register("GatherElements")
def gather_elements(node: Site, axis: int = 0) -> Route:
    """GatherElements with constant indices."""
    if 1 in node.variable:
        raise Unsupported("the indices depend on the data", "only constant ones can be explained")
    return Route(GatherElementsMap(axis))


@register("GatherND")
def gather_nd(node: Site, batch_dims: int = 0) -> Route:
    """GatherND with constant indices."""
    if 1 in node.variable:
        raise Unsupported("the indices depend on the data", "only constant ones can be explained")
    if batch_dims:
        raise Unsupported(f"batch_dims={batch_dims}", "export with indices that are the same for all samples")
    return Route(GatherNDMap())


@register("Where")
def where(node: Site) -> Route:
    """Where with a constant condition."""
    if 0 in node.variable:
        raise Unsupported(
            "decides by the data which values count, and is not part of a ReLU, LeakyReLU or Clip",
            "write it with ReLU, LeakyReLU or Clip, or explain an earlier output",
        )
    return Route(ChoiceMap(node.variable), data=node.variable, moves=tuple({1, 2} - set(node.variable)))
