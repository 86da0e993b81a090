"""Composites: selectors, presets, strings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

import onnx_lrp as lrp
from onnx_lrp import AlphaBeta, Composite, CompositeError, Epsilon, Flat, Gamma, Selector, ZBox
from onnx_lrp.composites import PRESETS, LayerInfo
from onnx_lrp.rules import Part, Rule, Term, identity, neg, pos

LAYERS = [
    LayerInfo("stem", "Conv", 0.0, 0),
    LayerInfo("block/conv", "Conv", 0.5, 1, 0b1),
    LayerInfo("block/add", "Add", 0.6, 2, 0b11),
    LayerInfo("head", "Gemm", 1.0, 3, 0b111),
]


def rules(composite: lrp.Composite) -> list[str]:
    return [str(rule) for rule in composite.assign(LAYERS).values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epsilon", ["Epsilon()"] * 4),
        ("epsilon:epsilon=0.1", ["Epsilon(epsilon=0.1)"] * 4),
        ("epsilon:epsilon=0.1,stabilizer=0.2", [f"Epsilon(epsilon={n})" for n in (0.1, 0.1, 0.2, 0.1)]),
        ("epsilon_plus", ["ZPlus()", "ZPlus()", "Epsilon()", "Epsilon()"]),
        ("epsilon_plus_flat", ["Flat()", "ZPlus()", "Epsilon()", "Epsilon()"]),
        ("epsilon_alpha2_beta1", ["AlphaBeta()", "AlphaBeta()", "Epsilon()", "Epsilon()"]),
        ("epsilon_alpha2_beta1_flat", ["Flat()", "AlphaBeta()", "Epsilon()", "Epsilon()"]),
        ("epsilon_gamma_box:low=-1,high=2", ["ZBox(low=-1.0, high=2.0)", "Gamma()", "Epsilon()", "Epsilon()"]),
        ("layered:low=-1,high=2", ["ZBox(low=-1.0, high=2.0)", "Gamma()", "Epsilon()", "Zero()"]),
        ("layered", ["WSquare()", "Gamma()", "Epsilon()", "Zero()"]),
        ("layered:boundary=0.4", ["WSquare()", "Epsilon()", "Epsilon()", "Zero()"]),
        ("gamma:gamma=0.5", ["Gamma(gamma=0.5)", "Gamma(gamma=0.5)", "Epsilon()", "Gamma(gamma=0.5)"]),
        ("alpha_beta:alpha=3,beta=2", ["AlphaBeta(alpha=3.0, beta=2.0)"] * 2 + ["Epsilon()"]
         + ["AlphaBeta(alpha=3.0, beta=2.0)"]),
    ],
)  # fmt: skip
def test_presets(text: str, expected: list[str]) -> None:
    assert rules(lrp.Composite.parse(text)) == expected


def test_bounds_per_channel() -> None:
    composite = lrp.Composite.parse("epsilon_gamma_box:low=-2/-1/0,high=1/2/3")
    assert composite.entries[0][1] == lrp.ZBox((-2.0, -1.0, 0.0), (1.0, 2.0, 3.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "epsilon_plus"),
        ("epsilon:gamma=1", "no parameter gamma"),
        ("epsilon:epsilon=much", "key=number"),
        ("epsilon:epsilon", "key=number"),
        ("epsilon:epsilon=1/2", "one number"),
        ("epsilon:epsilon=-1", "epsilon"),
        ("epsilon:epsilon=nan", "epsilon"),
        ("gamma:gamma=-1", "gamma"),
        ("alpha_beta:alpha=2,beta=2", "alpha - beta"),
        ("epsilon_gamma_box", "low"),
        ("epsilon_gamma_box:low=2,high=1", "low"),
        ("layered:boundary=2", "boundary"),
        (7, "string"),
    ],
)
def test_refused(text: object, message: str) -> None:
    with pytest.raises(lrp.CompositeError, match=message):
        lrp.Composite.parse(text)


def test_entries_in_front_win() -> None:
    composite = lrp.Composite.parse("epsilon_plus").with_entries(
        (lrp.Selector(name="block/*", ops=("Conv",)), lrp.Gamma(0.1)),
        (lrp.Selector(last=True), lrp.Zero()),
        (lrp.Selector(where=lambda layer: layer.order == 0), lrp.Flat()),
    )
    assert rules(composite) == ["Flat()", "Gamma(gamma=0.1)", "Epsilon()", "Zero()"]
    assert "name=block/*" in str(composite)
    assert "otherwise" in str(composite)


def test_depth_range_and_first() -> None:
    selector = lrp.Selector(("Conv",), depth=(0.3, 1.0))
    assert [layer.name for layer in selector.select(LAYERS)] == ["block/conv"]
    assert [layer.name for layer in lrp.Selector(("Conv",), first=True, last=True).select(LAYERS)] == [
        "stem",
        "block/conv",
    ]
    assert lrp.Selector(("LSTM",), first=True).select(LAYERS) == []


def test_what_one_node_was_expanded_to_is_first_together() -> None:
    steps = [LayerInfo(f"cell/t{t}", "Gemm", 0.0, 0) for t in range(3)]
    assert lrp.Selector(("Gemm",), first=True).select([*steps, *LAYERS]) == steps
    assert lrp.Selector(("Gemm",), last=True).select([*steps, *LAYERS]) == [LAYERS[-1]]


def test_positional_parameters_are_the_rules_own() -> None:
    assert lrp.Gamma(0.1).gamma == 0.1
    assert lrp.Epsilon(0.1).epsilon == 0.1
    assert (lrp.AlphaBeta(3, 2).alpha, lrp.ZBox(0, 2).high) == (3, 2)
    assert lrp.Zero().epsilon == 0


def test_every_preset_says_what_it_is() -> None:
    assert all(preset.__doc__ for preset in PRESETS.values())


def test_ones_own_rule() -> None:
    @dataclass(frozen=True)
    class Half(Rule):
        """LRP-0 on half of the negative weights."""

        def parts(self) -> tuple[Part, ...]:
            return (Part((Term(identity, lambda xp, w: pos(xp, w) + 0.5 * neg(xp, w)),)),)

    composite = lrp.Composite("half", ((lrp.Selector(), Half()),))
    assert rules(composite) == ["Half()"] * 4
    assert Half().vanishes_at_zero


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        (Selector(name="blok/*"), "the nearest names are block/add, block/conv"),
        (Selector(ops=("Convv",)), r"layers that take a rule: Conv \(2\), Add \(1\), Gemm \(1\)"),
        (Selector(ops=("Gemm",), depth=(0.0, 0.5)), r"selector Gemm depth=0..0.5 matches no layer \(strict=False"),
    ],
)
def test_a_selector_that_matches_nothing_is_an_error(selector: Selector, said: str) -> None:
    with pytest.raises(CompositeError, match=rf"composite 'mine': .*{said}"):
        Composite("mine", ((selector, Flat()),)).assign(LAYERS)
    loose = Composite("mine", ((replace(selector, strict=False), Flat()),)).assign(LAYERS)
    assert set(loose.values()) == {Epsilon()}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Composite("c", ((Selector(), Epsilon),)), r"Epsilon is a class of rules; make one of it: Epsilon\(\)"),
        (lambda: Composite("c", ((Selector(), "gamma"),)), "not 'gamma'"),
        (lambda: Composite("c", (), 3), "not 3"),
        (lambda: Composite("c", (("Conv", Flat()),)), r"is a pair \(Selector, rule\)"),
        (lambda: Composite("c", (Selector(),)), r"is a pair \(Selector, rule\)"),
        (lambda: Selector(ops="Conv"), r"write ops=\('Conv',\)"),
        (lambda: Selector(ops=3), "ops of a selector must be names, not 3"),
        (lambda: Selector(name=3), "must be a pattern, not 3"),
        (lambda: Selector(depth=0.5), "must be a pair"),
        (lambda: Selector(where=3), "must be a function"),
        (lambda: Epsilon("a"), "epsilon must be a number"),
        (lambda: Gamma("a"), "gamma must be a number"),
        (lambda: AlphaBeta("a", 1), "alpha - beta must be 1"),
        (lambda: ZBox("a", 1), "must be numbers"),
    ],
)
def test_what_is_no_rule_selector_or_number_is_one_clear_error(make: Callable[[], object], said: str) -> None:
    with pytest.raises(CompositeError, match=said):
        make()


def test_ops_may_be_any_collection_of_names() -> None:
    assert Selector(ops=["Conv", "Gemm"]) == Selector(ops=("Conv", "Gemm"))
