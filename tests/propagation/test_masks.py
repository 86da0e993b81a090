"""Masks and differences: where a ReLU's output may stand in for its input, and a sum less a summand for the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from planning import facts_of, parsed

from onnx_lrp import Composite, Epsilon, Flat, Part, Pass, Rule, Selector, Term, ZBox, ZPlus
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.facts import derive
from onnx_lrp.rules import Signed, identity

W = np.random.default_rng(0).standard_normal((3, 3))


@dataclass(frozen=True)
class Quarter(Rule):
    """A user's own rule, whose denominators may have either sign."""

    def parts(self) -> tuple[Part, ...]:
        return (Part((Term(identity, Signed(1, 0.25)),), bias=Signed(1, 0.25)),)


# What follows z = MatMul(x, W), and what stands in for it
MASKS: dict[str, tuple[str, str | None]] = {
    "one reader": ("r = Relu(z) y = MatMul(r, W)", "r"),
    "two that rectify": ("r = Relu(z) q = Relu(z) s = Add(r, q) y = MatMul(s, W)", "r"),
    "a second reader": ("r = Relu(z) s = Add(r, z) y = MatMul(s, W)", None),
    "its shape is read": ("r = Relu(z) n = Shape(z) s = Reshape(r, n) y = MatMul(s, W)", None),
    "leaky": ("r = LeakyRelu(z) y = MatMul(r, W)", None),
    "relu6": ("r = Clip(z, zero, six) y = MatMul(r, W)", None),
    "moved": ("q = Flatten(z) r = Relu(q) y = MatMul(r, W)", None),
    "the end": ("y = Relu(z)", None),  # a seed may be any array, also where y is 0
    "added to the end": ("r = Relu(z) y = Add(r, x)", "r"),
    "beside a constant": ("r = Relu(z) t = Where(m, r, k) y = MatMul(t, W)", "r"),
    "behind it, 0 is not 0": ("r = Relu(z) t = Sigmoid(r) y = MatMul(t, W)", None),
    "behind it, 0 is 0": ("r = Relu(z) t = Tanh(r) y = MatMul(t, W)", "r"),
}


@pytest.mark.parametrize("what", MASKS)
def test_what_is_masked(what: str) -> None:
    text, expected = MASKS[what]
    numbers = {"zero": 0.0, "six": 6.0, "m": [True, False, True], "k": -1.0}
    model = parsed(f"g (float[N, 3] x) => (float[N, 3] y) {{ z = MatMul(x, W) {text} }}", W=W, **numbers)
    found = facts_of(model, pass_ops=[n.op_type for n in model.graph.node if n.op_type in ("Sigmoid", "Tanh")]).masked
    assert found.get("z") == expected
    assert "y" not in found


def test_the_explained_tensor_is_not_masked() -> None:
    model = parsed("g (float[N, 3] x) => (float[N, 3] z, float[N, 3] r) { z = MatMul(x, W) r = Relu(z) }", W=W)
    assert facts_of(model).masked == {}


def test_a_tensor_inside_that_is_explained_is_not_masked() -> None:
    """A seed may be any array, also where its ReLU is 0."""
    model = parsed("g (float[N, 3] x) => (float[N, 3] r) { z = MatMul(x, W) q = Relu(z) r = MatMul(q, W) }", W=W)
    roles = prepare(model).verdict.roles
    rules = {node: Epsilon() for node, role in roles.items() if role.ruled}
    z, _, r = (node.outputs[0] for node in roles)
    assert set(derive(roles, rules, r).masked) == {z}
    assert derive(roles, rules, z).masked == {}


CHAIN = "g (float[N, 3] x) => (float[N, 3] y) { z = MatMul(x, W) r = Relu(z) %s y = MatMul(%s, W) }"


def test_what_the_graph_gives_is_not_masked() -> None:
    """Beside the explained tensor, that is: whoever asks for it wants its own relevance."""
    ready = prepare(parsed(CHAIN % ("", "r"), W=W))
    z, _, y = (node.outputs[0] for node in ready.verdict.roles)
    rules = {value.producer(): Epsilon() for value in (z, y)}
    assert list(derive(ready.verdict.roles, rules, y).masked) == [z]
    ready.model.graph.outputs.append(z)
    assert derive(ready.verdict.roles, rules, y).masked == {}


