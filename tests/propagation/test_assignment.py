"""Which rule every layer gets: first, last and depth by paths and not by the order of nodes, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from planning import everywhere, parsed, planned

from onnx_lrp import Composite, CompositeError, Epsilon, Flat, Gamma, Pass, Rule, Selector, WSquare, ZBox, Zero, ZPlus
from onnx_lrp.composites import CONVOLUTION, WEIGHTED, LayerInfo
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.assignment import layers

RNG = np.random.default_rng(0)
W, V = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
X = RNG.standard_normal((4, 3)).astype(np.float32)
# Two stems: the second is one layer longer, and meets the first in a sum
NODES = {
    "a": "[a] a = MatMul(x, W)", "p": "p = Relu(a)",
    "b": "[b] b = MatMul(x, V)", "q": "q = Relu(b)", "c": "[c] c = MatMul(q, W)", "o": "o = Relu(c)",
    "s": "[s] s = Add(p, o)", "d": "[d] d = MatMul(s, V)", "y": "y = LeakyRelu(d)",
}  # fmt: skip
ORDERS = ("apbqcosdy", "bqcoapsdy", "baqpcosdy", "bqacposdy")


def stems(order: str) -> onnx.ModelProto:
    return parsed(f"g (float[N, 3] x) => (float[N, 3] y) {{ {' '.join(NODES[n] for n in order)} }}", W=W, V=V)


def rules(model: onnx.ModelProto, composite: str | Composite, **options: Any) -> dict[str, Rule]:
    return {step.name: step.rule for step in planned(model, composite, **options).steps if step.rule is not None}


def infos(model: onnx.ModelProto) -> dict[str, LayerInfo]:
    return {info.name: info for info in layers(prepare(model).verdict).values()}


SELECTORS: list[tuple[Selector, str]] = [
    (Selector(WEIGHTED, first=True), "ab"), (Selector(WEIGHTED, last=True), "d"),
    (Selector(name="[ac]", last=True), "ac"),
    (Selector(name="[abc]", first=True), "ab"), (Selector(name="[bc]", last=True), "c"),
    (Selector(WEIGHTED, first=True, last=True), "abd"), (Selector(WEIGHTED, depth=(0.0, 0.0)), "ab"),
    (Selector(WEIGHTED, depth=(1.0, 1.0)), "d"), (Selector(WEIGHTED, depth=(0.4, 0.6)), "c"),
    (Selector(("Conv",), first=True, strict=False), ""),
    (Selector(WEIGHTED, where=lambda layer: layer.name < "c"), "ab"),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("selector", "expected"), SELECTORS, ids=str)
def test_selectors_go_by_paths(selector: Selector, expected: str, order: str) -> None:
    found = rules(stems(order), Composite("", ((selector, Flat()),)))
    assert {name for name, rule in found.items() if rule == Flat()} == set(expected)


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "layered:low=-3,high=3", "gamma"])
def test_the_order_of_the_nodes_does_not_matter(composite: str) -> None:
    assigned = [rules(stems(order), composite) for order in ORDERS]
    assert all(found == assigned[0] for found in assigned[1:])
    found = [everywhere(stems(order), X, composite)[0].inputs["x"] for order in ORDERS]
    assert all(np.allclose(found[0], r, rtol=1e-12, atol=0) for r in found[1:])


def test_depth_counts_the_weighted_layers_before() -> None:
    found = infos(stems(ORDERS[0]))
    assert {name: info.depth for name, info in found.items()} == {"a": 0, "b": 0, "c": 0.5, "d": 1, "s": 1}
    assert all(found["d"].before >> found[n].order & 1 for n in "abcs")
    assert found["c"].before == 1 << found["b"].order
    assert found["a"].before == 0


def test_one_weighted_layer_is_next_to_the_output() -> None:
    assert infos(parsed("g (float[N, 3] x) => (float[N, 3] y) { [a] y = MatMul(x, W) }", W=W))["a"].depth == 1.0


def test_the_parts_of_one_node_share_depth_and_order() -> None:
    weights = {"W": RNG.standard_normal((1, 8, 3)), "R": RNG.standard_normal((1, 8, 2))}
    text = "g (float[3, 1, 3] x) => (float[3, 1, 1, 2] y) { [lstm] y = LSTM<hidden_size = 2>(x, W, R) }"
    found = layers(prepare(parsed(text, **weights)).verdict).values()
    assert len(found) > 3
    assert len({(info.depth, info.order, info.before) for info in found}) == 1


SCALED = """g (float[N, 2, 3] x) => (float[N, 2, 2] y) {
    [shift] s = Sub(x, m) t = Transpose<perm = [0, 2, 1]>(s) u = Transpose<perm = [0, 2, 1]>(t)
    [scale] v = Div(u, d) [conv] c = Conv(v, K) r = Relu(c) [shift2] y = Add(r, h) }"""
NUMBERS: dict[str, Any] = {
    "m": [[0.5], [0.25]], "d": [[2.0], [4.0]], "K": RNG.standard_normal((2, 2, 2)), "h": [[[1.0, 2.0], [3.0, 4.0]]]
}  # fmt: skip


@pytest.mark.parametrize("bottom", [ZBox(-2.0, 2.0), WSquare(), Flat()])
def test_scaling_of_the_input_passes_below_a_rule_that_gives_to_zeros(bottom: Rule) -> None:
    composite = Composite("", ((Selector(CONVOLUTION), bottom),))
    found = rules(parsed(SCALED, **NUMBERS), composite)
    assert found == {"shift": Pass(), "scale": Pass(), "conv": bottom, "shift2": Epsilon()}


@pytest.mark.parametrize("bottom", [ZPlus(), Gamma(), Epsilon()])
def test_it_is_a_layer_below_any_other(bottom: Rule) -> None:
    found = rules(parsed(SCALED, **NUMBERS), Composite("", ((Selector(CONVOLUTION), bottom),)))
    assert found == {"shift": Epsilon(), "scale": Epsilon(), "conv": bottom, "shift2": Epsilon()}


def test_relevance_passes_scaling_whatever_the_pixel() -> None:
    """A pixel at its mean has no part in (x - m) / d, but has one in the picture."""
    x = np.array([[[0.5, 0.5, 1.0], [0.25, 2.0, 0.25]]], np.float32)
    composite = Composite("", ((Selector(CONVOLUTION), Flat()),))
    found = everywhere(parsed(SCALED, **NUMBERS), x, composite, layers=["v"], target=0)
    assert np.array_equal(found[0].inputs["x"], found[0].layers["v"])
    assert found[0].inputs["x"][0, 0, 0] != 0


NORMAL = "g (float[N, 3] x) => (float[N, 3] y) { r = Relu(x) [bn] b = BatchNormalization(r, c, c, c, c) y = Relu(b) }"
REFUSED: list[tuple[str, Rule, str]] = [
    ("s", ZPlus(), "merges tensors"), ("s", Pass(), "merges tensors"), ("s", Flat(), "merges tensors"),
    ("a", Pass(), "changes the shape"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rule", "message"), REFUSED)
def test_rules_that_a_layer_cannot_take(name: str, rule: Rule, message: str) -> None:
    with pytest.raises(CompositeError, match=message) as caught:
        planned(stems(ORDERS[0]), Composite("", ((Selector(name=name), rule),)))
    assert str(caught.value).startswith(f"{name} (")


@pytest.mark.parametrize("rule", [Epsilon(0.5), Zero(), Epsilon(bias="ignore")])
def test_merges_take_every_epsilon(rule: Rule) -> None:
    assert rules(stems(ORDERS[0]), Composite("", ((Selector(name="s"), rule),)))["s"] == rule


@pytest.mark.parametrize(("batchnorm", "rule"), [("affine", Epsilon()), ("pass", Pass())])
def test_a_normalisation_that_cannot_be_merged(batchnorm: str, rule: Rule) -> None:
    model = parsed(NORMAL, c=[1.0, 2.0, 3.0])
    assert rules(model, "zplus", batchnorm=batchnorm) == {"bn": rule}
