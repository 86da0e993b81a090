"""What depends on constants only is computed, whatever the op, and its size is the result's, not the inputs'."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_lrp as lrp


def model(
    nodes: list[onnx.NodeProto], functions: tuple[onnx.FunctionProto, ...] = (), **weights: object
) -> onnx.ModelProto:
    """A model of one input x (2, 3) and one output y."""
    inits = [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in weights.items()]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [2, 3]), ("y", None)))
    y.type.tensor_type.shape.dim.add().dim_value = 2
    y.type.tensor_type.shape.dim.add().dim_value = 3
    graph = helper.make_graph(nodes, "g", [x], [y], inits)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], functions=list(functions), ir_version=8
    )


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Tanh", "Sigmoid", "Sin", "Cos", "Erf", "Softplus"])
def test_a_scale_made_of_constants_is_computed(op: str) -> None:
    made = model([helper.make_node(op, ["c"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])], c=[0.3, -0.2, 0.5])
    x = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3)
    found = lrp.explain(made, x, 1, composite="epsilon:epsilon=0", backend="numpy")
    np.testing.assert_allclose(np.asarray(found.inputs["x"]).sum(1), found.output[:, 1], rtol=1e-6)


def test_a_product_of_constants_is_as_large_as_its_result() -> None:
    """The inputs' sizes multiplied are far over the limit."""
    low, high = np.ones((3, 20000)), np.full((20000, 3), 1e-4)
    nodes = [helper.make_node("MatMul", ["a", "b"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])]
    found = lrp.explain(model(nodes, a=low, b=high), np.ones((2, 3), np.float32), 0, backend="numpy")
    np.testing.assert_allclose(found.output, 6.0, rtol=1e-5)


def test_a_function_that_redefines_a_standard_op_is_refused() -> None:
    body = helper.make_node("Neg", ["a"], ["b"])
    function = helper.make_function("", "Relu", ["a"], ["b"], [body], [helper.make_opsetid("", 17)])
    with pytest.raises(lrp.InvalidModelError, match="redefines an op"):
        lrp.check(model([helper.make_node("Relu", ["x"], ["y"])], (function,)))
