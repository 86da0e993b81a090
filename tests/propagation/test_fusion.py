"""A layer and the constant behind it are one layer, wherever that stands; and what is none is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planning import close, everywhere, parsed, planned, without_facts

from onnx_lrp import Composite, Epsilon, Selector
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.plan import make_plan

RNG = np.random.default_rng(0)
W, C = RNG.standard_normal((3, 3)), RNG.standard_normal((2, 3))
X = RNG.standard_normal((2, 3)).astype(np.float32)
BATCH = "g (float[2, 3] x) => (float[2, 3] y) { %s }"
ROW, IMAGE = BATCH.replace("2", "N"), "g (float[N, 2, 2, 2] x) => (float[N, 2, 2, 2] y) { %s }"
PLANE = IMAGE.replace("N, 2", "N, 1", 1)
SUM = "g (float[N, 3] x) => (float[N, A] y) { p = Relu(x) a = ReduceSum<keepdims = 1>(p, axes) %s }"

# Models, constants, and the ops that are left of the layer and of what follows it
FUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "a bias per entry": (BATCH % "a = MatMul(x, W) b = Add(a, c) y = LeakyRelu(b)", {"c": C}),
    "a bias per sample": (BATCH % "a = MatMul(x, W) b = Add(a, c) y = LeakyRelu(b)", {"c": C[:, :1]}),
    "a bias in front": (BATCH % "a = MatMul(x, W) b = Add(c, a) y = LeakyRelu(b)", {"c": C}),
    "less a constant": (BATCH % "a = MatMul(x, W) b = Sub(a, c) y = LeakyRelu(b)", {"c": C}),
    "a sum": (ROW % "a = MatMul(x, W) b = Sum(a, c) y = LeakyRelu(b)", {"c": C[0]}),
    "two biases": (
        BATCH % "a = MatMul(x, W) d = Add(a, c) b = Add(d, e) y = LeakyRelu(b)",
        {"c": C, "e": C[:, :1]},
    ),
    "per position": (IMAGE % "a = Conv(x, K) b = Add(a, c) y = LeakyRelu(b)", {"c": RNG.standard_normal((2, 2))}),
    "behind a bias": (IMAGE % "a = Conv(x, K, k) b = Add(a, c) y = LeakyRelu(b)", {"c": RNG.standard_normal((2, 2))}),
    "a scaled sum": (SUM % "b = Mul(a, c) y = LeakyRelu(b)", {"c": 0.25}),
    "a divided sum": (SUM % "b = Div(a, c) y = LeakyRelu(b)", {"c": 4.0}),
    "a negative sum": (SUM % "b = Mul(c, a) y = LeakyRelu(b)", {"c": -0.5}),
}
APART: dict[str, tuple[str, dict[str, Any]]] = {
    "two readers": (BATCH % "a = MatMul(x, W) b = Add(a, c) s = Add(a, b) y = LeakyRelu(s)", {"c": C}),
    "larger": (
        IMAGE.replace("N, 2", "N, 1", 1) % "a = Conv(x, J) b = Add(a, c) y = LeakyRelu(b)",
        {"c": C[:, :2, None]},
    ),
    "one axis more": (BATCH % "a = MatMul(x, W) b = Add(a, c) s = Squeeze(b) y = LeakyRelu(s)", {"c": C[None]}),
    "a constant less it": (BATCH % "a = MatMul(x, W) b = Sub(c, a) y = LeakyRelu(b)", {"c": C}),
    "half of it": (BATCH % "a = MatMul(x, W) b = Mean(a, c) y = LeakyRelu(b)", {"c": C}),
    "a variable": (BATCH % "a = MatMul(x, W) b = Add(a, x) y = LeakyRelu(b)", {}),
    "three": (BATCH % "a = MatMul(x, W) b = Sum(a, c, c) y = LeakyRelu(b)", {"c": C}),
    "moved in between": (BATCH % "a = MatMul(x, W) t = Transpose(a) b = Add(t, c) y = LeakyRelu(b)", {"c": C.T}),
    "a wider sum": (SUM % "b = Mul(a, c) y = LeakyRelu(b)", {"c": [1.0, 2.0, 3.0]}),
    "a sum and a bias": (SUM % "b = Add(a, c) y = LeakyRelu(b)", {"c": 1.0}),
    "a layer that is scaled": (BATCH % "a = MatMul(x, W) b = Mul(a, c) y = LeakyRelu(b)", {"c": C}),
}


def model_of(case: tuple[str, dict[str, Any]]) -> Any:
    kernels = {"K": RNG.standard_normal((2, 2, 1, 1)), "J": RNG.standard_normal((1, 1, 1, 1)), "k": [0.5, -1.0]}
    return parsed(case[0], W=W, axes=[1], **kernels, **case[1])


def outputs(model: Any) -> list[str]:
    return [step.outputs[0] for step in planned(model).steps]


@pytest.mark.parametrize("what", FUSED)
def test_the_layer_takes_what_alone_reads_it(what: str) -> None:
    found = outputs(model_of(FUSED[what]))
    assert "a" not in found
    assert "b" in found


@pytest.mark.parametrize("what", APART)
def test_what_does_not_go_together_stays_apart(what: str) -> None:
    found = outputs(model_of(APART[what]))
    assert {"a", "b"} <= set(found)


def test_the_explained_tensor_stays() -> None:
    assert outputs(parsed(BATCH % "y = MatMul(x, W) b = Add(y, c)", W=W, c=C)) == ["y"]
    ready = prepare(parsed(BATCH % "a = MatMul(x, W) y = Add(a, c)", W=W, c=C))
    for target, expected in (("y", ["y"]), ("a", ["a", "y"])):
        found = next(v for node in ready.verdict.roles for v in node.outputs if v.name == target)
        ready.model.graph.outputs[:] = [found]
        plan = make_plan(ready.verdict, ready.model, Composite.parse("epsilon"))
        assert [step.outputs[0] for step in plan.steps] == expected


ORDERS = {
    "next to it": "a = MatMul(x, W) b = Add(a, c) q = MatMul(x, V) s = Add(b, q) y = LeakyRelu(s)",
    "behind another": "a = MatMul(x, W) q = MatMul(x, V) b = Add(a, c) s = Add(b, q) y = LeakyRelu(s)",
    "before both": "q = MatMul(x, V) a = MatMul(x, W) b = Add(a, c) s = Add(b, q) y = LeakyRelu(s)",
}


def test_the_order_of_the_nodes_does_not_matter() -> None:
    found = []
    for text in ORDERS.values():
        model = parsed(BATCH % text, W=W, V=W.T, c=C)
        steps = planned(model).steps
        assert sorted(step.outputs[0] for step in steps) == ["b", "q", "s", "y"]
        made = {"x"}
        for step in steps:  # still an order of execution
            assert set(step.receivers) <= made
            made |= set(step.outputs)
        found.append(everywhere(model, X, "zplus")[0].inputs["x"])
    assert all(np.array_equal(found[0], r) for r in found[1:])


def test_a_bias_that_is_not_per_channel_is_the_layer_s_own() -> None:
    """By hand: of z⁺, the bias has its share of the denominator."""
    model = parsed(BATCH % "a = MatMul(x, W) y = Add(a, c)", W=W, c=C)
    found = everywhere(model, X, "zplus", seed=np.ones((2, 3)))
    w, c = W.astype(np.float32).astype(float), C.astype(np.float32).astype(float)
    rows = []
    for x, b in zip(X.astype(float), c):
        shares = np.maximum(x[:, None] * w, 0)
        rows.append((shares / (shares.sum(0) + np.maximum(b, 0) + 1e-6)).sum(1))
    close(found[0].inputs["x"], np.array(rows))


def test_an_average_has_one_denominator() -> None:
    """By hand: each of three in proportion, over an average that ε is small against, or large."""
    model = parsed(SUM % "y = Mul(a, c)", axes=[1], c=0.25)
    x = np.array([[1.0, 2.0, 5.0]])
    for epsilon in (1e-6, 2.0):
        found = everywhere(model, x, Composite("", (), Epsilon(epsilon)))
        close(found[0].inputs["x"], x * 0.25 * 2 / (2 + epsilon))


@pytest.mark.parametrize("composite", ["epsilon:epsilon=0.1", "zplus", "gamma", "alpha_beta"])
@pytest.mark.parametrize("what", [*FUSED, *APART])
def test_relevance_is_what_it_is_without_facts(what: str, composite: str) -> None:
    model = model_of({**FUSED, **APART}[what])
    sizes = [d.dim_value or 2 for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = RNG.standard_normal(sizes).astype(np.float32)
    plain = without_facts(model, x, composite)
    close(everywhere(model, x, composite)[0].inputs["x"], plain.inputs["x"])


def test_biases_are_left_out_where_the_rule_says_so() -> None:
    model = parsed(BATCH % "a = MatMul(x, W) y = Add(a, c)", W=W, c=C)
    bare = parsed(BATCH % "y = MatMul(x, W)", W=W)
    for epsilon in (1e-6, 0.25):
        composite = Composite("", ((Selector(), Epsilon(epsilon, bias="ignore")),))
        seed = np.arange(6.0).reshape(2, 3)
        found = [everywhere(m, X, composite, seed=seed)[0].inputs["x"] for m in (model, bare)]
        close(*found)
