"""Max with a constant 0 is a ReLU, with Min above it a ReLU6; of several variables the winner takes all."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import onnx_lrp as lrp

GRAPH = """<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 4] x) => (float[N, 3] y) {{
   a = MatMul (x, v)
   r = Relu (a)
   h = {activation}
   y = MatMul (h, w)
}}"""
RANDOM = np.random.default_rng(0)
CONSTANTS = {
    "v": RANDOM.normal(size=(4, 5)), "w": RANDOM.normal(size=(5, 3)), "zero": np.zeros(()), "zeros": np.zeros((1, 1)),
    "one": np.ones(()), "many": np.zeros((1, 5)), "tall": np.zeros((1, 1, 1)),
}  # fmt: skip


def net(activation: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(GRAPH.format(activation=activation))
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in CONSTANTS.items() if name in used
    )
    return model


@pytest.mark.parametrize(("backend", "dtype"), [("numpy", "float64"), ("torch", "float64"), ("onnx", "float32")])
@pytest.mark.parametrize(
    ("activation", "usual"),
    [
        *((f"Max ({text})", "Relu (a)") for text in ("a, zero", "zero, a", "a, zeros")),
        *((f"Min ({text})", "Clip (r, zero, one)") for text in ("r, one", "one, r")),
    ],
)
@pytest.mark.parametrize("composite", ["epsilon", "gamma", "alpha_beta"])
def test_it_is_a_relu(activation: str, usual: str, composite: str, backend: str, dtype: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    x = RANDOM.normal(size=(3, 4))
    found, expected = (
        lrp.explain(net(text), x, composite=composite, backend=backend, dtype=dtype) for text in (activation, usual)
    )
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(found.relevance, expected.relevance, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("activation", ["Max (a, one)", "Min (a, zero)", "Min (a, zero, one)", "Max (a, r, one)"])
def test_a_comparison_with_any_other_constant_is_refused(activation: str) -> None:
    with pytest.raises(lrp.UnsupportedModelError) as error:
        lrp.Explainer(net(activation))
    assert error.value.problems[-1].remedy


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("op", ["Max", "Min"])
def test_of_several_variables_the_winner_takes_all(op: str, backend: str) -> None:
    """Values tie on purpose: then the first one wins."""
    if backend == "torch":
        pytest.importorskip("torch")
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (float[N, 4] a, float[N, 4] b, float[N, 1] c) => (float[N, 4] y) {{ y = {op} (a, b, c) }}"""
    )
    a, b = (RANDOM.integers(-2, 3, (3, 4)).astype(np.float32) for _ in range(2))
    c = RANDOM.integers(-2, 3, (3, 1)).astype(np.float32)
    seed = RANDOM.normal(size=(3, 4)).astype(np.float32)
    found = lrp.explain(model, {"a": a, "b": b, "c": c}, backend=backend, seed=seed)
    stacked = np.stack([a, b, np.broadcast_to(c, a.shape)])
    winner = (stacked if op == "Max" else -stacked).argmax(0)
    for i, name in enumerate("abc"):
        expected = np.where(winner == i, seed, 0.0)
        got = found.inputs[name]
        np.testing.assert_allclose(
            got, expected.sum(1, keepdims=True) if name == "c" else expected, rtol=1e-6, atol=1e-7
        )
