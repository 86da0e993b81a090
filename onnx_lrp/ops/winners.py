"""Routes to the largest or smallest of an axis or of several tensors, or to its first few. The winner takes all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend, sum_to
from .maps import Operands
from .pooling import Axes, SumMap, reduced_axes
from .registry import Site, Unsupported, register
from .roles import Route


@dataclass(frozen=True)
class LargestMap:
    """The ``count`` largest (or, with sign -1, smallest) over axes; the first one on ties.

    Without ``count`` there is one, and the axes vanish or, with ``keepdims``, have size 1.
    """

    axes: Axes
    keepdims: bool = True
    sign: float = 1.0
    count: int | None = None

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The winners' values."""
        rows, axes = self._rows(xp, operands.value(0))
        values = xp.gather(rows, self._winners(xp, rows))
        shape = operands.shape(0)
        if self.count is not None:
            order = self._order(len(shape), axes)
            return [xp.permute(values, [order.index(i) for i in range(len(order))])]
        kept = [1 if i in axes else n for i, n in enumerate(shape)]
        return [xp.reshape(values, kept if self.keepdims else [n for i, n in enumerate(kept) if i not in axes])]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance to the winners."""
        shape = operands.shape(0)
        rows, axes = self._rows(xp, operands.value(0))
        order, winners = self._order(len(shape), axes), self._winners(xp, rows)
        came = xp.permute(relevance[0], order) if self.count is not None else relevance[0]
        spread = xp.scatter(xp.reshape(came, xp.shape(winners)), winners, xp.shape(rows)[-1])
        moved = xp.reshape(spread, [shape[i] for i in order])
        return [xp.permute(moved, [order.index(i) for i in range(len(order))])]

    def _winners(self, xp: Backend, rows: Array) -> Array:
        signed = rows if self.sign == 1 else self.sign * rows
        return xp.argmax(signed) if self.count is None else xp.top(signed, self.count)

    def _rows(self, xp: Backend, x: Array) -> tuple[Array, list[int]]:
        """The axes as one last axis."""
        shape = xp.shape(x)
        axes = SumMap(self.axes, True).resolved(len(shape))
        moved = xp.permute(x, self._order(len(shape), axes))
        kept = [n for i, n in enumerate(shape) if i not in axes]
        return xp.reshape(moved, (*kept, math.prod(shape[i] for i in axes))), axes

    @staticmethod
    def _order(rank: int, axes: list[int]) -> list[int]:
        return [i for i in range(rank) if i not in axes] + axes


@register("GlobalMaxPool")
def global_max_pool(node: Site) -> Route:
    """Maximum over all spatial axes."""
    return Route(LargestMap("spatial"), reads=(0,))


@register("ReduceMax", "ReduceMin")
def reduce_extreme(node: Site, axes: Sequence[int] | None = None, keepdims: int = 1,
                   noop_with_empty_axes: int = 0) -> Route:  # fmt: skip
    """Maximum or minimum over axes: attribute, or input since opset 18."""
    sign = 1.0 if node.op_type == "ReduceMax" else -1.0
    return Route(LargestMap(reduced_axes(node, axes, noop_with_empty_axes), bool(keepdims), sign), reads=(0,))


@register("TopK")
def top_k(node: Site, axis: int = -1, k: int | None = None, largest: int = 1, sorted: int = 1) -> Route:
    """The largest or smallest values of an axis, in order; their places are numbers that get no relevance."""
    given = node.constant(1) if node.has(1) else k
    if given is None:
        raise Unsupported("how many it selects depends on the data", "export it with a constant k")
    if not sorted:
        raise Unsupported("selects in no order", "export it with sorted=1")
    return Route(LargestMap((axis,), True, 1.0 if largest else -1.0, int(np.asarray(given).reshape(-1)[0])), reads=(0,))


@dataclass(frozen=True)
class ExtremeMap:
    """Elementwise maximum (or minimum) of several variables: the winner takes all, the first one on ties."""

    data: tuple[int, ...]
    sign: float

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The extremes."""
        best = operands.value(0)
        for i in self.data[1:]:
            value = operands.value(i)
            best = xp.where(self.sign * value > self.sign * best, value, best)
        return [best]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance to the winners."""
        (best,), left = self.forward(xp, operands), relevance[0]
        shares = []
        for i in self.data:
            share = xp.where(operands.value(i) == best, left, 0.0)
            shares.append(sum_to(xp, share, operands.shape(i)))
            left = left - share
        return shares


@register("Max", "Min")
def extreme(node: Site) -> Route:
    """Max or Min of variables (Maxout); with a constant it is no selection (and what is a ReLU is named so before)."""
    if len(node.variable) != node.arity:
        raise Unsupported(
            "neither a ReLU nor a clip: compares with a constant other than 0",
            "use max(x, 0), or explain an earlier output",
        )
    return Route(ExtremeMap(node.variable, 1.0 if node.op_type == "Max" else -1.0), node.variable, node.variable)
