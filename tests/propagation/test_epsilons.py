"""One ε for all denominators of a composite, merges and averages included, unless ``stabilizer`` is given."""

from __future__ import annotations

import numpy as np
import pytest
from planning import close, everywhere, parsed, planned

from onnx_lrp.composites import PRESETS
from onnx_lrp.rules import Epsilon, Zero

RNG = np.random.default_rng(0)
NET = parsed(
    """g (float[N, 2, 4] x) => (float[N, 3] y) { a = Conv(x, K) p = Relu(a) c = Conv(p, K) s = Add(c, p) r = Relu(s)
        d = Conv(r, K) e = Sum(d, r, p) f = AveragePool<kernel_shape = [2]>(e) q = LeakyRelu(f)
        m = ReduceMean<axes = [2], keepdims = 0>(q)
        t = BatchNormalization(m, two, two, two, two) u = Gemm(t, W) v = Relu(u) y = MatMul(v, V) }""",
    K=RNG.standard_normal((2, 2, 1)), W=RNG.standard_normal((2, 3)), V=RNG.standard_normal((3, 3)), two=[2.0, 2.0],
)  # fmt: skip
BOX = {"epsilon_gamma_box": "low=-3,high=3,", "layered": "low=-3,high=3,"}
OTHERS = ("Add", "Sum", "AveragePool", "ReduceMean")


@pytest.mark.parametrize("name", PRESETS)
def test_one_epsilon(name: str) -> None:
    rules = [s.rule for s in planned(NET, f"{name}:{BOX.get(name, '')}epsilon=1e-9").steps if s.rule is not None]
    assert len(rules) >= 9
    assert {rule.epsilon for rule in rules if not isinstance(rule, Zero)} == {1e-9}


@pytest.mark.parametrize("name", PRESETS)
def test_a_stabilizer_sets_the_others_apart(name: str) -> None:
    plan = planned(NET, f"{name}:{BOX.get(name, '')}epsilon=1e-9,stabilizer=0.5")
    rules = {step.op: step.rule for step in plan.steps if step.rule is not None}
    assert {rules[op].epsilon for op in OTHERS} == {0.5}
    for rule in (rules["Conv"], rules["Gemm"], rules["MatMul"]):
        expected = 0.0 if isinstance(rule, Zero) else 1e-9 if isinstance(rule, Epsilon) else 0.5
        assert rule.epsilon == expected


SMALL = """g (float[N, 2] x) => (float[N, 1] y) {
    p = Relu(x) m = ReduceMean<axes = [1], keepdims = 1>(p) l = LeakyRelu(m) y = Add(l, m) }"""


@pytest.mark.parametrize(
    ("composite", "epsilon"),
    [
        ("epsilon:epsilon=1e-9", 1e-9), ("epsilon:epsilon=0.25", 0.25), ("epsilon:epsilon=1e-9,stabilizer=0.25", 0.25),
        ("epsilon:epsilon=0.25,stabilizer=1e-9", 1e-9), ("zplus:epsilon=0.25", 0.25), ("gamma:stabilizer=0.5", 0.5),
        ("epsilon", 1e-6), ("zplus", 1e-6),
    ],
)  # fmt: skip
def test_it_is_what_is_divided_by(composite: str, epsilon: float) -> None:
    """By hand: a mean m = 2 of (1, 3), twice in a sum of 4."""
    found = everywhere(parsed(SMALL), np.array([[1.0, 3.0]]), composite, seed="one")
    expected = 2 * 2 / (4 + epsilon) * np.array([[0.5, 1.5]]) / (2 + epsilon)
    for explanation, tolerance in zip(found, (1e-12, 1e-12, 1e-6)):
        close(explanation.inputs["x"], expected, tolerance)


def test_it_matters_where_a_sum_nearly_cancels() -> None:
    """l + m of ±1e-6 hands on half of it with the default, and all of it with a smaller ε."""
    model = parsed("g (float[N, 2] x) => (float[N, 1] y) { a, b = Split<axis = 1>(x) y = Add(a, b) }")
    x = np.array([[1.0, -1.0 + 2**-20]])
    for epsilon in (1e-6, 1e-9, 2.0**-20):
        found = everywhere(model, x, f"epsilon:epsilon={epsilon!r}", seed="one")
        close(found[0].inputs["x"], x / (2**-20 + epsilon), 1e-9)
