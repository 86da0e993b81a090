"""Max with a constant 0 is a ReLU, Min with a constant above 0 the upper half of a ReLU6; others are refused."""

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


def test_min_of_signed_data_is_signed() -> None:
    """min(1, a) must not count as nonnegative because its first operand is."""
    x = RANDOM.normal(size=(3, 4))
    on, off = (
        lrp.explain(net("Min (one, a)"), x, composite="alpha_beta", backend="numpy", facts=facts)
        for facts in (True, False)
    )
    np.testing.assert_allclose(on.relevance, off.relevance, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        ("Max (a, one)", "max(x, 1) is not ReLU-compatible"),
        ("Min (a, zero)", "min(x, 0) is not ReLU-compatible"),
        *(
            (f"{op} ({operands})", "compares with something other than one constant number")
            for op in ("Max", "Min")
            for operands in ("a, many", "a, tall", "a, a", "a, zero, one", "a")
        ),
    ],
)
def test_any_other_is_refused(activation: str, reason: str) -> None:
    with pytest.raises(lrp.UnsupportedModelError) as error:
        lrp.Explainer(net(activation))
    assert [problem.reason for problem in error.value.problems] == [reason]
