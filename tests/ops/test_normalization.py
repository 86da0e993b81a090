"""LRN: the forward pass is onnxruntime's ; relevance passes it unchanged, on every backend."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

import onnx_lrp as lrp

X = np.random.default_rng(0).normal(0, 3, (2, 5, 3, 2)).astype(np.float32)


def normalised(attributes: str, after: str = "Identity (n)") -> onnx.ModelProto:
    """Nothing but LRN and a layer."""
    return parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": 17]>
        net (float[N, 5, 3, 2] x) => (float[N, M, 3, 2] y) {{
            n = LRN <{attributes}> (x)
            y = {after}
        }}""")


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("rest", ["", ", alpha = 0.5, beta = 0.5, bias = 2.0"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_forward_is_onnxruntime_s(size: int, rest: str, backend: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    model = normalised(f"size = {size}{rest}")
    wanted = ort.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0]
    explanation = lrp.explain(model, X, composite="epsilon", backend=backend, dtype="float64")
    np.testing.assert_allclose(explanation.output, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("backend", "dtype"), [("numpy", "float64"), ("torch", "float64"), ("onnx", "float32")])
def test_relevance_passes_unchanged(backend: str, dtype: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    model = normalised("size = 3, alpha = 0.5", "Conv (n, w)")
    weight = np.random.default_rng(1).normal(size=(2, 5, 1, 1)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    explanation = lrp.explain(model, X, 7, composite="epsilon", backend=backend, dtype=dtype, layers=["n"])
    np.testing.assert_array_equal(explanation.relevance, explanation.layers["n"])
    z = explanation.output.reshape(2, -1)[:, 7]
    pixel = (slice(None), slice(None), 0, 1)  # the eighth output is channel 1 at (0, 1)
    np.testing.assert_allclose(explanation.relevance[pixel].sum(1), z, rtol=1e-4)


@pytest.mark.parametrize("attributes", ["size = 3, bias = 0.0", "size = 3, alpha = -1.0", "size = 0"])
def test_what_may_divide_by_zero_is_refused(attributes: str) -> None:
    with pytest.raises(lrp.UnsupportedModelError, match="LRN"):
        lrp.explain(normalised(attributes), X)
