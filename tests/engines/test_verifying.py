"""The canonized model answers like the file itself; where single precision is too coarse to tell, double decides."""

from dataclasses import replace

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

import onnx_lrp as lrp
from onnx_lrp import backends
from onnx_lrp.composites import Composite
from onnx_lrp.engines.base import Question, original
from onnx_lrp.engines.building import Build, Setup, build
from onnx_lrp.engines.verifying import verify
from onnx_lrp.model.preparation import prepare
from onnx_lrp.model.rounding import tolerance
from onnx_lrp.model.runtime import SessionOptions

COARSE = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[n,4] x) => (float[n,3] y)
<float[3] gain = {1.0, 1.0, 1.0}, float[3] shift = {0.0, 0.0, 0.0}, float[3] mean = {300000.0, 300000.0, 300000.0}>
{ a = Gemm (x, w, mean)
  y = BatchNormalization (a, gain, shift, mean, gain) }
"""
FUNCTION = """
<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
g (float[n,4] x) => (float[n,3] y)
{ a = own.Twice (x)  y = MatMul (a, w) }
<domain: "own", opset_import: ["" : 17]>
Twice (v) => (u) { s = Add (v, v)  u = Relu (s) }
"""
X = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)


def net(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    w = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    return model


def made(backend: str) -> Build:
    setup = Setup(net(COARSE), Composite.parse("epsilon"))
    return build(setup, next(c for c in backends.choices(backend, "float32", None)))


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_a_model_that_is_coarse_itself_is_not_accused(backend: str) -> None:
    found = lrp.Explainer(net(COARSE), backend=backend)(X)
    prepared = prepare(net(COARSE))
    expected = original(prepared, {"x": X}, SessionOptions())
    plain = X.astype(np.float64) @ onnx.numpy_helper.to_array(net(COARSE).graph.initializer[-1])
    plain /= np.sqrt(1 + 1e-5)
    assert np.abs(expected - plain).max() > tolerance(prepared.model, np.abs(expected).max())
    if backend != "onnx":  # which gives the source's own answer
        np.testing.assert_allclose(found.output, plain, rtol=1e-5)


def test_a_wrong_answer_of_a_coarse_model_is_an_error() -> None:
    built = made("numpy")
    (result,) = built.engine.run({"x": X}, Question([None]))
    verify(built, {"x": X}, result)
    with pytest.raises(lrp.VerificationError, match="differs from the original's"):
        verify(built, {"x": X}, replace(result, recorded=result.recorded + 0.5))


def test_it_is_the_file_s_own_functions_that_run() -> None:
    prepared = prepare(net(FUNCTION))
    assert [node.op_type for node in prepared.reference().graph] == ["Twice", "MatMul"]
    assert "Twice" not in [node.op_type for node in prepared.source_model.graph]
    lrp.Explainer(net(FUNCTION))(X)


def test_of_a_tensor_inside_a_function_the_opened_model_runs() -> None:
    text = FUNCTION.replace("u = Relu (s)", "t = Relu (s)  u = Softmax (t)").replace("y = MatMul (a, w)", "y = Neg (a)")
    model = net(text.replace("float[n,3] y", "float[n,4] y").replace("own.Twice (x)", "own.Twice (x)"))
    del model.graph.node[1:]
    model.graph.node[0].output[0] = "y"
    prepared = prepare(model)
    assert [node.op_type for node in prepared.reference().graph] == ["Add", "Relu"]
    assert isinstance(prepared.written, ir.Model)
