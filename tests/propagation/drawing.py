"""Random layers with random rules, and claims that are true of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from layers import CASES, NUMPY, Case, integers
from number_drawing import Numbers, draw_numbers, single
from rule_drawing import Random, draw_rule, of

from onnx_lrp import Rule
from onnx_lrp.propagation.fast import Claims, FastRelevance, LayerWeights, Shortcut
from onnx_lrp.propagation.linear import LinearRelevance, quotient, total

DRAWN = 5000
CLEARLY = 1e-4  # of the size of its summands: a sum that float32, too, finds on this side of 0


@dataclass(frozen=True, eq=False)
class Drawn:
    """A layer under a rule, what is true of it, and what arrives: R, or with ``over`` the c of R = (its output) ⊙ c."""

    case: Case
    rule: Rule
    numbers: Numbers
    nonnegative: bool
    masked: bool
    at_hand: bool
    over: bool
    arriving: np.ndarray

    def under(self, rule: Rule) -> Drawn:
        return replace(self, rule=rule)

    def layer(self, xp: Any) -> LinearRelevance:
        n = self.numbers
        b = None if n.b is None else xp.asarray(n.b)
        return LinearRelevance(xp, self.case.map, self.rule, xp.asarray(n.a), xp.asarray(n.w), b)

    def output(self, layer: LinearRelevance) -> Any:
        """What is recorded: with the bias, whatever the rule makes of it; of a masked layer the ReLU."""
        z = layer.map.forward(layer.xp, layer.a, layer.w)
        z = z if layer.b is None else z + layer.b
        return layer.xp.maximum(z, 0.0) if self.masked else z

    def relevance(self, layer: LinearRelevance) -> Any:
        """R itself, of the output."""
        r = layer.xp.asarray(self.arriving)
        return self.output(layer) * r if self.over else r

    @functools.cache
    def by_formula(self, xp: Any) -> np.ndarray:
        layer = self.layer(xp)
        return xp.to_numpy(layer.relevance(self.relevance(layer)))

    @functools.cache
    def sizes(self) -> np.ndarray:
        """What the shares of each input come to, if none cancels another."""
        layer = self.layer(NUMPY)
        a, w, found = layer.a, layer.w, np.zeros_like(layer.a)
        for part in self.rule.parts():
            r = layer.gated(part, self.relevance(layer))
            s = np.abs(part.scale * quotient(NUMPY, r, layer.denominator(part), self.rule.epsilon))
            for t in part.terms:
                c = layer.map.transpose(NUMPY, s, np.abs(t.weight(NUMPY, w)), a.shape)
                found = found + np.abs(t.input(NUMPY, a)) * c
        return found

    def fast(self, xp: Any, allowed: tuple[Shortcut, ...]) -> FastRelevance:
        layer = self.layer(xp)
        claims = Claims(self.nonnegative, self.masked, self.output(layer) if self.at_hand else None)
        return FastRelevance(layer, claims, LayerWeights(layer.w, layer.b), self.over, allowed)

    def by_shortcuts(self, xp: Any, allowed: tuple[Shortcut, ...]) -> np.ndarray:
        """As the reverse walk takes them."""
        fast = self.fast(xp, allowed)
        a, factors = fast.layer.a, fast.factors(xp.asarray(self.arriving))
        return xp.to_numpy(total([modifier(xp, a) * c for modifier, c in factors] or [xp.zeros_like(a)]))


def draw_arriving(rng: Random, drawn: Drawn, exact: bool) -> np.ndarray:
    """Where it comes as the c of z ⊙ c, so that large and small outputs are heard alike."""
    size, shape = drawn.numbers.size, drawn.case.z
    r = integers(rng, shape) if exact else rng.normal(size=shape)
    if drawn.over:
        return r if exact else single(r / np.where(size == 0, 1.0, size))
    return np.where(drawn.output(drawn.layer(NUMPY)) > CLEARLY * size, single(r), 0.0) if drawn.masked else single(r)


def draw(seed: int) -> Drawn:
    """Every other one of small whole numbers, whose sums are exact and often 0, else of all magnitudes."""
    rng, exact = np.random.default_rng(seed), seed % 2 == 0
    case, rule = CASES[of(rng, list(CASES))], draw_rule(rng)
    nonnegative, masked, at_hand, over = (bool(flag) for flag in rng.random(4) < (0.6, 0.3, 0.85, 0.7))
    numbers = draw_numbers(rng, case, exact, nonnegative)
    drawn = Drawn(case, rule, numbers, nonnegative, masked, at_hand, at_hand and over, np.zeros(case.z))
    return replace(drawn, arriving=draw_arriving(rng, drawn, exact))


@functools.cache
def pool() -> tuple[Drawn, ...]:
    return tuple(draw(seed) for seed in range(DRAWN))


def fits(shortcut: Shortcut, at: FastRelevance) -> bool:
    """Whether it can be taken anywhere in this layer."""
    parts = at.layer.rule.parts()
    if shortcut.stage in ("parts", "layer"):
        return shortcut.applies(at, parts)
    return any(shortcut.applies(at, part) for part in parts)
