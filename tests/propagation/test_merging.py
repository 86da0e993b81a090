"""γ at merges, against the formula written out summand by summand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper
from planning import close, everywhere, parsed

import onnx_lrp as lrp
from onnx_lrp import Composite, Gamma, Selector

RNG = np.random.default_rng(5)
NET = parsed(
    """g (float[N, 4] x) => (float[N, 3] y) { a = MatMul(x, A) b = MatMul(x, B) d = Sub(a, b) s = Sum(d, x, c)
        r = Relu(s) y = MatMul(r, V) }""",
    A=RNG.standard_normal((4, 4)), B=RNG.standard_normal((4, 4)), c=RNG.standard_normal(4),
    V=RNG.standard_normal((4, 3)),
)  # fmt: skip
X = RNG.standard_normal((6, 4)).astype(np.float32)


def composite(bias: str) -> Composite:
    gamma = Gamma(0.5, epsilon=0.1, bias=bias)  # type: ignore[arg-type]
    return Composite("merges", ((Selector(("Sub", "Sum")), gamma),), lrp.Epsilon(0.1))


def shares(summands: list[np.ndarray], r: np.ndarray, constant: np.ndarray | float) -> list[np.ndarray]:
    """γ = 0.5 for contributions of the sum's own sign, element by element."""
    out = [np.zeros_like(r) for _ in summands]
    for place in np.ndindex(r.shape):
        values = [float(s[place]) for s in summands]
        c = float(np.broadcast_to(constant, r.shape)[place])
        z = sum(values) + c
        if z == 0:
            continue
        weigh = [1.5 * v if v * z > 0 else v for v in (*values, c)]
        whole = sum(weigh)
        for share, w in zip(out, weigh):
            share[place] = w * r[place] / (whole + (0.1 if whole >= 0 else -0.1))
    return out


def epsilon(a: np.ndarray, w: np.ndarray, r: np.ndarray) -> np.ndarray:
    z = a @ w
    return a * ((r / (z + np.where(z < 0, -0.1, 0.1))) @ w.T)


@pytest.mark.parametrize("bias", ["absorb", "ignore"])
def test_by_hand(bias: str) -> None:
    weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in NET.graph.initializer}
    x = X.astype(np.float64)
    a, b = x @ weights["A"], x @ weights["B"]
    s = a - b + x + weights["c"]
    r, y = np.maximum(s, 0), np.maximum(s, 0) @ weights["V"]
    seed = y * (np.arange(3) == y.argmax(1, keepdims=True))
    arriving = epsilon(r, weights["V"], seed)
    of_d, of_x = shares([a - b, x], arriving, weights["c"] if bias == "absorb" else 0.0)
    of_a, of_b = shares([a, -b], of_d, 0.0)
    expected = of_x + epsilon(x, weights["A"], of_a) + epsilon(x, weights["B"], of_b)
    for found, tolerance in zip(everywhere(NET, X, composite(bias)), (1e-9, 1e-9, 1e-5)):
        close(found.relevance, expected, tolerance)


def test_facts_change_nothing() -> None:
    plain, fast = (
        lrp.explain(NET, X, composite=composite("absorb"), backend="numpy", facts=facts).relevance
        for facts in (False, True)
    )
    close(fast, plain, 1e-12)
