"""Shape arithmetic with open sizes: what is known of it is used."""

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.model.preparation import prepare

NET = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[n,3,8,8] x) => (float[n,2] y)
<float[1] half = {0.5}, int64[1] six = {6}, int64[1] zero = {0}, int64[1] four = {4},
 int64[1] one = {1}>
{ a = Conv (x, w, b)
  %s
  r = Relu (m)
  p = GlobalAveragePool (r)
  f = Flatten (p)
  y = Gemm <transB = 1> (f, v)
}
"""
SPREADS = {
    "Expand": "s = Shape (a)  e = Expand (half, s)  m = Mul (a, e)",
    "CastLike": "o = CastLike (half, a)  s = Shape (a)  e = Expand (o, s)  m = Sub (a, e)",
    "Cast": "o = Cast <to = 1> (half)  q = CastLike (o, a)  s = Shape (a)  e = Expand (q, s)  z = Cast <to = 1> (e)"
    " m = Mul (a, z)",
    "ConstantOfShape": "s = Shape (a)  e = ConstantOfShape <value = float[1] {0.5}> (s)  m = Mul (a, e)",
    "pieces": "s = Shape (x)  n = Slice (s, zero, one)  d = Concat <axis = 0> (n, four, six, six)"
    "  e = Expand (half, d)  m = Add (e, a)",
    "Gather": "s = Shape (a)  i = Gather (s, zero)  j = Squeeze (i)  k = Unsqueeze (j, zero)"
    "  d = Concat <axis = 0> (k, four, six, six)  e = Expand (half, d)  m = Mul (e, a)",
}
LARGER = (
    "q = Shape (x)  n = Slice (q, zero, one)  d = Concat <axis = 0> (one, n, four, six, six)"
    "  e = Expand (half, d)  h = Mul (a, e)  m = Squeeze (h, zero)"
)


def model(body: str) -> onnx.ModelProto:
    parsed = onnx.parser.parse_model(NET % body)
    rng = np.random.default_rng(0)
    for name, shape in (("w", (4, 3, 3, 3)), ("b", (4,)), ("v", (2, 4))):
        parsed.graph.initializer.append(onnx.numpy_helper.from_array(rng.normal(size=shape).astype("f"), name))
    return parsed


def kept(body: str) -> list[str]:
    return [node.op_type for node in prepare(model(body)).model.graph]


@pytest.mark.parametrize("body", SPREADS.values(), ids=SPREADS)
def test_a_number_spread_to_the_shape_beside_it_is_merged(body: str) -> None:
    assert kept(body) == ["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]


@pytest.mark.parametrize("body", SPREADS.values(), ids=SPREADS)
def test_the_answer_stays(body: str) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype("f")
    expected = onnx.reference.ReferenceEvaluator(model(body)).run(None, {"x": x})[0]
    found = lrp.Explainer(model(body), "epsilon", backend="numpy", dtype="float64")(x)
    np.testing.assert_allclose(found.output, expected, rtol=1e-5)


def test_a_number_spread_further_than_the_tensor_beside_it_is_kept() -> None:
    assert "Expand" in kept(LARGER)


BATCH_NORM = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[n,3,8,8] x) => (float[n,4,8,8] y)
<int64[1] two = {2}, int64[1] three = {3}, int64[1] one = {1}, int64[2] none = {0,0}, float[4] b = {1.0, 2.0, 3.0, 4.0}>
{ xs = Shape (x)
  size = Gather (xs, two)
  odd = Mod (size, two)
  pads = Concat <axis = 0> (none, odd, odd, none, odd, odd)
  p = Pad (x, pads)
  c = Conv (p, w)
  t = Transpose <perm = [0, 2, 3, 1]> (c)
  ts = Shape (t)
  channels = Gather (ts, three)
  to = Concat <axis = 0> (one, one, one, channels)
  bias = Reshape (b, to)
  y = Add (t, bias)
}
"""


def test_a_shape_that_is_known_but_for_the_batch_is_computed() -> None:
    parsed = onnx.parser.parse_model(BATCH_NORM)
    w = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype("f")
    parsed.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    assert [node.op_type for node in prepare(parsed).model.graph] == ["Conv", "Transpose"]
