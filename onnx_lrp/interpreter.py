"""Any rule on any linear map: one interpreter for everything that a rule can say.

Steps 1 to 4 of Montavon et al. 2019 for each part of a rule: z = Σ W̃x̃ + b̃, s = R / st(z), c = W̃ᵀs, R_in = x̃ ⊙ c.
The facts only save work: which terms vanish, which sums are known already, which passes can share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .backends.base import Array, Backend, Shape
from .ops import Linear
from .rules import Modifier, Part, Rule, Signed, Term, identity, neg, ones, pos, times

Factor = tuple[Modifier, Array]


@dataclass(frozen=True)
class Parameters:
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


def linear(
    xp: Backend, role: Linear, rule: Rule, x: Array, parameters: tuple[Array, Array | None], r: Array, **known: Any
) -> Array:
    """Any rule on any linear map: relevance of the input; the arguments are those of :class:`Layer`."""
    layer = Layer(xp, role, rule, x, Parameters(*parameters), **known)
    return contributions(xp, x, list(layer.factors(r)))


def contributions(xp: Backend, x: Array, factors: Sequence[Factor]) -> Array:
    """Σ x̃ ⊙ c."""
    return total([modifier(xp, x) * c for modifier, c in factors])


@dataclass(frozen=True)
class Layer:
    """One linear layer at one recorded activation, and the rule that it is under.

    Args:
        xp: the backend.
        role: the map.
        rule: what to do to its input, weight and bias.
        x: input activation.
        parameters: weight and bias.
        z: the output activation, or the ReLU of it if ``masked``; computed where it is needed and None.
        nonnegative: x has no negative entry (a fact: it only saves work).
        masked: r is 0 wherever the output is not positive (likewise).
        shared: passes may be shared: sums known from other sums, transposes stacked (likewise).
    """

    xp: Backend
    role: Linear
    rule: Rule
    x: Array
    parameters: Parameters
    z: Array | None = None
    nonnegative: bool = False
    masked: bool = False
    shared: bool = True

    @property
    def shape(self) -> Shape:
        """Shape of the input."""
        return self.xp.shape(self.x)

    def factors(self, r: Array, scaled: bool = False) -> Iterator[Factor]:
        """The relevance of the input as pairs (x̃, c): it is Σ x̃ ⊙ c.

        Args:
            r: relevance of the output; or, if ``scaled``, the c of z ⊙ c, where z is the known output.
        """
        if self._gain:
            yield from self._by_positive_sum(r, scaled)
            return
        for part in self._parts:
            s = self._over_denominator(part, self._served(part, r, scaled))
            yield from self._transposed(part.terms, s, part.scale)

    @cached_property
    def _parts(self) -> list[Part]:
        """What is left of the rule's parts for an input >= 0, and for relevance above ReLUs."""
        parts = [replace(part, terms=self._terms(part)) for part in self.rule.parts()]
        return [part for part in parts if part.terms and not (self.masked and part.gate == "negative")]

    def _terms(self, part: Part) -> tuple[Term, ...]:
        if not self.nonnegative:
            return part.terms
        left = [term for term in part.terms if term.input != neg]
        return tuple(replace(term, input=identity) if term.input == pos else term for term in left)

    @property
    def _absorbs(self) -> bool:
        return self.rule.bias == "absorb"

    @cached_property
    def _output(self) -> Array:
        """z, computed unless it is known."""
        if self.z is not None:
            return self.z
        z = self.role.map.forward(self.xp, self.x, self.parameters.weight)
        return z if self.parameters.bias is None else z + self.parameters.bias

    def _over_denominator(self, part: Part, r: Array) -> Array:
        """R / st(z̃)."""
        xp, epsilon, gated = self.xp, self.rule.epsilon, part.gate != "all"
        known = self._known(part)
        if known is not None:
            sign = 1 if self.masked and part.is_model else part.sign(self.nonnegative)
            return divide(xp, r, known, epsilon, sign, clamp=not (self.masked and part.is_model))
        sign = (
            part.sign(self.nonnegative) if not gated or self._absorbs else 0
        )  # without its bias a gated sum may have the other sign
        if sign == 0 or epsilon == 0:
            return divide(xp, r, self._forward(part), epsilon, sign)
        d = self._forward(part, sign * epsilon)  # the stabilizer rides on the bias
        if gated:  # where the part serves nothing the sum may have any sign
            d = xp.maximum(d, epsilon) if sign > 0 else xp.minimum(d, -epsilon)
        return r / d

    def _known(self, part: Part) -> Array | None:
        """The part's denominator if it follows from z, without a pass of its own."""
        if self.z is None:
            return None
        if part.is_model:
            return self.z if self._absorbs else None
        if not self.shared:
            return None
        if part.terms[0] == Term(identity, identity) and part.bias is None and all(t.fixed for t in part.terms[1:]):
            plain = self.z if self.parameters.bias is None else self.z - self.parameters.bias
            return plain + self._forward(replace(part, terms=part.terms[1:])) if part.terms[1:] else plain
        return None

    @cached_property
    def _gain(self) -> float:
        """g > 0 if every part's |denominator| is g·z⁺ + ε and a multiple of z: then one pass serves all parts.

        For an input >= 0, z⁻ = z - z⁺. So a sum u·z⁺ + d·z⁻ of the sign σ has the size σ·d·z + σ(u - d)·z⁺.
        """
        if not (self.shared and self._absorbs and self.z is not None and self.rule.epsilon and len(self._parts) > 1):
            return 0.0
        signed = [(self._signed(part), part.sign(self.nonnegative)) for part in self._parts]
        gains = {sign * (w.positive - w.negative) if w is not None else 0.0 for w, sign in signed}
        return max(gains.pop(), 0.0) if len(gains) == 1 else 0.0

    def _by_positive_sum(self, r: Array, scaled: bool) -> Iterator[Factor]:
        """All parts over denominators that follow from z and one pass."""
        gated = scaled and [part.gate for part in self._parts] == ["positive", "negative"]
        return self._halves(r) if gated else self._all(r, scaled)

    def _all(self, r: Array, scaled: bool) -> Iterator[Factor]:
        """Each part over g·z⁺ + ε + σ·d·z."""
        base = self._pass(Signed(self._gain, 0), self.rule.epsilon)
        for part in self._parts:
            sign = part.sign(self.nonnegative)
            slope = sign * self._slopes(part).negative
            size = self.xp.maximum(_sum(base, slope, self._output), self.rule.epsilon) if slope else base
            yield from self._transposed(part.terms, self._served(part, r, scaled) / size, part.scale * sign)

    def _halves(self, c: Array) -> Iterator[Factor]:
        """Outputs above 0 under V = vW̃ and those below under V' = -v'W̃', v the parts' scales: one quotient for both.

        The size is k·max(z, 0) + (g·z⁺ - d'·z) + ε with k = d + d', where the brackets are one pass. With q = c / size,
        V is for max(z, 0)·q and V' for min(z, 0)·q = z·q - max(z, 0)·q. All is divided by k, which the weights absorb.
        """
        first, second = self._parts
        up, down = self._slopes(first), self._slopes(second)
        k = up.negative + down.negative
        above = self.xp.maximum(self._output, 0.0)
        brackets = self._pass(Signed((self._gain - down.negative) / k, -down.negative / k), self.rule.epsilon / k)
        quotient = c / (brackets + above)
        below = _scaled(down, -second.scale / k)
        difference = Signed(
            first.scale * up.positive / k - below.positive, first.scale * up.negative / k - below.negative
        )
        yield from self._transposed((Term(identity, difference),), above * quotient)
        yield from self._transposed((Term(identity, below),), self._output * quotient)

    def _pass(self, modifier: Signed, plus: float) -> Array:
        """u·z⁺ + d·z⁻ for x >= 0, plus a number."""
        return self._forward(Part((Term(identity, modifier),), bias=modifier), plus)

    def _slopes(self, part: Part) -> Signed:
        """(u, d) of u·z⁺ + d·z⁻."""
        signed = self._signed(part)
        assert signed is not None
        return signed

    def _signed(self, part: Part) -> Signed | None:
        """(u, d) if the denominator is u·z⁺ + d·z⁻."""
        first = part.terms[0]
        alone = self.nonnegative and len(part.terms) == 1 and first.input == identity
        return first.weight if alone and isinstance(first.weight, Signed) and part.bias == first.weight else None

    def _forward(self, part: Part, plus: float = 0.0) -> Array:
        """The denominator before stabilizing: Σ W̃x̃ + b̃ (+ a number)."""
        z, b = self._sum(part.terms), self.parameters.bias
        if part.bias is not None and b is not None and self._absorbs:
            bias = part.bias(self.xp, b)
            return z + (bias + plus if plus else bias)
        return z + plus if plus else z

    def _sum(self, terms: Sequence[Term]) -> Array:
        xp, mapping = self.xp, self.role.map
        inputs = [term.input(xp, self._sample if term.fixed else self.x) for term in terms]
        if self.shared and [term.weight for term in terms] == [ones]:
            return mapping.collect(xp, inputs[0], self.parameters.weight)
        weights = [self.parameters.under(xp, term.weight) for term in terms]
        if self.shared and not any(term.fixed for term in terms):
            return mapping.forward_sum(xp, inputs, weights)
        return total([mapping.forward(xp, x, w) for x, w in zip(inputs, weights)])

    @cached_property
    def _sample(self) -> Array:
        """One sample is enough for what does not depend on the input."""
        return self.xp.take(self.x, np.zeros(1, np.int64), 0) if self.role.map.batchwise else self.x

    def _transposed(self, terms: Sequence[Term], s: Array, scale: float = 1.0) -> Iterator[Factor]:
        """(x̃, scale · W̃ᵀs) of each term; the scale goes into the weights, which are made once, where it can."""
        xp, mapping, given = self.xp, self.role.map, self.parameters
        inputs, modifiers = [term.input for term in terms], [term.weight for term in terms]
        if all(isinstance(modifier, Signed) for modifier in modifiers):
            modifiers = [_scaled(modifier, scale) for modifier in modifiers]  # type: ignore[arg-type]
        else:
            s = times(scale, s)
        if self.shared and modifiers == [ones]:
            return zip(inputs, [mapping.spread(xp, s, given.weight, self.shape)])
        if self.shared and len(terms) > 2 and all(isinstance(modifier, Signed) for modifier in modifiers):
            pair = mapping.transpose_each(xp, s, [given.under(xp, pos), given.under(xp, neg)], self.shape)
            return zip(inputs, [_combined(modifier, *pair) for modifier in modifiers])
        weights = [given.under(xp, modifier) for modifier in modifiers]
        if self.shared:
            return zip(inputs, mapping.transpose_each(xp, s, weights, self.shape))
        return zip(inputs, [mapping.transpose(xp, s, w, self.shape) for w in weights])

    def _served(self, part: Part, r: Array, scaled: bool) -> Array:
        """The relevance that the part serves."""
        whole = part.gate == "all" or (self.masked and part.gate == "positive")
        bounded = self.xp.maximum if part.gate == "positive" else self.xp.minimum
        if scaled:
            return (self._output if whole else bounded(self._output, 0.0)) * r
        return r if whole else self.xp.where(self._output > 0 if part.gate == "positive" else self._output < 0, r, 0.0)


