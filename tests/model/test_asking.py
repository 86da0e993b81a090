"""Any tensor is the question: outputs, tensors inside, what a node makes; and which ones a refusal proposes."""

from __future__ import annotations

import shlex

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

import onnx_lrp as lrp
from onnx_lrp.checking.outputs import candidates
from onnx_lrp.errors import TargetError, UnsupportedModelError

TWO_ENDS = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[n,3] x) => (float[n,2] attended, float[n,2] plain)
<float[3,4] w = {1.0, 2.0, -1.0, 0.5, 0.25, 1.0, -1.0, 3.0, 1.0, -2.0, 0.5, 1.5},
 float[4,2] v = {1.0, -1.0, 0.5, 2.0, -0.5, 1.0, 0.25, 1.0}>
{
    [first] h = MatMul (x, w)
    [relu] "inner tensor" = Relu (h)
    [gate] a = Softmax ("inner tensor")
    [product] p = Mul (a, "inner tensor")
    [last] attended = MatMul (p, v)
    [other] plain = MatMul ("inner tensor", v)
}
"""
X = np.array([[1, -1, 2], [0.5, 1, -1]], np.float32)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    proto = onnx.parser.parse_model(TWO_ENDS.replace('"inner tensor"', "inner"))
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = ["inner tensor" if name == "inner" else name for name in names]
    return proto


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("name", ["inner tensor", "relu"])
def test_a_tensor_inside_is_explained(model: onnx.ModelProto, backend: str, name: str) -> None:
    w = onnx.numpy_helper.to_array(model.graph.initializer[0])
    z = X @ w
    explanation = lrp.Explainer(model, "epsilon:epsilon=1e-9", output=name, backend=backend)(X)
    best = z.argmax(1)
    np.testing.assert_allclose(explanation.output, np.maximum(z, 0), rtol=1e-5)
    np.testing.assert_allclose(explanation.inputs["x"], X * w[:, best].T, rtol=1e-5, atol=1e-6)


def test_what_is_behind_the_tensor_stays_in_a_converted_model(model: onnx.ModelProto) -> None:
    converted = lrp.convert(model, "epsilon:epsilon=1e-9", output="first")
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    assert names == ["attended", "plain", "relevance"]
    found = session.run(None, {"x": X})[2]
    expected = lrp.Explainer(model, "epsilon:epsilon=1e-9", output="first", backend="numpy")(X).inputs["x"]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_refusal_proposes_what_can_be_typed(model: onnx.ModelProto) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        lrp.Explainer(model)
    (softmax, product) = caught.value.problems
    assert softmax.earlier == product.earlier == ("inner tensor",)
    option = str(caught.value).partition("(--output ")[2].partition(")")[0]
    assert lrp.check(model, output=shlex.split(option)[0]).supported


def test_an_input_is_not_proposed() -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[n,3] x) => (float[n,3] y) { y = Sqrt (x) }'
    with pytest.raises(UnsupportedModelError) as caught:
        lrp.Explainer(onnx.parser.parse_model(text))
    assert caught.value.problems[0].earlier == ()


def test_candidates(model: onnx.ModelProto) -> None:
    found = candidates(model)
    assert [(c.name, c.shape) for c in found] == [("plain", "n×2"), ("inner tensor", "n×4")]
    assert "before gate (Softmax), on the way to output attended" in found[1].what
    for candidate in found:
        assert lrp.check(model, output=candidate.name).supported


def test_an_unknown_name_is_answered_with_the_nearest(model: onnx.ModelProto) -> None:
    with pytest.raises(
        TargetError, match=r"no output, tensor or node 'inner'; the outputs are .*; similar: inner tensor"
    ):
        lrp.Explainer(model, output="inner")
