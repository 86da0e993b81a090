"""γ's two parts in one pass: its denominators above and below 0 are made of the same two sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..backends.base import Array
from ..rules import Part, Signed, Term, identity, times
from .fast import Factor, FastRelevance, Shortcut

MOST_CANCELLING = 4.0  # by how much the summands of a difference may exceed it


class OnePassForBothSigns(Shortcut):
    """For an input >= 0 and the output at hand, all gated parts share the one pass that gives z⁺.

    u·z⁺ + d·z⁻ = d·z + (u - d)·z⁺, whose summands have one sign wherever the part serves an output, so that nothing
    cancels. Taken where (u - d) is the same for all parts but for the sign.
    """

    stage = "layer"

    def applies(self, at: FastRelevance, parts: Sequence[Part]) -> bool:  # noqa: D102
        fits = at.claims.nonnegative and not at.claims.masked and at.claims.output is not None
        return bool(fits and at.layer.rule.bias == "absorb" and at.number and self.gain(parts) > 0)

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
        base = at.forward(_signed_part(gain, 0.0), at.number)
        found: list[Factor] = []
        for part in parts:
            sign, slopes = part.sign(True), part.slopes(True) or identity
            served = at.taken("gate", part, at.gated, r)
            z = at.claims.output
            size = at.xp.maximum(_sum(base, sign * slopes.negative, z), at.number) if slopes.negative else base
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
        above, below = up.scaled(first.scale / k), down.scaled(-second.scale / k)
        difference = Signed(above.positive - below.positive, above.negative - below.negative)
        gain = OnePassForBothSigns.gain(parts)
        return above, below, difference, (gain - down.negative) / k, -down.negative / k

    def run(self, at: FastRelevance, parts: Sequence[Part], c: Array) -> list[Factor]:  # noqa: D102
        up, down = (part.slopes(True) or identity for part in parts)
        k = up.negative + down.negative
        _, below, difference, positive, negative = self.weights(parts)
        z = at.claims.output
        above = at.xp.maximum(z, 0.0)
        q = c / (at.forward(_signed_part(positive, negative), at.number / k) + above)
        found: list[Factor] = []
        for modifier, s in ((difference, above * q), (below, z * q)):
            part = _signed_part(modifier.positive, modifier.negative)
            found += at.taken("transpose", part, at.transposed, s)
        return found


def _signed_part(positive: float, negative: float) -> Part:
    """u·z⁺ + d·z⁻ of an input >= 0."""
    modifier = Signed(positive, negative)
    return Part((Term(identity, modifier),), bias=modifier)


def _sum(a: Array, factor: float, b: Array) -> Array:
    """a + factor · b, in as few passes as there can be."""
    return a + times(factor, b) if factor > 0 else a - times(-factor, b)
