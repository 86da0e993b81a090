"""The relative stabilizer: ε times the standard deviation of each sample's denominators."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from planning import close, everywhere, parsed

import onnx_lrp as lrp
from onnx_lrp.rules import Relative

RNG = np.random.default_rng(3)
W, V, B = RNG.standard_normal((4, 6)), RNG.standard_normal((6, 3)), RNG.standard_normal(6)
MLP = parsed("g (float[N, 4] x) => (float[N, 3] y) { h = Gemm(x, W, B) r = Relu(h) y = MatMul(r, V) }", W=W, V=V, B=B)
X = RNG.standard_normal((5, 4)).astype(np.float32)


def by_hand(x: np.ndarray, factor: float) -> np.ndarray:
    """Sample by sample, output by output."""
    found = np.zeros(x.shape)
    for n, row in enumerate(x.astype(np.float64)):
        h = row @ W + B
        y = np.maximum(h, 0) @ V
        r = np.zeros(3)
        r[y.argmax()] = y.max()
        for a, w, z in ((np.maximum(h, 0), V, y), (row, W, h)):
            spread = factor * z.std()
            shares = [a * w[:, k] * r[k] / (z[k] + (spread if z[k] >= 0 else -spread)) for k in range(len(z))]
            r = np.sum(shares, axis=0)
        found[n] = r
    return found


@pytest.mark.parametrize("factor", [0.1, 1.0])
def test_it_is_the_deviation_of_a_sample(factor: float) -> None:
    for explanation, tolerance in zip(everywhere(MLP, X, f"epsilon:epsilon={factor}std"), (1e-6, 1e-6, 1e-5)):
        close(explanation.relevance, by_hand(X, factor), tolerance)


NET = parsed(
    """g (float[N, 2, 6] x) => (float[N, 3] y) { a = Conv(x, K, k) p = Relu(a) c = Conv(p, L) s = Add(c, p) r = Relu(s)
        m = ReduceMean<axes = [2], keepdims = 0>(r) u = Gemm(m, W) v = Relu(u) y = MatMul(v, V) }""",
    K=RNG.standard_normal((4, 2, 3)), k=RNG.standard_normal(4), L=RNG.standard_normal((4, 4, 1)),
    W=RNG.standard_normal((4, 5)), V=RNG.standard_normal((5, 3)),
)  # fmt: skip


@pytest.mark.parametrize(
    "name", ["epsilon", "epsilon_plus", "gamma", "alpha_beta", "epsilon_plus_flat", "layered", "default:bias=ignore,"]
)
def test_facts_change_nothing(name: str) -> None:
    x = RNG.standard_normal((3, 2, 8)).astype(np.float32)[:, :, :6]
    text = f"{name}{'' if ':' in name else ':'}epsilon=0.2std"
    plain, fast, *rest = (
        lrp.explain(NET, x, composite=text, backend=b, dtype=d, facts=f).relevance
        for b, d, f in (("numpy", "float64", False), ("numpy", "float64", True), ("torch", "float64", True),
                        ("torch", "float32", True), ("onnx", "float32", True))
    )  # fmt: skip
    for found, tolerance in zip((fast, *rest), (1e-12, 1e-12, 1e-5, 1e-5)):
        close(found, plain, tolerance)


def test_outputs_that_are_all_alike_have_none() -> None:
    """Their deviation is 0, and of ε = 0 an output of 0 hands on nothing."""
    net = parsed("g (float[N, 2] x) => (float[N, 1] y) { y = MatMul(x, W) }", W=[[1.0], [-1.0]])
    for explanation in everywhere(net, np.array([[2.0, 2.0], [3.0, 1.0]]), "epsilon:epsilon=1std"):
        assert explanation.relevance.tolist() == [[0.0, 0.0], [3.0, -1.0]]


@pytest.mark.parametrize(
    ("epsilon", "said"),
    [("-1std", "before std"), ("std", "not 'std'"), ("much", "not 'much'"), ("nanstd", "before std")],
)
def test_refused(epsilon: str, said: str) -> None:
    with pytest.raises(lrp.CompositeError, match=said):
        lrp.Epsilon(epsilon)  # type: ignore[arg-type]


def test_it_is_written_as_it_is_read() -> None:
    assert str(lrp.Epsilon("0.1std")) == "Epsilon(epsilon=0.1std)"  # type: ignore[arg-type]
    assert lrp.Epsilon(Relative(0.1)) == lrp.Epsilon("0.1std")  # type: ignore[arg-type]


def test_it_is_compiled() -> None:
    model = lrp.convert(NET, "epsilon_plus:epsilon=0.1std")
    assert isinstance(model, onnx.ModelProto)
    assert any(node.op_type == "Sqrt" for node in model.graph.node)