def _scaled(modifier: Signed, scale: float) -> Signed:
    return Signed(scale * modifier.positive, scale * modifier.negative)


def _sum(a: Array, factor: float, b: Array) -> Array:
    """a + factor · b, in as few passes as there can be."""
    if factor == 0:
        return a
    return a + times(factor, b) if factor > 0 else a - times(-factor, b)


def _combined(modifier: Modifier, up: Array, down: Array) -> Array:
    """u·(what W⁺ gives) + d·(what W⁻ gives)."""
    assert isinstance(modifier, Signed)
    return total([a if f == 1 else f * a for f, a in ((modifier.positive, up), (modifier.negative, down)) if f])


def total(summands: Sequence[Array]) -> Array:
    """The sum of at least one array."""
    result = summands[0]
    for summand in summands[1:]:
        result = result + summand
    return result


def divide(xp: Backend, r: Array, z: Array, epsilon: float, sign: int = 0, clamp: bool = False) -> Array:
    """R / (z + ε sign z) with sign(0) = +1; for ε = 0, an output of 0 hands on nothing.

    ``sign`` says that z >= 0 (1) or z <= 0 (-1) wherever R is not 0; ``clamp`` that it may be otherwise elsewhere.
    """
    if epsilon == 0:
        return xp.where(z == 0, 0.0, r / xp.where(z == 0, 1.0, z))
    if sign == 0:
        return r / xp.stabilize(z, epsilon)
    if clamp:
        z = xp.maximum(z, 0.0) if sign > 0 else xp.minimum(z, 0.0)
    return r / (z + sign * epsilon)
