"""Random rules: all that the library has, and what users may write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from layers import Own

from onnx_lrp import AlphaBeta, Epsilon, Flat, Gamma, Part, Rule, Term, WSquare, ZBox, Zero, ZPlus
from onnx_lrp.rules import Modifier, Signed, constant, identity, neg, ones, pos, square

FACTORS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)  # sums of whole numbers times these are exact
SCALES = (1.0, 1.0, 0.5, 2.0, -1.0)
STABILIZERS = (1e-6, 1e-6, 0.25, 0.0)
GATES = ("all", "positive", "negative")

Random = np.random.Generator
Terms = tuple[Term, ...]


def of(rng: Random, options: Any) -> Any:
    """One of these."""
    return options[rng.integers(len(options))]


def leaky(xp: Any, w: Any) -> Any:
    """A modifier that nothing can reckon with."""
    return xp.maximum(w, 0.0) + 0.5 * xp.minimum(w, 0.0)


def slopes(rng: Random) -> Signed:
    return Signed(of(rng, FACTORS), of(rng, FACTORS))


def contributions(by: Signed) -> Terms:
    """By the sign of contributions, as γ and αβ have it."""
    return Term(pos, by), Term(neg, Signed(by.negative, by.positive))


def model_terms(rng: Random) -> Part:
    return Part((Term(identity, identity),), of(rng, (identity, identity, identity, None, pos)))


def terms_by_sign(rng: Random) -> Part:
    by = slopes(rng)
    terms = of(rng, (contributions(by), (Term(identity, by),)))
    return Part(terms, of(rng, (by, by, by, None, identity)))


def terms_of_three(rng: Random) -> Part:
    terms = tuple(Term(modifier, slopes(rng)) for modifier in (pos, neg, identity))
    return Part(terms, of(rng, (None, identity)))


def terms_of_one_sign(rng: Random) -> Part:
    terms = of(rng, ((Term(pos, pos), Term(neg, neg)), (Term(pos, neg), Term(neg, pos)), (Term(pos, square),)))
    sign: Modifier = neg if terms[0].weight == neg else pos
    return Part(terms, of(rng, (sign, None, identity)))


def terms_with_fixed(rng: Random) -> Part:
    fixed = [Term(constant(float(of(rng, (-1, 1, 2)))), slopes(rng), fixed=True) for _ in range(rng.integers(1, 3))]
    return Part((Term(identity, of(rng, (identity, pos, leaky))), *fixed), of(rng, (None, identity)))


def terms_of_ones(rng: Random) -> Part:
    term = of(rng, (Term(ones, ones, fixed=True), Term(ones, square, fixed=True), Term(square, ones), Term(pos, ones)))
    return Part((term,), of(rng, (None, square)))


def terms_unknown(rng: Random) -> Part:
    return Part((Term(of(rng, (identity, pos, neg)), leaky),), of(rng, (None, identity, leaky)))


PARTS: tuple[Callable[[Random], Part], ...] = (
    model_terms, terms_by_sign, terms_of_three, terms_of_one_sign, terms_with_fixed, terms_of_ones, terms_unknown
)  # fmt: skip


def gated(part: Part, rng: Random, gate: str) -> Part:
    return Part(part.terms, part.bias, of(rng, SCALES), gate)


def own(rng: Random, **settings: Any) -> Rule:
    parts = [gated(of(rng, PARTS)(rng), rng, of(rng, GATES)) for _ in range(rng.integers(1, 4))]
    return Own("own", tuple(parts), **settings)


def own_by_sign(rng: Random, **settings: Any) -> Rule:
    """A part for each sign of the output; often mirrored, as in the γ-rule."""
    up, other = slopes(rng), slopes(rng)
    mirrored = Signed(up.negative, up.positive)
    down = of(rng, (mirrored, mirrored, other))
    parts = [Part(of(rng, (contributions(by), (Term(identity, by),))), by) for by in (up, down)]
    return Own("own by sign", tuple(gated(p, rng, g) for p, g in zip(parts, GATES[1:])), **settings)


def gamma(rng: Random, **settings: Any) -> Rule:
    return Gamma(gamma=of(rng, (0.0, 0.25, 0.5, 1.0, 1000.0)), **settings)


def alpha_beta(rng: Random, **settings: Any) -> Rule:
    return AlphaBeta(*of(rng, ((2.0, 1.0), (2.0, 1.0), (1.0, 0.0), (3.0, 2.0))), **settings)


def z_box(rng: Random, **settings: Any) -> Rule:
    return ZBox(of(rng, (-1.0, 0.0)), of(rng, (1.0, 2.0)), **settings)


def w_square(rng: Random, **settings: Any) -> Rule:
    return WSquare(square_bias=bool(rng.integers(2)), **settings)


def plain(rng: Random, **settings: Any) -> Rule:
    return of(rng, (Epsilon, Zero, ZPlus, Flat))(**settings)


OFTEN = (gamma, own_by_sign) * 3 + (plain, own) * 2  # else too few meet all that the rarest shortcut asks for
RULES = (*OFTEN, alpha_beta, z_box, w_square)


def draw_rule(rng: Random) -> Rule:
    """Any of them, with any stabilizer; the bias is left out of every fourth."""
    settings = {"epsilon": of(rng, STABILIZERS), "bias": of(rng, ("absorb", "absorb", "absorb", "ignore"))}
    return of(rng, RULES)(rng, **settings)
