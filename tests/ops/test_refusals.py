"""Whatever has no role is refused by name, with a reason and a remedy, and all of it at once."""

from __future__ import annotations

import onnx
import pytest
from onnx import parser

from onnx_lrp import check
from onnx_lrp.errors import InvalidModelError
from onnx_lrp.ops import OPS
from onnx_lrp.ops.registry import REFUSED

V = "float[2,4,4] v, float[2,4,4] u"
# body -> (op, part of the reason, part of the remedy)
BODIES = {
    "y = Mul (v, u)": ("Mul", "two variables", "gates"),
    "y = Div (v, u)": ("Div", "two variables", "earlier output"),
    "y = Div (c, v)": ("Div", "divides by a variable", "earlier output"),
    "y = MatMul (v, u)": ("MatMul", "two variables", "earlier output"),
    "b = Greater (v, u) y = Where (b, v, u)": ("Where", "decides by the data", "ReLU"),
    "y = Max (v, c)": ("Max", "neither a ReLU nor a clip", "earlier output"),
    "s = Sigmoid (v) y = Add (s, s)": ("Sigmoid", "not ReLU-compatible", "--pass-op Sigmoid"),
    "z = Tanh (v) y = Relu (z)": ("Tanh", "not ReLU-compatible", "--pass-op Tanh"),
    "y = Elu (v)": ("Elu", "not ReLU-compatible", "--pass-op Elu"),
    "y = HardSwish (v)": ("HardSwish", "not ReLU-compatible", "--pass-op HardSwish"),
    "s = Sigmoid (v) y = Mul (v, s)": ("Swish", "written as Sigmoid and Mul", "--pass-op Swish"),
    "y = Clip (v, c)": ("Clip", "clips to [2, inf]", "--pass-op Clip"),
    "y = LayerNormalization (v, k)": ("LayerNormalization", "normalises by the data", "BatchNormalization"),
    "s = Softmax (v) y = MatMul (s, k4)": ("Softmax", "attention", "earlier output"),
    "z = Exp (v) y = Relu (z)": ("Exp", "bends its input", "earlier output"),
    "y = Pow (v, c)": ("Pow", "bends its input", "earlier output"),
    "y = Frobnicate (v)": ("Frobnicate", "no role in LRP", "register a role"),
    "y = com.acme.MyRelu (v)": ("com.acme::MyRelu", "not standard ONNX", "standard ops"),
    "y = RandomNormalLike (v)": ("RandomNormalLike", "random", "eval mode"),
}
INITIALIZERS = "<float c = {2.0}, float[4] k = {1, 1, 1, 1}, int64[1] two = {2}>"


def net(body: str, opset: int = 17) -> onnx.ModelProto:
    header = f'<ir_version: 8, opset_import: ["": {opset}, "com.acme": 7]>'
    model = parser.parse_model(f"{header} g ({V}) => (float y) {INITIALIZERS} {{ {body} }}")
    weight = onnx.helper.make_tensor("k4", onnx.TensorProto.FLOAT, [4, 4], [1.0] * 16)
    model.graph.initializer.append(weight)
    return model


@pytest.mark.parametrize("body", BODIES)
def test_reason_and_remedy(body: str) -> None:
    op, reason, remedy = BODIES[body]
    found = [problem for problem in check(net(body)).problems if problem.op == op]
    assert len(found) == 1
    assert reason in found[0].reason
    assert remedy in found[0].remedy


CONTROL = {
    "If": "s = ReduceMax<keepdims=0> (v) b = Greater (s, c) y = If (b) "
    "<then_branch = a () => (float p) { p = Identity (v) }, else_branch = e () => (float q) { q = Identity (u) }>",
    "Loop": "y = Loop (n, , v) <body = l (int64 i, bool g, float a) => (bool h, float b) "
    "{ s = ReduceSum <keepdims = 0> (a) t = Cast <to = 9> (s) h = And (g, t) b = Add (a, a) }>",
}


@pytest.mark.parametrize("op", CONTROL)
def test_control_flow(op: str) -> None:
    model = net(CONTROL[op])
    model.graph.initializer.append(onnx.helper.make_tensor("n", onnx.TensorProto.INT64, [], [3]))
    (problem,) = (problem for problem in check(model).problems if problem.op == op)
    assert "control flow" in problem.reason
    assert "fixed control flow" in problem.remedy


def test_all_offenders_at_once() -> None:
    """One of each, in one model: every one is listed, in the order of execution, and none hides another."""
    body = "a = Mul (v, u) b = Exp (a) d = Sigmoid (b) e = MatMul (d, u) f = LayerNormalization (e, k) y = Mul (f, c)"
    assert [p.op for p in check(net(body)).problems] == ["Mul", "Exp", "Sigmoid", "MatMul", "LayerNormalization"]
    printed = str(check(net(body)))
    assert "nodes without a role: 5" in printed
    assert all(p.remedy in printed for p in check(net(body)).problems)


def test_opsets_from_the_future() -> None:
    with pytest.raises(InvalidModelError, match=r"opset 99 is outside 7 to \d+; upgrade the package onnx"):
        check(net("y = Relu (v)", opset=99))


def test_the_table_says_each_op_once_and_none_that_has_a_role() -> None:
    refused = [op for ops, _, _ in REFUSED for op in ops]
    assert len(refused) == len(set(refused))
    assert not set(refused) & set(OPS)
    assert all(reason and remedy for _, reason, remedy in REFUSED)
