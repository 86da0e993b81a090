"""The four roles a node can have, Linear, Route, Merge, Activation; under a profile a fifth, Product, and Held.

A role says which map the node is at a recorded activation; it sees the node's operands through :class:`Operands` and
computes with any :class:`~onnx_lrp.backends.base.Backend`. What a planner wants to know of a node it asks the role,
never the op's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..backends.base import Array, Backend
from .maps import LinearMap, Operands, Parameters, RouteMap


class Traits:
    """What a planner may ask of any role.

    ``ruled``: it takes a rule. ``held``: it multiplies by what depends on the data, and holds that, so that LRP-0 is
    exact and no other rule fits; it is no layer to selectors. ``mixes`` and ``keeps_shape``: see :class:`LinearMap`.
    ``rectifies``: it is exactly max(x, 0). ``normalizes``: it is a BatchNormalization that could not be merged.
    """

    ruled: ClassVar[bool] = False
    held: bool = False
    rectifies: bool = False
    normalizes: bool = False
    mixes: bool = False
    keeps_shape: bool = False

    @property
    def receives(self) -> tuple[int, ...]:
        """Positions of the inputs that receive relevance."""
        raise NotImplementedError

    @property
    def values(self) -> tuple[int, ...]:
        """Positions of the inputs, constants among them, whose values reach the output; all but shapes and indices."""
        return self.receives

    def gives_nonnegative(self, known: Callable[[int], bool]) -> bool:
        """Whether the output has no negative entry, if ``known`` says of which inputs that is so."""
        raise NotImplementedError


@dataclass(frozen=True)
class Linear(Traits):
    """A map with a weight, maybe a bias (of a shape that broadcasts to the output): rules apply.

    ``data`` is the input's position; ``parameters`` gives (weight, bias). ``fixed`` says that they do not depend on
    the input's shape, so that they can be kept between runs. ``nonnegative``: the weight has no negative entry.
    ``composed``: the weight is a product of several, so that no rule but ε can modify it.
    ``diagonal``: the weight of a product with a constant, if that is known before anything runs.
    ``function``: what is computed, where that is not linear, and the map its linearisation at the recorded activation;
    ``reads_output``: the parameters are made of the output.
    """

    ruled: ClassVar[bool] = True

    map: LinearMap
    data: int
    parameters: Parameters
    fixed: bool = True
    nonnegative: bool = False
    composed: bool = False
    normalizes: bool = False
    diagonal: np.ndarray | None = field(default=None, compare=False)
    held: bool = False
    function: Callable[[Backend, Operands], Array] | None = None
    reads_output: bool = False

    @property
    def mixes(self) -> bool:  # type: ignore[override]
        """The map's."""
        return self.map.mixes and not self.held

    @property
    def keeps_shape(self) -> bool:  # type: ignore[override]
        """The map's."""
        return self.map.keeps_shape

    @property
    def receives(self) -> tuple[int, ...]:
        """The input."""
        return (self.data,)

    def gives_nonnegative(self, known: Callable[[int], bool]) -> bool:
        """An average of what is not negative; anything with a bias or signed weights is not looked into."""
        return self.nonnegative and known(self.data)

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """A(w) x + b, or the function."""
        if self.function is not None:
            return [self.function(xp, operands)]
        w, b = self.parameters(xp, operands)
        z = self.map.forward(xp, operands.value(self.data), w)
        return [z if b is None else z + b]


@dataclass(frozen=True)
class Route(Traits):
    """A :class:`RouteMap` over the inputs at ``data``; ``reads`` are those whose values the adjoint needs.

    ``moves`` are the constants whose values reach the output beside the data: of ``Where(mask, x, -1)`` the -1.
    ``adds_negative``: it adds a negative number of its own. ``copies``: what it gives are elements of the data, or
    constants; what stands for an id is neither.
    """

    map: RouteMap
    data: tuple[int, ...] = (0,)
    reads: tuple[int, ...] = ()
    moves: tuple[int, ...] = ()
    adds_negative: bool = False
    copies: bool = True

    @property
    def receives(self) -> tuple[int, ...]:
        """The data."""
        return self.data

    @property
    def values(self) -> tuple[int, ...]:
        """The data, and constants beside it."""
        return (*self.data, *self.moves)

    def gives_nonnegative(self, known: Callable[[int], bool]) -> bool:
        """If nothing that it moves is negative."""
        return not self.adds_negative and all(map(known, self.values))

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The node's outputs."""
        return self.map.forward(xp, operands)


