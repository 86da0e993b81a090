"""A layer together with what is claimed of it: at each stage of the formula a shortcut may be taken instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, ClassVar

from ..backends.base import Array, Backend
from ..rules import Modifier, Part, Relative, Signed, Stabilizer, times
from .linear import LinearRelevance, quotient

Factor = tuple[Modifier, Array]  # (what is done to a, c): relevance is Σ ã ⊙ c


@dataclass(frozen=True)
class Claims:
    """What is taken for granted about one layer.

    ``nonnegative``: the input has no entry below 0. ``masked``: no relevance arrives where the layer's output is not
    positive. ``output`` is that output, or, if masked, its ReLU; None if it is not at hand.
    """

    nonnegative: bool = False
    masked: bool = False
    output: Array | None = None


@dataclass(frozen=True)
class LayerWeights:
    """A layer's weight and bias (of a shape that broadcasts to the output); modified weights are made once."""

    weight: Array
    bias: Array | None = None
    _made: dict[Modifier, Array] = field(default_factory=dict)

    def under(self, xp: Backend, modifier: Modifier) -> Array:
        """The modified weight."""
        if not isinstance(modifier, Signed):  # it may be a new function each time
            return modifier(xp, self.weight)
        if modifier not in self._made:
            self._made[modifier] = modifier(xp, self.weight)
        return self._made[modifier]


@dataclass(frozen=True)
class FastRelevance:
    """A layer, what is claimed of it, and the shortcuts that may be taken.

    ``over`` says that relevance comes as the c of z ⊙ c, where z is the output that is at hand (R itself, if not).
    """

    layer: LinearRelevance
    claims: Claims
    weights: LayerWeights
    over: bool = False
    allowed: tuple[Shortcut, ...] = ()

    @property
    def xp(self) -> Backend:
        """The backend."""
        return self.layer.xp

    @property
    def epsilon(self) -> Stabilizer:
        """The rule's stabilizer."""
        return self.layer.rule.epsilon

    @property
    def number(self) -> float:
        """The stabilizer, where it is a number above 0, with which denominators can be made; else 0."""
        return 0.0 if isinstance(self.epsilon, Relative) else self.epsilon

    @property
    def keeps_bias(self) -> bool:
        """Whether the output at hand is what the rule divides by and gates by, as far as the bias is concerned."""
        return self.layer.rule.bias == "absorb" or self.layer.b is None

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """What is left of the rule's parts."""
        parts: tuple[Part, ...] = self.layer.rule.parts()
        for shortcut in of_stage(self.allowed, "parts"):
            if shortcut.applies(self, parts):
                parts = shortcut.run(self, parts)
        return parts

    def factors(self, r: Array) -> list[Factor]:
        """The relevance of the input, as pairs (what is done to a, c)."""
        return self.taken("layer", self.parts, self._each, r)  # type: ignore[no-any-return]

    def _each(self, parts: Sequence[Part], r: Array) -> list[Factor]:
        return [factor for part in parts for factor in self.of_part(part, r)]

    def of_part(self, part: Part, r: Array) -> list[Factor]:
        """One part on its own: the formula's four steps."""
        s = self.taken("quotient", part, self._quotient, self.taken("gate", part, self.gated, r))
        return self.taken("transpose", part, self.transposed, s)  # type: ignore[no-any-return]

    def sum(self, part: Part) -> Array:
        """Σ map(ã, w̃) of a part, without the bias."""
        return self.taken("sum", part, self._sum)

    def taken(self, stage: str, what: Any, otherwise: Any, *arguments: Any) -> Any:
        """The first shortcut of the stage that applies, or else the formula's way."""
        for shortcut in of_stage(self.allowed, stage):
            if shortcut.applies(self, what):
                return shortcut.run(self, what, *arguments)
        return otherwise(what, *arguments)

    def forward(self, part: Part, plus: float = 0.0) -> Array:
        """z_k of a part, plus a number."""
        z, b = self.sum(part), self.layer.b
        if part.bias is not None and b is not None and self.layer.rule.bias == "absorb":
            bias = part.bias(self.xp, b)
            return z + (bias + plus if plus else bias)
        return z + plus if plus else z

    def relevance_of(self, r: Array) -> Array:
        """R itself, of what arrived."""
        return self.claims.output * r if self.over else r

    # The formula's own way, step by step

    def gated(self, part: Part, r: Array) -> Array:
        """R where the part serves it."""
        return self.layer.gated(part, self.relevance_of(r))

    def _sum(self, part: Part) -> Array:
        return self.layer.denominator(replace(part, bias=None))

    def _quotient(self, part: Part, r: Array) -> Array:
        return quotient(self.xp, r, self.forward(part), self.epsilon)

    def transposed(self, part: Part, s: Array) -> list[Factor]:
        """What is done to a, and c, of each term."""
        xp, shape = self.xp, self.xp.shape(self.layer.a)
        s = times(part.scale, s)
        return [(t.input, self.layer.map.transpose(xp, s, t.weight(xp, self.layer.w), shape)) for t in part.terms]


class Shortcut:
    """One way to save work: a stage, whether it applies to a part (to all parts, in the first two), and the work."""

    stage: ClassVar[str]

    def applies(self, at: FastRelevance, what: Any) -> bool:
        """Whether it gives what the formula gives here."""
        raise NotImplementedError

    def run(self, at: FastRelevance, what: Any, *arguments: Any) -> Any:
        """What the stage gives."""
        raise NotImplementedError


@cache
def of_stage(shortcuts: tuple[Shortcut, ...], stage: str) -> tuple[Shortcut, ...]:
    """Those that belong to one stage, in their order."""
    return tuple(shortcut for shortcut in shortcuts if shortcut.stage == stage)
