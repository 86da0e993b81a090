"""What is claimed of the sign of tensors, and where relevance arrives at zeros; see also test_masks.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from planning import close, everywhere, facts_of, parsed, without_facts

from onnx_lrp import Epsilon, Flat, Pass
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.facts import vanishes_at_zero

RNG = np.random.default_rng(0)
W = RNG.standard_normal((3, 3))

# How t is made of r = relu(z) >= 0, and whether it is known to be >= 0, too
SIGNS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "relu": ("t = Relu(r)", {}, True),
    "the layer itself": ("t = MatMul(r, W)", {}, False),
    "where -1": ("t = Where(m, r, k)", {"m": [True, False, True], "k": -1.0}, False),
    "where 2": ("t = Where(m, r, k)", {"m": [True, False, True], "k": 2.0}, True),
    "where -1, or it": ("t = Where(m, k, r)", {"m": [True, False, True], "k": -1.0}, False),
    "where 0": ("t = Where(m, r, k)", {"m": [True, False, True], "k": 0.0}, True),
    "where of both signs": ("t = Where(m, r, k)", {"m": [True, False, True], "k": [2.0, -1.0, 1.0]}, False),
    "where the layer": ("t = Where(m, r, z)", {"m": [True, False, True]}, False),
    "concat -1": ("c = Concat<axis = 1>(r, k) t = Slice(c, zero, three, one)", {"k": [[-1.0]]}, False),
    "concat 1": ("c = Concat<axis = 1>(r, k) t = Slice(c, zero, three, one)", {"k": [[1.0]]}, True),
    "pad": ("c = Pad(r, p) t = Slice(c, zero, three, one)", {"p": [0, 2, 0, 1]}, True),
    "reshape": ("t = Reshape(r, s)", {"s": [0, 3]}, True),
    "plus itself": ("q = Relu(u) t = Add(r, q)", {}, True),
    "plus the layer": ("t = Add(r, u)", {}, False),
    "plus 1": ("t = Add(r, k)", {"k": 1.0}, True),
    "plus -1": ("t = Add(r, k)", {"k": -1.0}, False),
    "minus -1": ("t = Sub(r, k)", {"k": -1.0}, False),  # it is, but signs of a difference are not looked into
    "minus a relu": ("q = Relu(u) t = Sub(r, q)", {}, False),
    "mean": ("q = Relu(u) t = Mean(r, q)", {}, True),
    "times -1": ("t = Mul(r, k)", {"k": [2.0, -1.0, 1.0]}, False),
    "a max": ("q = Relu(u) t = Max(r, q)", {}, True),
    "a max with the layer": ("t = Max(r, u)", {}, False),  # it is, too
    "leaky": ("t = LeakyRelu(r)", {}, True),
    "leaky of the layer": ("t = LeakyRelu(u)", {}, False),
    "relu6": ("t = Clip(u, zero_f, six)", {"zero_f": 0.0, "six": 6.0}, True),
    "clip from above": ("t = Clip(r, , six)", {"six": 6.0}, True),
    "clip to below 0": ("t = Clip(r, , k)", {"k": -1.0}, False),
    "clip from -1": ("t = Clip(u, k)", {"k": -1.0}, False),
    "sigmoid": ("t = Sigmoid(u)", {}, True),
    "tanh": ("t = Tanh(u)", {}, False),
    "tanh of it": ("t = Tanh(r)", {}, True),
}


@pytest.mark.parametrize("what", SIGNS)
def test_what_is_known_not_to_be_negative(what: str) -> None:
    text, weights, expected = SIGNS[what]
    counting = {"zero": [0, 0], "one": [0, 1], "three": [1 << 30, 3]}
    model = parsed(
        f"g (float[N, 3] x) => (float[N, 3] y) {{ z = MatMul(x, W) r = Relu(z) u = MatMul(x, W) {text} "
        "y = MatMul(t, W) }",
        W=W, **counting, **weights,
    )  # fmt: skip
    trusted = [n.op_type for n in model.graph.node if n.op_type in ("Sigmoid", "Tanh", "Clip")]
    assert ("t" in facts_of(model, pass_ops=trusted).nonnegative) is expected


POOLS = {
    "average": "AveragePool<kernel_shape = [2], pads = [1, 0]>",
    "largest": "MaxPool<kernel_shape = [2], pads = [1, 1]>",
    "all": "GlobalAveragePool",
    "sum": "ReduceSum<keepdims = 1>",
}


@pytest.mark.parametrize("op", POOLS)
@pytest.mark.parametrize("of", ["r", "z"])
def test_pools_keep_the_sign(op: str, of: str) -> None:
    text = "g (float[N, 2, 4] x) => (float[N, A, B] y) { z = Conv(x, K) r = Relu(z) "
    model = parsed(f"{text} p = {POOLS[op]}({of}) y = Conv(p, K) }}", K=RNG.standard_normal((2, 2, 1)))
    assert ("p" in facts_of(model).nonnegative) is (of == "r")


def test_weights_do_not_vouch_for_a_sign() -> None:
    model = parsed("g (float[N, 3] x) => (float[N, 3] y) { r = Relu(x) y = MatMul(r, W) }", W=np.abs(W))
    assert facts_of(model).nonnegative == {"r"}


# Where relevance arrives at zeros of r in r -> (op) -> y, under a rule for the op
ZEROS: list[tuple[str, Any, bool, bool]] = [
    ("MatMul(r, W)", Epsilon(), False, True), ("MatMul(r, W)", Flat(), True, False), ("Relu(r)", None, True, True),
    ("Relu(r)", None, False, False), ("Add(r, x)", Epsilon(), False, True), ("Flatten(r)", None, False, False),
    ("Flatten(r)", None, True, True), ("MatMul(r, W)", Pass(), True, False),
]  # fmt: skip


@pytest.mark.parametrize(("op", "rule", "start", "expected"), ZEROS, ids=str)
def test_whether_relevance_arrives_at_zeros(op: str, rule: Any, start: bool, expected: bool) -> None:
    model = parsed(f"g (float[N, 3] x) => (float[N, 3] y) {{ r = Relu(x) y = {op} }}", W=W)
    roles = prepare(model).verdict.roles
    r, y = (node.outputs[0] for node in roles)
    rules = {} if rule is None else {y.producer(): rule}
    assert vanishes_at_zero(roles, rules, {y: start})[r] is expected


WHERE = """g (float[N, 3, 4] x) => (float[N, 2] y) {
    z = Conv(x, A) r = Relu(z) t = Where(m, r, k) u = Conv(t, B) v = Relu(u) f = Flatten(v) y = MatMul(f, C) }"""


@pytest.mark.parametrize("k", [-1.0, 2.0, 0.0])
@pytest.mark.parametrize("composite", ["epsilon_plus", "alpha_beta", "epsilon", "gamma"])
def test_constants_beside_a_relu_do_not_inherit_its_sign(composite: str, k: float) -> None:
    rng = np.random.default_rng(3)
    weights = {"A": rng.standard_normal((4, 3, 2)), "B": rng.standard_normal((4, 4, 2))}
    mask, last = rng.random((4, 3)) < 0.6, rng.standard_normal((8, 2))
    model = parsed(WHERE, m=mask, k=k, C=last, **weights)
    x = rng.standard_normal((3, 3, 4)).astype(np.float32)
    plain = without_facts(model, x, composite)
    for found, tolerance in zip(everywhere(model, x, composite, ledger=True), (1e-9, 1e-9, 1e-5)):
        close(found.inputs["x"], plain.inputs["x"], tolerance)
        if composite in ("epsilon_plus", "epsilon"):  # no biases: only the constant keeps anything
            kept = {entry.op: abs(entry.absorbed) for entry in found.ledger if entry.op != "Where"}
            assert max(kept.values()) <= 1e-4 * np.abs(found.conservation.target).sum()