@dataclass(frozen=True)
class Merge(Traits):
    """Adds variables with signs (and constants, a bias): relevance is shared by signed contribution.

    ``data`` are the positions of the variables, ``bias`` those of the constants, ``signs`` and ``scale`` belong to all.
    """

    ruled: ClassVar[bool] = True

    data: tuple[int, ...]
    bias: tuple[int, ...]
    signs: tuple[float, ...]
    scale: float = 1.0

    @property
    def receives(self) -> tuple[int, ...]:
        """The variables."""
        return self.data

    @property
    def values(self) -> tuple[int, ...]:
        """Variables and constants."""
        return (*self.data, *self.bias)

    @property
    def is_sum_of_two(self) -> bool:
        """Whether it is x + y, and nothing else."""
        return self.signs == (1.0, 1.0) and self.scale == 1 and not self.bias

    def gives_nonnegative(self, known: Callable[[int], bool]) -> bool:
        """A sum of what is not negative."""
        return min(self.signs) * self.scale > 0 and all(map(known, self.values))

    def contribution(self, operands: Operands, position: int) -> Array:
        """The summand of one input."""
        return self.signs[position] * self.scale * operands.value(position)

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The sum."""
        return [self.sum(operands, range(len(self.signs)))]

    def sum(self, operands: Operands, positions: Sequence[int]) -> Array:
        """The sum of some operands' contributions."""
        first, *others = positions
        total = self.contribution(operands, first)
        for position in others:
            total = total + self.contribution(operands, position)
        return total


@dataclass(frozen=True)
class Activation(Traits):
    """Elementwise, monotone, through zero, or a positive factor taken as constant: relevance passes unchanged.

    ``nonnegative``: its output has no negative entry. ``rectifies``: it is exactly max(x, 0). The last two do not hold
    for what passes on somebody's word: ``keeps_sign``, no input >= 0 gives an output < 0; ``through_zero``, 0 gives 0.
    ``data`` is empty where a gate opens for a constant: that absorbs the relevance, like a bias.
    ``numbers`` are outputs beside the first, which say something about the data and receive no relevance.
    ``batchwise``: samples are mapped independently.
    ``factor``: the output is the data times this, which is held; of relevance c times the output, c times the factor is
    a multiple of the data. ``reads`` are the positions of the inputs that the factor is made of.
    """

    function: Callable[[Backend, Operands], Array]
    nonnegative: bool = False
    rectifies: bool = False
    data: int | tuple[int, ...] = 0
    keeps_sign: bool = True
    through_zero: bool = True
    numbers: Callable[[Backend, Operands], list[Array]] | None = None
    batchwise: bool = True
    factor: Callable[[Backend, Operands], Array] | None = None
    reads: tuple[int, ...] = ()

    @property
    def receives(self) -> tuple[int, ...]:
        """The signal, if there is one."""
        return self.data if isinstance(self.data, tuple) else (self.data,)

    def gives_nonnegative(self, known: Callable[[int], bool]) -> bool:
        """By what it is, or if its input is not negative and the sign is kept."""
        return self.nonnegative or (self.keeps_sign and bool(self.receives) and all(map(known, self.receives)))

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The activation, and the numbers."""
        return [self.function(xp, operands), *(self.numbers(xp, operands) if self.numbers is not None else ())]


@dataclass(frozen=True)
class Product(Traits):
    """Linear in each of two variables: each has half of the relevance, as if the other one were the weight.

    Only under a profile (Achtibat et al. 2024, propositions 3.2 and 3.3). Each of ``sides`` is the map of one variable.
    """

    ruled: ClassVar[bool] = True

    sides: tuple[Linear, Linear]
    held: bool = True

    @property
    def receives(self) -> tuple[int, ...]:
        """Both variables."""
        return tuple(side.data for side in self.sides)

    def gives_nonnegative(self, known: Callable[[int], bool]) -> bool:
        """If neither has a negative entry."""
        return all(map(known, self.receives))

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The product."""
        return self.sides[0].forward(xp, operands)


@dataclass(frozen=True)
class Held(Traits):
    """Has a value, which depends on the data, and is taken as a constant wherever it is read: no relevance arrives."""

    compute: Callable[[Backend, Operands], list[Array]]

    @property
    def receives(self) -> tuple[int, ...]:
        """Nothing."""
        return ()

    def gives_nonnegative(self, known: Callable[[int], bool]) -> bool:
        """Nobody asks."""
        return False

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The node's outputs."""
        return self.compute(xp, operands)


Role = Linear | Route | Merge | Activation | Product | Held