@pytest.mark.parametrize(("rule", "masked"), [(Epsilon(), True), (ZPlus(), True), (Flat(), False), (ZBox(), False)])
@pytest.mark.parametrize("between", ["", "t = Flatten(r)", "t = LeakyRelu(r)", "t = Mul(r, c)"])
def test_rules_that_give_to_zeros_unmask_what_lies_below(rule: Any, masked: bool, between: str) -> None:
    """But for a layer in between, which gives nothing to its own zeros."""
    composite = Composite("", ((Selector(("MatMul",), last=True), rule),))
    model = parsed(CHAIN % (between, "t" if between else "r"), W=W, c=[1.0, 2.0, 3.0])
    hands_on = masked or "Mul" in between
    assert facts_of(model, composite).masked == ({"z": "r"} if hands_on else {})


def test_what_passes_a_layer_unchanged_arrives_at_zeros() -> None:
    model = parsed(CHAIN % ("t = BatchNormalization(r, c, c, c, c)", "t"), W=W, c=[1.0, 2.0, 3.0])
    scale = Selector(("Mul", "BatchNormalization"))
    for rule, masked in ((Epsilon(), {"z": "r"}), (Pass(), {})):
        composite = Composite("", ((scale, rule),))
        assert facts_of(model, composite).masked == masked, rule


RESIDUAL = """g (float[N, 3] x) => (float[N, 3] y) {
    a = MatMul(x, W) p = Relu(a) z = MatMul(p, W) s = Add(%s) r = Relu(s) y = MatMul(r, W) }"""
SECOND = Selector(name="*z")
DIFFERENCES: list[tuple[str, Any]] = [
    ("epsilon", ("r", "p")), ("epsilon_plus", ("r", "p")), ("zplus", ("r", "p")), ("gamma", ("r", "p")),
    ("epsilon:epsilon=0", None),  # an output of 0 that is rounded would be divided by
    (Composite("", ((SECOND, Epsilon(bias="ignore")),)), None),  # z without its bias is another tensor
    (Composite("", ((SECOND, Quarter()),)), None),  # a denominator near 0 would magnify what is rounded
]  # fmt: skip


@pytest.mark.parametrize("order", ["z, p", "p, z"])
@pytest.mark.parametrize(("composite", "pair"), DIFFERENCES, ids=str)
def test_a_summand_of_a_rectified_sum_is_a_difference(composite: Any, pair: Any, order: str) -> None:
    assert facts_of(parsed(RESIDUAL % order, W=W), composite).differences == ({} if pair is None else {"z": pair})


# Sums of which no summand is taken for a difference
OTHERWISE = {
    "two readers": "a = MatMul(x, W) z = MatMul(a, W) s = Add(z, a) r = Relu(s) t = Add(r, z) y = MatMul(t, W)",
    "broadcast": "a = ReduceMax<axes = [1]>(x) z = MatMul(x, W) s = Add(z, a) r = Relu(s) y = MatMul(r, W)",
    "no layer": "a = Relu(x) z = LeakyRelu(x) s = Add(z, a) r = Relu(s) y = MatMul(r, W)",
    "not masked": "a = Relu(x) z = MatMul(a, W) s = Add(z, a) r = LeakyRelu(s) y = MatMul(r, W)",
    "minus": "a = Relu(x) z = MatMul(a, W) s = Sub(z, a) r = Relu(s) y = MatMul(r, W)",
    "three": "a = Relu(x) z = MatMul(a, W) s = Sum(z, a, x) r = Relu(s) y = MatMul(r, W)",
    "mean": "a = Relu(x) z = MatMul(a, W) s = Mean(z, a) r = Relu(s) y = MatMul(r, W)",
    "a bias": "z = MatMul(x, W) s = Add(z, c) r = Relu(s) y = MatMul(r, W)",
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_what_is_no_difference(what: str) -> None:
    model = parsed(f"g (float[N, 3] x) => (float[N, 3] y) {{ {OTHERWISE[what]} }}", W=W, c=[1.0, 2.0, 3.0])
    assert facts_of(model, "epsilon").differences == {}
