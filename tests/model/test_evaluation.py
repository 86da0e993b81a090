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


ONES = np.ones((1, 3))
MADE = {  # what makes a (1, 3) or (3,) of c, which is (1, 3)
    "GatherElements": ([helper.make_node("GatherElements", ["c", "at"], ["s"], axis=1)], {}),
    "GatherElements, fewer indices": (
        [
            helper.make_node("Concat", ["c", "c"], ["t"], axis=0),
            helper.make_node("GatherElements", ["t", "at"], ["s"], axis=1),
        ],
        {},
    ),
    "Conv": (
        [
            helper.make_node("Unsqueeze", ["c", "zero"], ["t"]),
            helper.make_node("Conv", ["t", "w"], ["k"], kernel_shape=[3], pads=[1, 1]),
            helper.make_node("Squeeze", ["k", "zero"], ["s"]),
        ],
        {"w": [[[0.5, 1, -1]]]},
    ),
    "Einsum": ([helper.make_node("Einsum", ["c", "m"], ["s"], equation="ij,jk->ik")], {"m": np.eye(3) + 1}),
    "Resize": (
        [
            helper.make_node("Unsqueeze", ["c", "zero"], ["t"]),
            helper.make_node("Resize", ["t", "", "", "sizes"], ["k"], mode="linear"),
            helper.make_node("AveragePool", ["k"], ["p"], kernel_shape=[2], strides=[2]),
            helper.make_node("Squeeze", ["p", "zero"], ["s"]),
        ],
        {},
    ),
    "LayerNormalization": ([helper.make_node("LayerNormalization", ["c", "ones"], ["s"])], {"ones": np.ones(3)}),
    "BatchNormalization": (
        [helper.make_node("BatchNormalization", ["c", "ones", "ones", "ones", "ones"], ["s"])],
        {"ones": np.ones(3)},
    ),
    "CumSum": ([helper.make_node("CumSum", ["c", "axis"], ["s"])], {}),
    "Trilu": ([helper.make_node("Trilu", ["c"], ["s"])], {}),
    "GRU": (
        [
            helper.make_node("Unsqueeze", ["c", "zero"], ["t"]),
            helper.make_node("GRU", ["t", "wr", "rr"], ["", "h"], hidden_size=3),
            helper.make_node("Squeeze", ["h", "zero"], ["s"]),
        ],
        {"wr": np.full((1, 9, 3), 0.1), "rr": np.full((1, 9, 3), 0.2)},
    ),
    "FusedMatMul": (
        [helper.make_node("FusedMatMul", ["c", "m"], ["s"], domain="com.microsoft", alpha=2.0)],
        {"m": np.eye(3) + 1},
    ),
}
INTEGERS = {"at": [[2, 0, 1]], "zero": [0], "sizes": [1, 1, 6], "axis": 1, "width": [3], "one": [1]}


def scaled(name: str, of_shape: bool) -> onnx.ModelProto:
    """x times what is made of a constant, or of one that has the batch in its shape."""
    nodes, floats = MADE[name]
    start = [helper.make_node("Identity", ["row"], ["c"])]
    if of_shape:
        start = [
            helper.make_node("Shape", ["x"], ["sx"]),
            helper.make_node("Slice", ["sx", "one", "two"], ["three"]),
            helper.make_node("Concat", ["one", "three"], ["to"], axis=0),
            helper.make_node("Expand", ["row", "to"], ["c"]),
        ]
    made = model([*start, *nodes, helper.make_node("Mul", ["x", "s"], ["y"])], row=[[0.3, -0.2, 0.5]], **floats)
    integers = {**INTEGERS, "two": [2]}
    made.graph.initializer.extend(numpy_helper.from_array(np.array(v, np.int64), n) for n, v in integers.items())
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    for value in (*made.graph.input, *made.graph.output):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"open{axis}" if of_shape else ""
            if not of_shape:
                dim.dim_value = (2, 3)[axis]
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("of_shape", [False, True], ids=["constant", "of a shape"])
@pytest.mark.parametrize("name", MADE)
def test_whatever_depends_on_constants_and_shapes_only_is_computed(name: str, of_shape: bool, dtype: str) -> None:
    x = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3)
    assert lrp.check(scaled(name, of_shape)).supported
    found = lrp.explain(scaled(name, of_shape), x, 1, composite="epsilon:epsilon=0", backend="numpy", dtype=dtype)
    np.testing.assert_allclose(np.asarray(found.inputs["x"]).sum(1), found.output[:, 1], rtol=1e-6)


def test_what_fits_nowhere_is_the_model_s_fault() -> None:
    nodes = [
        helper.make_node("Einsum", ["a", "a"], ["s"], equation="ij,jk->ik"),
        helper.make_node("Mul", ["x", "s"], ["y"]),
    ]
    with pytest.raises(lrp.InvalidModelError, match=r"node Einsum→s \(Einsum\) cannot be evaluated: onnxruntime"):
        lrp.check(model(nodes, a=np.ones((2, 3))))


def test_what_is_drawn_is_not_computed() -> None:
    nodes = [helper.make_node("RandomNormalLike", ["a"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    report = lrp.check(model(nodes, a=np.ones(3)))
    assert [(p.op, p.reason) for p in report.problems] == [("RandomNormalLike", "draws random numbers")]


def test_what_would_be_huge_is_refused_whatever_the_op() -> None:
    nodes = [helper.make_node("Upsample", ["a", "scales"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    made = model(nodes, a=np.ones((1, 3)), scales=[1.0, 1e9])
    made.opset_import[0].version = 9
    with pytest.raises(lrp.InvalidModelError, match="elements"):
        lrp.check(made)


def test_a_column_that_is_widened_is_as_large_as_its_result() -> None:
    """As position codes are made; and not as large as the product of what it is and what it becomes."""
    nodes = [
        helper.make_node("Expand", ["a", "to"], ["wide"]),
        helper.make_node("ReduceSum", ["wide"], ["s"], keepdims=0),
        helper.make_node("Mul", ["x", "s"], ["y"]),
    ]
    made = model(nodes, a=np.ones((1, 20_000)))
    made.graph.initializer.append(numpy_helper.from_array(np.array([2, 20_000]), "to"))
    assert lrp.check(made).supported


def test_a_long_vector_that_is_widened_is_no_shape() -> None:
    """As tables of relative positions are read; a shape of as many axes would be malformed."""
    nodes = [
        helper.make_node("Expand", ["table", "to"], ["wide"]),
        helper.make_node("Cast", ["wide"], ["floats"], to=1),
        helper.make_node("ReduceMax", ["floats"], ["s"], keepdims=0),
        helper.make_node("Mul", ["x", "s"], ["y"]),
    ]
    made = model(nodes)
    integers = {"table": np.arange(2401), "to": np.array([2, 2401])}
    made.graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in integers.items())
    assert lrp.check(made).supported


def test_a_convolution_whose_bias_is_no_vector() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "one", "one", "one", "one"], ["y"]),
    ]
    made = model(nodes, w=np.ones((2, 3, 1)), b=np.ones((2, 2)), one=np.ones(2))
    made.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 4
    del made.graph.output[0].type.tensor_type.shape.dim[:]
    with pytest.raises(lrp.InvalidModelError, match="a bias of 4 numbers does not fit 2 channels"):
        lrp.check(made)
