"""Einsum with a constant is a product: the same answer as NumPy's, the same relevance as the formula's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_lrp as lrp

# equation, shape of x, shape of w, whether x comes first
PRODUCTS = [
    ("ntc,cd->ntd", (2, 3, 4), (4, 5), True),
    ("nhc,hcd->nhd", (2, 3, 4), (3, 4, 5), True),
    ("cd,nc->nd", (2, 4), (4, 5), False),
    ("nabc,bcde->nade", (2, 3, 4, 5), (4, 5, 6, 2), True),
    ("nhc,hcd->ndh", (2, 3, 4), (3, 4, 5), True),
    ("nhc,c->nh", (2, 3, 4), (4,), True),
    ("nc,cz", (2, 4), (4, 5), True),
    ("nt,nt->n", (2, 3), (2, 3), True),
]
REFUSED = ["nc,nc->nc", "ncc,cd->nd", "nct,cd->nd"]


def net(equation: str, shape: tuple[int, ...], weights: np.ndarray | tuple[int, ...], first: bool) -> onnx.ModelProto:
    node = helper.make_node("Einsum", ["x", "w"] if first else ["w", "x"], ["y"], name="product", equation=equation)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", *shape[1:]))]
    constants = [numpy_helper.from_array(weights, "w")] if isinstance(weights, np.ndarray) else []
    if isinstance(weights, tuple):
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, weights))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)  # runtimes do without a shape
    graph = helper.make_graph([node], "g", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize(("equation", "shape", "weight", "first"), PRODUCTS)
def test_a_product(equation: str, shape: tuple[int, ...], weight: tuple[int, ...], first: bool, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in (shape, weight))
    explanation = lrp.explain(net(equation, shape, w, first), x, composite="epsilon", backend=backend, seed="one")
    y = np.einsum(equation, *((x, w) if first else (w, x)))
    np.testing.assert_allclose(explanation.output.reshape(y.shape), y, rtol=1e-5, atol=1e-5)
    assert explanation.relevance.shape == x.shape
    s = np.zeros(y.shape)
    s.reshape(len(explanation.target), -1)[np.arange(len(explanation.target)), explanation.target] = 1
    s = s / (y + np.where(y < 0, -1e-6, 1e-6))
    out = equation.partition("->")[2] or "nz"
    terms = equation.partition("->")[0].split(",")
    back = np.einsum(f"{out},{terms[1 if first else 0]}->{terms[0 if first else 1]}", s, w)
    np.testing.assert_allclose(explanation.relevance, x * back, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("equation", REFUSED)
def test_what_is_no_product_is_refused(equation: str) -> None:
    left = equation.partition("->")[0].split(",")
    sizes = {"n": 2, "t": 3, "c": 3, "d": 5}
    x, w = (tuple(sizes[c] for c in letters) for letters in left)
    with pytest.raises(lrp.UnsupportedModelError, match="no plain product"):
        lrp.Explainer(net(equation, x, np.ones(w, np.float32), True))


def test_two_variables_are_refused() -> None:
    with pytest.raises(lrp.UnsupportedModelError, match="anything but one variable and one constant"):
        lrp.Explainer(net("nc,cd->nd", (2, 3), (3, 4), True))
