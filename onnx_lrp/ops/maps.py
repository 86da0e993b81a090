"""What a node computes at a recorded activation: its operands, and the maps that a role may have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

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

    def output(self) -> Array:
        """The node's own (first) output, on the way back."""
        raise LookupError("there is none before the node is computed")

    def is_open(self, position: int) -> bool:
        """Whether only a run knows the value of a constant, so that :meth:`constant` cannot be asked for it."""
        return False

    def same_rows(self, position: int) -> np.ndarray | None:
        """One row of a constant whose rows, one for each sample, are all the same; None if they are not.

        It is known even where the number of samples is open.
        """
        return None


class LinearMap(Protocol):
    """z = A(w) x, linear in x and in w, without bias.

    ``batchwise``: the first axis of x counts samples, each of which is mapped on its own. ``mixes``: an output is the
    sum of several inputs by weights of its own, so that the node is a layer in the sense of composites.
    ``keeps_shape``: z has the shape of x, element by element.
    """

    mixes: ClassVar[bool] = False
    keeps_shape: ClassVar[bool] = False

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

    def forward_ones(self, xp: Backend, x: Array, w: Array) -> Array:
        """A(1) x, with ones in w's place, of a shape that broadcasts to the output."""
        return self.forward(xp, x, xp.ones_like(w))

    def transpose_ones(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """A(1)ᵀ s, with ones in w's place."""
        return self.transpose(xp, s, xp.ones_like(w), shape)


Parameters = Callable[[Backend, Operands], tuple[Array, Array | None]]


class RouteMap(Protocol):
    """Moves or selects values, never mixes them."""

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The node's outputs."""

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance of each output (None: nothing arrived) -> relevance of each data input. No division."""
