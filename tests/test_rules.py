"""What can be told of a part before anything runs: the slopes and the sign of its denominator."""

from __future__ import annotations

import pytest

from onnx_lrp import AlphaBeta, Epsilon, Flat, Gamma, Part, Rule, Term, WSquare, ZBox, ZPlus
from onnx_lrp.rules import Signed, identity, neg, pos

MORE = Signed(1.5, 1)
SLOPES: dict[str, tuple[Part, bool, Signed | None]] = {
    "one term": (Part((Term(identity, MORE),), MORE), True, MORE),
    "one term, signed input": (Part((Term(identity, MORE),), MORE), False, None),
    "mirrored": (Part((Term(pos, MORE), Term(neg, Signed(1, 1.5))), MORE), False, MORE),
    "the same for both": (Part((Term(pos, MORE), Term(neg, MORE)), MORE), False, None),
    "one half": (Part((Term(pos, MORE),), MORE), False, None),
    "another bias": (Part((Term(identity, MORE),), identity), True, None),
    "no bias": (Part((Term(identity, MORE),)), True, None),
    "a function": (Part((Term(identity, lambda xp, w: w),), lambda xp, w: w), True, None),
}


@pytest.mark.parametrize("what", SLOPES)
def test_slopes(what: str) -> None:
    part, nonnegative, expected = SLOPES[what]
    assert part.slopes(nonnegative) == expected


SIGNS: list[tuple[Rule, tuple[int, ...], tuple[int, ...]]] = [  # of each part, for a signed input and for one >= 0
    (Epsilon(), (0,), (0,)),
    (ZPlus(), (1,), (1,)),
    (AlphaBeta(), (1, -1), (1, -1)),
    (Gamma(), (1, -1), (1, -1)),
    (Gamma(gamma=0), (0, 0), (0, 0)),
    (Flat(), (1,), (1,)),
    (WSquare(square_bias=True), (1,), (1,)),
    (ZBox(), (0,), (0,)),
]


@pytest.mark.parametrize(("rule", "signed", "nonnegative"), SIGNS, ids=lambda v: str(v) if isinstance(v, Rule) else "")
def test_signs(rule: Rule, signed: tuple[int, ...], nonnegative: tuple[int, ...]) -> None:
    assert tuple(part.sign() for part in rule.parts()) == signed
    assert tuple(part.sign(nonnegative=True) for part in rule.parts()) == nonnegative


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Part((Term(identity, pos),), pos), 1), (Part((Term(identity, neg),), neg), -1),
        (Part((Term(identity, pos),), identity), 0), (Part((Term(identity, pos), Term(identity, neg))), 0),
        (Part((Term(identity, identity),), identity, gate="positive"), 0),
        (Part((Term(identity, pos),), pos, 1, "negative"), 0),
        (Part((Term(identity, Signed(2, -1)),), Signed(2, -1), gate="positive"), 0),
        (Part((Term(identity, Signed(1, 2)),), Signed(1, 2), gate="negative"), -1),
        (Part((Term(identity, Signed(2, 1)),), Signed(2, 1), gate="negative"), 0),
    ],
)  # fmt: skip
def test_signs_of_one_s_own_parts(part: Part, expected: int) -> None:
    assert part.sign(nonnegative=True) == expected
