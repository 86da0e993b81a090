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
from ..rules import Modifier, Part, Relative, Signed, Stabilizer, Term, identity, neg, ones, pos, times
from .both_signs import OnePassForBothSigns, OneQuotientForBothSigns
from .fast import Factor, FastRelevance, Shortcut
from .linear import quotient, total


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


def divide_by_output(xp: Backend, r: Array, z: Array, epsilon: Stabilizer, over: bool, masked: bool) -> Array:
    """R / st(z) for a recorded output z (or its ReLU, if ``masked``); with ``over``, r is the c of R = z ⊙ c."""
    if isinstance(epsilon, Relative):
        assert not masked, "a ReLU has another deviation than what it is of"
        return quotient(xp, z * r if over else r, z, epsilon)
    if over and epsilon:
        return r * xp.stabilized_ratio(z, epsilon, masked)
    r = z * r if over else r
    return r / (z + epsilon) if masked and epsilon else quotient(xp, r, z, epsilon)


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
        return bool(at.number and part.sign(at.claims.nonnegative))

    def run(self, at: FastRelevance, part: Part, r: Array) -> Array:  # noqa: D102
        sign = part.sign(at.claims.nonnegative)
        d = at.forward(part, sign * at.number)
        if part.gate != "all":
            d = at.xp.maximum(d, at.number) if sign > 0 else at.xp.minimum(d, -at.number)
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
        modifiers = [term.weight.scaled(part.scale) for term in part.terms if isinstance(term.weight, Signed)]
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


def _combined(modifier: Modifier, up: Array, down: Array) -> Array:
    """u·(what W⁺ gives) + d·(what W⁻ gives)."""
    assert isinstance(modifier, Signed)
    pairs = [(f, a) for f, a in ((modifier.positive, up), (modifier.negative, down)) if f]
    return total(times(f, a) for f, a in pairs) if pairs else up * 0.0
