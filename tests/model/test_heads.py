"""Heads are cut by what they compute: pieces, complements, what picks or joins probabilities, scales and labels."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

import onnx_lrp as lrp
from onnx_lrp.model.preparation import prepare

START = """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]> g (float[n,3] x) => ({kind}[{shape}] y)
<float[3,4] w = {{1.0, 2.0, -1.0, 0.5, 0.25, 1.0, -1.0, 3.0, 1.0, -2.0, 0.5, 1.5}}, float[3,1] v = {{1.0, -2.0, 0.5}},
 float one = {{1.0}}, float five = {{5.0}}, float minus = {{-2.0}}, int64[2] some = {{2, 0}}, int64 second = {{1}},
 int64[1] axis = {{1}}, float half = {{0.5}}, int64[1] b = {{1}}, int64[1] e = {{3}}, int64[1] a = {{1}}>
{{ {body} }}"""
Z, S = "z = MatMul (x, w) ", "z = MatMul (x, v) "
# body -> the logits, of scores z
BODIES = {
    Z + "y = Softmax (z)": lambda z: z,
    Z + "p = Softmax (z) y = Gather <axis = 1> (p, some)": lambda z: z[:, [2, 0]],
    Z + "p = Softmax (z) y = Slice (p, b, e, a)": lambda z: z[:, 1:3],
    Z + "p = LogSoftmax (z) y = Gather <axis = 1> (p, second)": lambda z: z[:, 1],
    Z + "p = Softmax (z) y = Mul (p, five)": lambda z: z,
    Z + "p = Sigmoid (z) q = Mul (p, five) y = Round (q)": lambda z: z,
    Z + "p = Sigmoid (z) q = Greater (p, half) y = Cast <to = 1> (q)": lambda z: z,
    Z + "p = Sigmoid (z) q = Less (p, half) y = Cast <to = 1> (q)": lambda z: -z,
    Z + "p = Sigmoid (z) q = Greater (half, p) y = Cast <to = 1> (q)": lambda z: -z,
    Z + "p = Sigmoid (z) q = Less (half, p) y = Cast <to = 1> (q)": lambda z: z,
    Z + "p = Sigmoid (z) y = Sub (one, p)": lambda z: -z,
    Z + "p = Sigmoid (z) y = Mul (p, minus)": lambda z: -z,
    Z + "t = Tanh (z) y = Mul (t, five)": lambda z: z,
    Z + "y = Exp (z)": lambda z: z,
    Z + "y = Softplus (z)": lambda z: z,
    Z + "u = Exp (z) s = ReduceSum (u, axis) y = Div (u, s)": lambda z: z,
    Z + "m = ReduceMax <axes = [1]> (z) c = Sub (z, m) u = Exp (c) s = ReduceSum (u, axis) y = Div (u, s)": lambda z: z,
    Z + "u = Exp (z) s = ReduceSum (u, axis) l = Log (s) y = Sub (z, l)": lambda z: z,
    Z + "m = Neg (z) u = Exp (m) s = Add (one, u) y = Div (one, s)": lambda z: z,
    Z + "m = Neg (z) u = Exp (m) s = Add (u, one) y = Reciprocal (s)": lambda z: z,
    S + "p = Sigmoid (z) q = Sub (one, p) y = Concat <axis = 1> (q, p)": lambda z: np.concatenate([-z, z], 1),
}


def model(body: str, kind: str = "float", shape: str = "n,k") -> onnx.ModelProto:
    return onnx.parser.parse_model(START.format(body=body, kind=kind, shape=shape))


def scores(x: np.ndarray, body: str) -> np.ndarray:
    proto = model(body)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    return x @ weights["w" if body.startswith(Z) else "v"]


X = np.array([[1, -1, 0.5], [0.25, 2, -1]], np.float32)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("backend", ["numpy", "onnx"])
def test_the_logit_is_explained(body: str, backend: str) -> None:
    shape = "n" if "second" in body else "n,k"
    explanation = lrp.Explainer(model(body, shape=shape), "epsilon:epsilon=1e-9", backend=backend)(X)
    wanted = BODIES[body](scores(X, body))
    np.testing.assert_allclose(explanation.output, wanted, rtol=1e-5)
    best = wanted.reshape(2, -1).max(1)
    np.testing.assert_allclose(explanation.inputs["x"].sum(1), best, rtol=1e-5)


@pytest.mark.parametrize("body", BODIES)
def test_a_converted_model_explains_the_same(body: str) -> None:
    shape = "n" if "second" in body else "n,k"
    proto = model(body, shape=shape)
    converted = lrp.convert(proto, "epsilon:epsilon=1e-9")
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    original = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    answer, relevance = session.run(["y", "relevance"], {"x": X})
    np.testing.assert_allclose(answer, original.run(None, {"x": X})[0], rtol=1e-6)
    expected = lrp.Explainer(proto, "epsilon:epsilon=1e-9", backend="numpy")(X).inputs["x"]
    np.testing.assert_allclose(relevance, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        Z + "p = Softmax (z) y = Sub (one, p)",  # of several classes, no function of the class's own logit
        Z + "p = Sigmoid (z) y = Mul (p, z)",  # a gate
        Z + "p = Sigmoid (z) y = Concat <axis = 1> (p, z)",
    ],
)
def test_what_is_no_head_stays(body: str) -> None:
    with pytest.raises(lrp.UnsupportedModelError):
        lrp.Explainer(model(body))


def test_each_head_is_noted_once() -> None:
    body = S + "p = Sigmoid (z) q = Sub (one, p) y = Concat <axis = 1> (q, p)"
    assert [note.partition(" ")[0] for note in prepare(model(body)).notes] == ["Sigmoid"]
