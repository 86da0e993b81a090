"""Rules such as users write, each beside its formula."""

from __future__ import annotations

import numpy as np
from layers import Own
from textbook import Formula, Numerators, minus, plus

from onnx_lrp import Part, Rule, Term
from onnx_lrp.rules import Gate, Signed, identity, neg, pos

MODEL = (Term(identity, identity),)
SMALLER, LARGER = Signed(0.25, 1), Signed(2, 0.5)


def half(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(x * w, b, 0.5)]


def above(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(x * w, b, 1)] if z > 0 else []


def below(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(x * w, b, 1)] if z < 0 else []


def both_signs(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(x * w, b, 2 if z > 0 else -0.5)] if z else []


def either_sign(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    """Outputs above 0 over a quarter of what speaks for them, those below 0 over twice what speaks against them."""
    if z > 0:
        return [(x * (0.25 * plus(w) + minus(w)), 0.25 * plus(b) + minus(b), 1)]
    return [(x * (2 * plus(w) + 0.5 * minus(w)), 2 * plus(b) + 0.5 * minus(b), 1)] if z < 0 else []


def gated_without_bias(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    """The gate is the layer's own output, the denominator is the sum without the bias."""
    return [(x * w, 0, 1)] if z > 0 else []


def quarter(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(x * (plus(w) + 0.25 * minus(w)), 0, 1)]


def helpful(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    """Positive contributions, over a sum with the whole bias, of either sign."""
    return [(plus(x * w), b, 1)]


def model(gate: Gate = "all", scale: float = 1.0) -> Part:
    """The model's own terms."""
    return Part(MODEL, bias=identity, scale=scale, gate=gate)


OWN_RULES: list[tuple[Rule, Formula]] = [
    (Own("half", (model(scale=0.5),), epsilon=0.1), half),
    (Own("half", (model(scale=0.5),), epsilon=0.0), half),
    (Own("above", (model("positive"),), epsilon=0.1), above),
    (Own("below", (model("negative"),), epsilon=0.0), below),
    (Own("both signs", (model("positive", 2.0), model("negative", -0.5)), epsilon=0.5), both_signs),
    (Own("either sign", (
        Part((Term(identity, SMALLER),), bias=SMALLER, gate="positive"),
        Part((Term(identity, LARGER),), bias=LARGER, gate="negative"),
    ), epsilon=0.5), either_sign),
    (Own("gated without bias", (Part(MODEL, gate="positive"),), epsilon=0.5), gated_without_bias),
    (Own("quarter", (Part((Term(identity, lambda xp, w: pos(xp, w) + 0.25 * neg(xp, w)),)),), epsilon=0.1), quarter),
    (Own("helpful", (Part((Term(pos, pos), Term(neg, neg)), bias=identity),), epsilon=0.1), helpful),
]  # fmt: skip
