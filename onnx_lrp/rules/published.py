"""The rules that have been published, each with its source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import CompositeError
from .modifiers import Bound, Signed, constant, identity, neg, ones, pos, square
from .parts import Part, Term
from .rule import Rule, Stabilizer, is_at_least_0


@dataclass(frozen=True)
class Epsilon(Rule):
    """R_j = x_j Σ_k w_jk R_k / (z_k + ε sign z_k) (Bach et al. 2015, eq. 58)."""

    epsilon: Stabilizer = 1e-6

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(identity, identity),), bias=identity),)


@dataclass(frozen=True)
class Zero(Epsilon):
    """LRP-0: Epsilon with ε = 0; an output of exactly 0 gives nothing (Bach et al. 2015, eq. 56)."""

    epsilon: Stabilizer = 0.0


@dataclass(frozen=True)
class Gamma(Rule):
    """Favours contributions of the output's own sign by γ (Montavon et al. 2019; signed: Andéol et al. 2021).

    Outputs z > 0 use x⁺(W+γW⁺) + x⁻(W+γW⁻), outputs z < 0 use x⁺(W+γW⁻) + x⁻(W+γW⁺); z = 0 gives nothing.
    """

    gamma: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_at_least_0(self.gamma):
            raise CompositeError(f"Gamma: gamma must be a number >= 0, not {self.gamma!r}")

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        up, down = Signed(1 + self.gamma, 1), Signed(1, 1 + self.gamma)
        return (
            Part((Term(pos, up), Term(neg, down)), bias=up, gate="positive"),
            Part((Term(pos, down), Term(neg, up)), bias=down, gate="negative"),
        )


@dataclass(frozen=True)
class AlphaBeta(Rule):
    """α times the positive contributions minus β times the negative ones, α − β = 1 (Bach et al. 2015, eq. 60)."""

    alpha: float = 2.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = is_at_least_0(self.alpha) and is_at_least_0(self.beta)
        if not numbers or self.alpha < 1 or abs(self.alpha - self.beta - 1) >= 1e-9:
            raise CompositeError(f"AlphaBeta: alpha - beta must be 1 and beta >= 0, not {self.alpha} and {self.beta}")

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        activating = Part((Term(pos, pos), Term(neg, neg)), bias=pos, scale=self.alpha)
        inhibiting = Part((Term(pos, neg), Term(neg, pos)), bias=neg, scale=-self.beta)
        return (activating, inhibiting) if self.beta else (activating,)


@dataclass(frozen=True)
class ZPlus(Rule):
    """Positive contributions only: AlphaBeta with α = 1, β = 0 (Montavon et al. 2017, z⁺-rule)."""

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(pos, pos), Term(neg, neg)), bias=pos),)


@dataclass(frozen=True)
class ZBox(Rule):
    """For inputs bounded by low ≤ x ≤ high, such as pixels (Montavon et al. 2017, z^B-rule); the bias cancels.

    ``low`` and ``high`` are numbers, one number per channel, or arrays that broadcast to the input.
    """

    low: Bound = 0.0
    high: Bound = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        except (TypeError, ValueError):
            raise CompositeError(f"ZBox: low and high must be numbers, not {self.low!r} and {self.high!r}") from None
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
            raise CompositeError(f"ZBox: low must be at most high, both finite, not low={self.low}, high={self.high}")

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        below, above = constant(self.low), constant(self.high)
        terms = (
            Term(identity, identity),
            Term(below, Signed(-1, 0), fixed=True),
            Term(above, Signed(0, -1), fixed=True),
        )
        return (Part(terms),)


@dataclass(frozen=True)
class WSquare(Rule):
    """By squared weight, whatever the input (Montavon et al. 2017, w²-rule); ``square_bias`` adds b² below."""

    square_bias: bool = False

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(ones, square, fixed=True),), bias=square if self.square_bias else None),)


@dataclass(frozen=True)
class Flat(Rule):
    """In equal shares to every input that an output sees (Lapuschkin et al. 2019)."""

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(ones, ones, fixed=True),)),)


@dataclass(frozen=True)
class Pass(Rule):
    """Relevance unchanged: only for maps that keep the shape, such as an unmerged BatchNormalization."""

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return ()

    @property
    def vanishes_at_zero(self) -> bool:
        """A zero input may stand for a non-zero output, whose relevance it takes."""
        return False
