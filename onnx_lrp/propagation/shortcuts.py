"""What facts make faster: every object here gives what :mod:`.linear` gives, with less work, where it applies.

A shortcut belongs to one stage of the formula. At each stage the first that applies is taken, else the formula's way:

* ``parts``: which parts and terms of the rule are left;
* ``layer``: all parts at once;
* ``gate``, ``sum``, ``quotient`` and ``transpose``: the four steps of one part.

``tests/propagation/test_shortcuts.py`` is generated from :data:`SHORTCUTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..backends.base import Array, Backend
from ..rules import Modifier, Part, Signed, Term, identity, neg, ones, pos, times
from .fast import Factor, FastRelevance, Shortcut
from .linear import quotient, total

MOST_CANCELLING = 4.0  # by how much the summands of a difference may exceed it


class VanishingTerms(Shortcut):
    """Of an input >= 0, a⁻ is 0 and a⁺ is a."""

    stage = "parts"

    def applies(self, at: FastRelevance, parts: Sequence[Part]) -> bool:  # noqa: D102
        return at.claims.nonnegative

    def run(self, at: FastRelevance, parts: Sequence[Part]) -> tuple[Part, ...]:  # noqa: D102
        left = [replace(part, terms=tuple(self._plain(t) for t in part.terms if t.input != neg)) for part in parts]
        return tuple(part for part in left if part.terms)

    @staticmethod
    def _plain(term: Term) -> Term:
        return replace(term, input=identity) if term.input == pos else term


class ClosedGates(Shortcut):
    """Where no relevance arrives at outputs <= 0, a part that serves only these has nothing to do."""

    stage = "parts"

    def applies(self, at: FastRelevance, parts: Sequence[Part]) -> bool:  # noqa: D102
        return at.claims.masked and at.keeps_bias

    def run(self, at: FastRelevance, parts: Sequence[Part]) -> tuple[Part, ...]:  # noqa: D102
        return tuple(part for part in parts if part.gate != "negative")


class OwnDenominator(Shortcut):
    """Where the denominator is the layer's own output and that is at hand: no forward pass.

    Of relevance z ⊙ c, z c / st(z) is c |z| / (|z| + ε).
    """

    stage = "layer"

    def applies(self, at: FastRelevance, parts: Sequence[Part]) -> bool:  # noqa: D102
        return at.claims.output is not None and at.keeps_bias and len(parts) == 1 and parts[0].is_model

    def run(self, at: FastRelevance, parts: Sequence[Part], r: Array) -> list[Factor]:  # noqa: D102
        xp, layer = at.xp, at.layer
        s = divide_by_output(xp, r, at.claims.output, at.epsilon, at.over, at.claims.masked)
        return [(identity, layer.map.transpose(xp, s, layer.w, xp.shape(layer.a)))]


def divide_by_output(xp: Backend, r: Array, z: Array, epsilon: float, over: bool, masked: bool) -> Array:
    """R / st(z) for a recorded output z (or its ReLU, if ``masked``); with ``over``, r is the c of R = z ⊙ c."""
    if over and epsilon:
        return r * xp.stabilized_ratio(z, epsilon, masked)
    r = z * r if over else r
    return r / (z + epsilon) if masked and epsilon else quotient(xp, r, z, epsilon)


class OnePassForBothSigns(Shortcut):
    """For an input >= 0 and the output at hand, all gated parts share the one pass that gives z⁺.

    u·z⁺ + d·z⁻ = d·z + (u - d)·z⁺, whose summands have one sign wherever the part serves an output, so that nothing
    cancels. Taken where (u - d) is the same for all parts but for the sign.
    """

    stage = "layer"

    def applies(self, at: FastRelevance, parts: Sequence[Part]) -> bool:  # noqa: D102
        fits = at.claims.nonnegative and not at.claims.masked and at.claims.output is not None
        return bool(fits and at.layer.rule.bias == "absorb" and at.epsilon and self.gain(parts) > 0)

    @staticmethod
    def gain(parts: Sequence[Part]) -> float:
        """|u - d|, if it is the same for all parts, and each serves outputs of one sign; else 0."""
        if len(parts) < 2 or any(part.gate == "all" or not part.sign(nonnegative=True) for part in parts):
            return 0.0
        slopes = [part.slopes(nonnegative=True) or identity for part in parts]
        gains = {part.sign(True) * (w.positive - w.negative) for part, w in zip(parts, slopes)}
        return gains.pop() if len(gains) == 1 else 0.0

    def run(self, at: FastRelevance, parts: Sequence[Part], r: Array) -> list[Factor]:  # noqa: D102
        gain = self.gain(parts)
        base = at.forward(_signed_part(gain, 0.0), at.epsilon)
        found: list[Factor] = []
        for part in parts:
            sign, slopes = part.sign(True), part.slopes(True) or identity
            served = at.taken("gate", part, at.gated, r)
            z = at.claims.output
            size = at.xp.maximum(_sum(base, sign * slopes.negative, z), at.epsilon) if slopes.negative else base
            flipped = replace(part, scale=part.scale * sign)
            found += at.taken("transpose", flipped, at.transposed, served / size)
        return found


class OneQuotientForBothSigns(OnePassForBothSigns):
    """The same for two parts that serve z > 0 and z < 0 of relevance z ⊙ c: one quotient, and no choice by sign.

    With σ the part's sign, |u·z⁺ + d·z⁻| = k·max(z, 0) + (g·z⁺ - d'·z) with g = |u - d|, k = d + d', where d' is the
    d of the part below and the brackets are one pass. With q = c / that, the part above hands V = v·w̃ back for
    max(z, 0)·q, the one below V' for min(z, 0)·q = z·q - max(z, 0)·q. All is divided by k, which the weights absorb.
    """

    def applies(self, at: FastRelevance, parts: Sequence[Part]) -> bool:  # noqa: D102
        gates = [part.gate for part in parts] == ["positive", "negative"]
        return at.over and gates and super().applies(at, parts) and self._is_harmless(parts)

    def _is_harmless(self, parts: Sequence[Part]) -> bool:
        """Whether V = (V - V') + V' loses no digits."""
        above, below, difference, _, _ = self.weights(parts)
        pairs = [(w.positive, w.negative) for w in (above, below, difference)]
        return all(abs(v) + abs(d) <= MOST_CANCELLING * abs(a) for a, v, d in zip(*pairs))

    @staticmethod
    def weights(parts: Sequence[Part]) -> tuple[Signed, Signed, Signed, float, float]:
        """V, V' and V - V', and the slopes of z⁺ and of z⁻ in the brackets."""
        first, second = parts
        up, down = first.slopes(True) or identity, second.slopes(True) or identity
        k = up.negative + down.negative
        above, below = _scaled(up, first.scale / k), _scaled(down, -second.scale / k)
        difference = Signed(above.positive - below.positive, above.negative - below.negative)
        gain = OnePassForBothSigns.gain(parts)
        return above, below, difference, (gain - down.negative) / k, -down.negative / k

    def run(self, at: FastRelevance, parts: Sequence[Part], c: Array) -> list[Factor]:  # noqa: D102
        up, down = (part.slopes(True) or identity for part in parts)
        k = up.negative + down.negative
        _, below, difference, positive, negative = self.weights(parts)
        z = at.claims.output
        above = at.xp.maximum(z, 0.0)
        q = c / (at.forward(_signed_part(positive, negative), at.epsilon / k) + above)
        found: list[Factor] = []
        for modifier, s in ((difference, above * q), (below, z * q)):
            part = _signed_part(modifier.positive, modifier.negative)
            found += at.taken("transpose", part, at.transposed, s)
        return found


class OpenGate(Shortcut):
    """Where no relevance arrives at outputs <= 0, a part that serves the others serves all."""

    stage = "gate"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return at.claims.masked and at.keeps_bias and part.gate == "positive"

    def run(self, at: FastRelevance, part: Part, r: Array) -> Array:  # noqa: D102
        return at.relevance_of(r)


class GateByOutput(Shortcut):
    """Where the output is at hand, no pass is needed to gate by it; of z ⊙ c it takes max(z, 0) ⊙ c."""

    stage = "gate"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return at.claims.output is not None and not at.claims.masked and at.keeps_bias and part.gate != "all"

    def run(self, at: FastRelevance, part: Part, r: Array) -> Array:  # noqa: D102
        xp, positive = at.xp, part.gate == "positive"
        z: Array = at.claims.output
        if at.over:
            return (xp.maximum(z, 0.0) if positive else xp.minimum(z, 0.0)) * r
        return xp.where(z > 0 if positive else z < 0, r, 0.0)


class OutputAndFixed(Shortcut):
    """Σ w x is the output at hand, if there is no bias; what is fixed besides needs one sample (z^B)."""

    stage = "sum"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        first, *others = part.terms
        at_hand = at.claims.output is not None and at.layer.b is None
        return at_hand and first == Term(identity, identity) and all(term.fixed for term in others)

    def run(self, at: FastRelevance, part: Part) -> Array:  # noqa: D102
        z = at.claims.output
        return z + at.sum(replace(part, terms=part.terms[1:])) if part.terms[1:] else z


class BoxSum(Shortcut):
    """All weights 1: a box filter."""

    stage = "sum"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return [term.weight for term in part.terms] == [ones]

    def run(self, at: FastRelevance, part: Part) -> Array:  # noqa: D102
        return at.layer.map.forward_ones(at.xp, _input(at, part.terms[0]), at.layer.w)


class OneSample(Shortcut):
    """What does not depend on the input is computed for one sample."""

    stage = "sum"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return at.layer.map.batchwise and any(term.fixed for term in part.terms)

    def run(self, at: FastRelevance, part: Part) -> Array:  # noqa: D102
        sums = [at.layer.map.forward(at.xp, _input(at, t), at.weights.under(at.xp, t.weight)) for t in part.terms]
        return total(sums)


class StackedSum(Shortcut):
    """Modified weights are made once, and a map may know a way to sum several terms in one pass."""

    stage = "sum"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return all(isinstance(term.weight, Signed) for term in part.terms)

    def run(self, at: FastRelevance, part: Part) -> Array:  # noqa: D102
        inputs = [term.input(at.xp, at.layer.a) for term in part.terms]
        return at.layer.map.forward_sum(at.xp, inputs, [at.weights.under(at.xp, t.weight) for t in part.terms])


class KnownSign(Shortcut):
    """Where the denominator has one sign, the stabilizer rides on the bias; what is not served stays clear of 0."""

    stage = "quotient"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return bool(at.epsilon and part.sign(at.claims.nonnegative))

    def run(self, at: FastRelevance, part: Part, r: Array) -> Array:  # noqa: D102
        sign = part.sign(at.claims.nonnegative)
        d = at.forward(part, sign * at.epsilon)
        if part.gate != "all":
            d = at.xp.maximum(d, at.epsilon) if sign > 0 else at.xp.minimum(d, -at.epsilon)
        return r / d


class BoxTranspose(Shortcut):
    """All weights 1: a box filter."""

    stage = "transpose"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return [term.weight for term in part.terms] == [ones]

    def run(self, at: FastRelevance, part: Part, s: Array) -> list[Factor]:  # noqa: D102
        layer = at.layer
        c = layer.map.transpose_ones(at.xp, times(part.scale, s), layer.w, at.xp.shape(layer.a))
        return [(part.terms[0].input, c)]


class TwoTransposes(Shortcut):
    """Any number of terms from what W⁺ and W⁻ hand back."""

    stage = "transpose"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return len(part.terms) > 2 and all(isinstance(term.weight, Signed) for term in part.terms)

    def run(self, at: FastRelevance, part: Part, s: Array) -> list[Factor]:  # noqa: D102
        weights = [at.weights.under(at.xp, modifier) for modifier in (pos, neg)]
        pair = at.layer.map.transpose_each(at.xp, times(part.scale, s), weights, at.xp.shape(at.layer.a))
        return [(term.input, _combined(term.weight, *pair)) for term in part.terms]


class StackedTransposes(Shortcut):
    """The scale goes into the weights, which are made once, and a map may know a way to do several in one pass."""

    stage = "transpose"

    def applies(self, at: FastRelevance, part: Part) -> bool:  # noqa: D102
        return all(isinstance(term.weight, Signed) for term in part.terms)

    def run(self, at: FastRelevance, part: Part, s: Array) -> list[Factor]:  # noqa: D102
        modifiers = [_scaled(term.weight, part.scale) for term in part.terms if isinstance(term.weight, Signed)]
        weights = [at.weights.under(at.xp, modifier) for modifier in modifiers]
        cs = at.layer.map.transpose_each(at.xp, s, weights, at.xp.shape(at.layer.a))
        return [(term.input, c) for term, c in zip(part.terms, cs)]


SHORTCUTS: tuple[Shortcut, ...] = (
    VanishingTerms(), ClosedGates(), OwnDenominator(), OneQuotientForBothSigns(), OnePassForBothSigns(), OpenGate(),
    GateByOutput(), OutputAndFixed(), BoxSum(), OneSample(), StackedSum(), KnownSign(), BoxTranspose(),
    TwoTransposes(), StackedTransposes(),
)  # fmt: skip


def _input(at: FastRelevance, term: Term) -> Array:
    """ã; of one sample, if it is the same for all."""
    one = term.fixed and at.layer.map.batchwise
    return term.input(at.xp, at.xp.take(at.layer.a, np.zeros(1, np.int64), 0) if one else at.layer.a)


def _signed_part(positive: float, negative: float) -> Part:
    """u·z⁺ + d·z⁻ of an input >= 0."""
    modifier = Signed(positive, negative)
    return Part((Term(identity, modifier),), bias=modifier)


def _scaled(modifier: Signed, scale: float) -> Signed:
    return Signed(scale * modifier.positive, scale * modifier.negative)


def _sum(a: Array, factor: float, b: Array) -> Array:
    """a + factor · b, in as few passes as there can be."""
    return a + times(factor, b) if factor > 0 else a - times(-factor, b)


def _combined(modifier: Modifier, up: Array, down: Array) -> Array:
    """u·(what W⁺ gives) + d·(what W⁻ gives)."""
    assert isinstance(modifier, Signed)
    pairs = [(f, a) for f, a in ((modifier.positive, up), (modifier.negative, down)) if f]
    return total(times(f, a) for f, a in pairs) if pairs else up * 0.0
