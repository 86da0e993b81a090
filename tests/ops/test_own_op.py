"""One's own op, as docs/ops.md shows it: explained on every backend, and compiled into the converted model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import onnx_lrp as lrp
from onnx_lrp.ops import OPS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ops.md"
X = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def registered() -> Iterator[None]:
    """The page's example; what it registers is gone afterwards."""
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL) if "@register" in b)
    before = dict(OPS)
    exec(block, {"__name__": "example"})
    yield
    OPS.clear()
    OPS.update(before)


def model() -> onnx.ModelProto:
    """Relu, ExpandDims, Reshape: the sum of the rectified inputs by hand."""
    return onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
        net (float[N, 3] x) => (float[N, 1] y)
        <int32 axis = {1}, float[3, 1] w = {1, 2, 3}, int64[2] rows = {-1, 3}> {
            r = Relu(x)
            wide = com.microsoft.ExpandDims(r, axis)
            flat = Reshape(wide, rows)
            y = MatMul(flat, w)
        }""")


def test_without_it_the_model_is_refused() -> None:
    with pytest.raises(lrp.UnsupportedModelError, match=r"com.microsoft::ExpandDims.*'com.microsoft'"):
        lrp.Explainer(model())


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_it_is_explained(backend: str) -> None:
    explained = lrp.Explainer(model(), "epsilon:epsilon=1e-9", backend=backend)(X, 0)
    np.testing.assert_allclose(explained.relevance, X * [[1, 2, 3]], rtol=1e-6)


@pytest.mark.usefixtures("registered")
def test_it_is_compiled() -> None:
    session = ort.InferenceSession(lrp.convert(model(), "epsilon:epsilon=1e-9").SerializeToString())
    np.testing.assert_allclose(session.run(["relevance"], {"x": X})[0], X * [[1, 2, 3]], rtol=1e-6)
