"""The four roles a node can have, and no fifth: Linear, Route, Merge, Pass.

A role says which map the node is at a recorded activation; it sees the node's operands through :class:`Operands` and
computes with any :class:`~onnx_lrp.backends.base.Backend`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..backends.base import Array, Backend, Shape


class Operands(Protocol):
    """The inputs of one node during one run."""

    def value(self, position: int) -> Array:
        """The input's array, on the backend."""

    def shape(self, position: int) -> Shape:
        """The input's shape."""

    def constant(self, position: int) -> np.ndarray | None:
        """An input that does not depend on the data, as NumPy; None if it is left out."""


class LinearMap(Protocol):
    """z = A(w) x, linear in x and in w, without bias.

    ``batchwise``: the first axis of x counts samples, each of which is mapped on its own.
    """

    @property
    def batchwise(self) -> bool:
        """Whether samples are mapped independently."""

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A(w) x."""

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """A(w)ᵀ s, of x's shape."""

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """How many products ``forward`` sums, for these shapes of x, w and A(w) x: one per output, if not told."""
        return math.prod(z)

    # What follows from these two, and what a map may know a cheaper way to

    def forward_sum(self, xp: Backend, xs: Sequence[Array], ws: Sequence[Array]) -> Array:
        """Σ A(w_i) x_i."""
        total = self.forward(xp, xs[0], ws[0])
        for x, w in zip(xs[1:], ws[1:]):
            total = total + self.forward(xp, x, w)
        return total

    def transpose_each(self, xp: Backend, s: Array, ws: Sequence[Array], shape: Shape) -> list[Array]:
        """A(w_i)ᵀ s of each weight."""
        return [self.transpose(xp, s, w, shape) for w in ws]

    def collect(self, xp: Backend, x: Array, w: Array) -> Array:
        """A(1) x, with ones in w's place, of a shape that broadcasts to the output."""
        return self.forward(xp, x, xp.ones_like(w))

    def spread(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """A(1)ᵀ s, with ones in w's place."""
        return self.transpose(xp, s, xp.ones_like(w), shape)


Parameters = Callable[[Backend, Operands], tuple[Array, Array | None]]


@dataclass(frozen=True)
class Linear:
    """A map with a weight, maybe a bias (of a shape that broadcasts to the output): rules apply.

    ``data`` is the input's position; ``parameters`` gives (weight, bias). ``fixed`` says that they do not depend on
    the input's shape, so that they can be kept between runs. ``nonnegative``: the weight has no negative entry.
    ``composed``: the weight is a product of several, so that no rule but ε can modify it.
    """

    map: LinearMap
    data: int
    parameters: Parameters
    fixed: bool = True
    nonnegative: bool = False
    composed: bool = False

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """A(w) x + b."""
        w, b = self.parameters(xp, operands)
        z = self.map.forward(xp, operands.value(self.data), w)
        return [z if b is None else z + b]


class RouteMap(Protocol):
    """Moves or selects values, never mixes them."""

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The node's outputs."""

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance of each output (None: nothing arrived) -> relevance of each data input. No division."""


@dataclass(frozen=True)
class Route:
    """A :class:`RouteMap` over the inputs at ``data``; ``reads`` are those whose values the adjoint needs."""

    map: RouteMap
    data: tuple[int, ...] = (0,)
    reads: tuple[int, ...] = ()

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The node's outputs."""
        return self.map.forward(xp, operands)


@dataclass(frozen=True)
class Merge:
    """Adds variables with signs (and constants, a bias): relevance is shared by signed contribution.

    ``data`` are the positions of the variables, ``bias`` those of the constants, ``signs`` and ``scale`` belong to all.
    """

    data: tuple[int, ...]
    bias: tuple[int, ...]
    signs: tuple[float, ...]
    scale: float = 1.0

    def contribution(self, operands: Operands, position: int) -> Array:
        """The summand of one input."""
        return self.signs[position] * self.scale * operands.value(position)

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The sum."""
        total = self.contribution(operands, 0)
        for position in range(1, len(self.signs)):
            total = total + self.contribution(operands, position)
        return [total]


@dataclass(frozen=True)
class Pass:
    """Elementwise, monotone, through zero, or a positive factor taken as constant: relevance passes unchanged.

    ``nonnegative``: its output has no negative entry. ``rectifies``: it is exactly max(x, 0). The last two do not hold
    for what passes on somebody's word: ``keeps_sign``, no input >= 0 gives an output < 0; ``through_zero``, 0 gives 0.
    ``data`` is empty where a gate opens for a constant: that absorbs the relevance, like a bias.
    ``numbers`` are outputs beside the first, which say something about the data and receive no relevance.
    ``batchwise``: samples are mapped independently.
    """

    function: Callable[[Backend, Operands], Array]
    nonnegative: bool = False
    rectifies: bool = False
    data: int | tuple[int, ...] = 0
    keeps_sign: bool = True
    through_zero: bool = True
    numbers: Callable[[Backend, Operands], list[Array]] | None = None
    batchwise: bool = True

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The activation, and the numbers."""
        return [self.function(xp, operands), *(self.numbers(xp, operands) if self.numbers is not None else ())]


Role = Linear | Route | Merge | Pass
