"""Open axes, however an exporter writes them."""

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[n,3] x) => (float[n,2] y)
<float[3,2] w = {1.0, 2.0, -1.0, 0.5, 3.0, 1.0}>
{ a = Relu (x)  s = Shape (a)  b = Reshape (a, s)  y = MatMul (b, w) }
"""


def paddle() -> onnx.ModelProto:
    """-1 for an open axis, in inputs, outputs and notes on tensors inside."""
    model = onnx.parser.parse_model(TEXT)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, ["n", 3]))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    return model


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_minus_one_is_an_open_axis(backend: str) -> None:
    x = np.array([[1, 2, 3], [4, -5, 6]], np.float32)
    found = lrp.explain(paddle(), x, 0, composite="epsilon:epsilon=1e-9", backend=backend)
    np.testing.assert_allclose(found.relevance, [[1, -2, 9], [4, 0, 18]], rtol=1e-5)


def test_it_is_checked_and_converted() -> None:
    report = lrp.check(paddle())
    assert report.supported
    assert [row.shape for row in report.rows] == ["?×3", "?×3", "?×2"]
    assert lrp.convert(paddle()).graph.input[0].name == "x"
