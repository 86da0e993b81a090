"""For each shortcut, layers where it may be taken, and what must not change about the first of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layers_of_ones import Setting, only, signed

from onnx_lrp import AlphaBeta, Flat, Gamma, Part, Term, WSquare, ZBox, ZPlus
from onnx_lrp.propagation import shortcuts as s
from onnx_lrp.propagation.fast import Shortcut
from onnx_lrp.rules import constant, identity, neg, ones, pos, square


@dataclass(frozen=True)
class Condition:
    """Where it may be taken; and changes to the first of these, after each of which it must not."""

    fits: tuple[Setting, ...]
    changes: tuple[dict[str, Any], ...]


MODEL = signed(1, 1)
GAMMA, ALPHA_BETA, BOX, FLAT = Gamma().parts(), AlphaBeta().parts(), ZBox().parts(), Flat().parts()
STEEP = Gamma(gamma=1000.0).parts()
UP, DOWN = GAMMA
LEAKY = Term(identity, lambda xp, w: xp.leaky(w, 0.5))

IGNORED, UNKNOWN, WITHOUT, UNSTABLE = {"bias": "ignore"}, {"nonnegative": False}, {"at_hand": False}, {"epsilon": 0.0}
WITH_MASK, WITHOUT_MASK = {"masked": True}, {"masked": False}

BOTH_SIGNS = (
    *(IGNORED, UNKNOWN, WITHOUT, UNSTABLE, WITH_MASK),
    {"parts": (UP,)},
    {"parts": (UP, *only(DOWN, gate="all"))},
    {"parts": (UP, signed(1, 3, "negative"))},  # another gain
    {"parts": (signed(1, 2, "positive"), signed(2, 1, "negative"))},  # of either sign
    {"parts": (signed(2, 1, "positive", bias=identity), signed(1, 2, "negative"))},
    {"parts": (MODEL,)},
)

CONDITIONS: dict[type[Shortcut], Condition] = {
    s.VanishingTerms: Condition((Setting(GAMMA), Setting(ALPHA_BETA)), (UNKNOWN,)),
    s.ClosedGates: Condition(
        (Setting(GAMMA, masked=True), Setting(GAMMA, masked=True, bias="ignore", has_bias=False)),
        (WITHOUT_MASK, IGNORED),
    ),
    s.OwnDenominator: Condition(
        (Setting((MODEL,)), Setting((MODEL,), bias="ignore", has_bias=False), Setting((MODEL,), masked=True)),
        (
            *(IGNORED, WITHOUT),
            {"parts": only(MODEL, scale=0.5)},
            {"parts": only(MODEL, gate="positive")},
            {"parts": only(MODEL, gate="negative")},
            {"parts": only(MODEL, bias=None)},
            {"parts": only(MODEL, bias=pos)},
            {"parts": only(MODEL, terms=(Term(pos, identity),))},
            {"parts": (signed(1, 0),)},
            {"parts": (MODEL, MODEL)},
        ),
    ),
    s.OneQuotientForBothSigns: Condition(
        (Setting(GAMMA, over=True), Setting((signed(1.5, 1, "positive"), signed(1, 1.5, "negative")), over=True)),
        ({"over": False}, {"parts": GAMMA[::-1]}, {"parts": STEEP}, {"parts": (UP, DOWN, UP)}, *BOTH_SIGNS),
    ),
    s.OnePassForBothSigns: Condition((Setting(GAMMA), Setting(STEEP, over=True), Setting(GAMMA[::-1])), BOTH_SIGNS),
    s.OpenGate: Condition(
        (Setting((UP,), masked=True), Setting((UP,), masked=True, bias="ignore", has_bias=False)),
        (WITHOUT_MASK, IGNORED, {"parts": (DOWN,)}, {"parts": (MODEL,)}),
    ),
    s.GateByOutput: Condition(
        (Setting(GAMMA), Setting((UP,)), Setting((DOWN,), bias="ignore", has_bias=False)),
        (WITHOUT, IGNORED, WITH_MASK, {"parts": (MODEL,)}),
    ),
    s.OutputAndFixed: Condition(
        (Setting(BOX, has_bias=False), Setting((MODEL,), has_bias=False)),
        (
            *({"has_bias": True}, {"has_bias": True, **IGNORED}, WITHOUT),
            {"parts": only(BOX[0], terms=(Term(pos, identity), *BOX[0].terms[1:]))},
            {"parts": only(BOX[0], terms=(Term(identity, pos), *BOX[0].terms[1:]))},
            {"parts": only(BOX[0], terms=(*BOX[0].terms, Term(neg, identity)))},
        ),
    ),
    s.BoxSum: Condition(
        (Setting(FLAT), Setting((Part((Term(pos, ones),)),), case="gemm")),
        ({"parts": WSquare().parts()}, {"parts": only(FLAT[0], terms=FLAT[0].terms * 2)}),
    ),
    s.OneSample: Condition(
        (Setting(FLAT), Setting(BOX)),
        ({"case": "gemm"}, {"parts": GAMMA}, {"parts": only(FLAT[0], terms=(Term(ones, ones),))}),
    ),
    s.StackedSum: Condition((Setting(GAMMA), Setting(BOX)), ({"parts": FLAT}, {"parts": (Part((LEAKY,)),)})),
    s.KnownSign: Condition(
        (
            Setting(ZPlus().parts()),
            Setting(GAMMA),
            Setting(WSquare(True).parts()),
            Setting((signed(2, 1, "positive"),)),
        ),
        (
            UNSTABLE,
            {"parts": only(ZPlus().parts()[0], bias=identity)},
            {"parts": only(ZPlus().parts()[0], bias=neg)},
            {"parts": (MODEL,)},
            {"parts": BOX},
            {"parts": (signed(1, 2, "positive"),)},
            {"parts": (signed(2, 1, "negative"),)},
            {"parts": (signed(2, -1, "positive"),)},
            {"parts": (signed(2, 1, "positive", bias=None),)},
            {"parts": (signed(2, 1, "positive"),), **UNKNOWN},
            {"parts": (signed(1, 0),), **UNKNOWN},
        ),
    ),
    s.BoxTranspose: Condition(
        (Setting(FLAT), Setting(only(FLAT[0], scale=0.5))),
        ({"parts": WSquare().parts()}, {"parts": only(FLAT[0], terms=(Term(ones, square), *FLAT[0].terms))}),
    ),
    s.TwoTransposes: Condition(
        (Setting(BOX),),
        ({"parts": GAMMA}, {"parts": only(BOX[0], terms=(*BOX[0].terms, Term(constant(1.0), square, fixed=True)))}),
    ),
    s.StackedTransposes: Condition((Setting(GAMMA), Setting(BOX)), ({"parts": FLAT}, {"parts": (Part((LEAKY,)),)})),
}
