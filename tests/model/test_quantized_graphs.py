"""Small graphs with quantisation in every place: what may stand between the integers, and what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from quantizing import answer, distance

import onnx_lrp as lrp

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 2, 6, 6)).astype(np.float32)
CONSTANTS = {
    "s": np.float32(0.03), "t": np.float32(0.05), "z": np.int8(-20), "u": np.uint8(7), "one": np.float32(1),
    "w": RNG.integers(-100, 100, (4, 2, 3, 3)).astype(np.int8), "ws": np.float32([0.01, 0.02, 0.005, 0.03]),
    "wz": np.int8([0, 0, 0, 0]), "b": np.int32([500, -300, 0, 20]), "c": np.full((3, 2, 1, 6), 17, np.int8),
    "constant": np.full((1, 2, 1, 6), 90, np.int8),
    "v": RNG.integers(0, 255, (6, 5)).astype(np.uint8), "vs": np.float32(0.01), "vz": np.uint8(130),
    "pads": np.int64([0, 0, 1, 2, 0, 0, 0, 1]), "fill": np.int8(-20), "ten": np.int8(10),
    "zero": np.int8(0), "z16": np.int16(3),
}  # fmt: skip
ENDS = "d = GlobalAveragePool(r)  y = Flatten(d)"


def graph(body: str, opset: int = 17) -> onnx.ModelProto:
    """A model of x (N, 2, 6, 6) with output y; the constants that it reads are added."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]> g'
    model = onnx.parser.parse_model(f"{head} (float[N, 2, 6, 6] x) => (float[N, M] y) {{ {body} }}")
    read = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in CONSTANTS.items() if n in read)
    return model


CONV = "r = QLinearConv <pads = [1, 1, 1, 1]> (q, s, z, w, ws, wz, t, z, b)"
EXPLAINED = {
    "max_pool": "q = QuantizeLinear(x, s, z)  p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q)"
    f" r = DequantizeLinear(p, s, z)  {ENDS}",
    "pad": f"q = QuantizeLinear(x, s, z)  p = Pad(q, pads, fill)  r = DequantizeLinear(p, s, z)  {ENDS}",
    "concat": "q = QuantizeLinear(x, s, z)  a, b2 = Split <axis = 2> (q)  k = Concat <axis = 2> (b2, a, b2, c)"
    f"  r = DequantizeLinear(k, s, z)  {ENDS}",
    "split": "q = QuantizeLinear(x, s, z)  a, b2 = Split <axis = 1> (q)  e = DequantizeLinear(a, s, z)"
    f"  f = DequantizeLinear(b2, s, z)  r = Add(e, f)  {ENDS}",
    "transpose": "q = QuantizeLinear(x, s, z)  a = Transpose <perm = [0, 2, 3, 1]> (q)  e = DequantizeLinear(a, s, z)"
    f"  r = Transpose <perm = [0, 3, 1, 2]> (e)  {ENDS}",
    "conv": f"q = QuantizeLinear(x, s, z)  {CONV.replace('r =', 'o =')}  r = DequantizeLinear(o, t, z)  {ENDS}",
    "matmul": "q = QuantizeLinear(x, s, u)  o = QLinearMatMul(q, s, u, v, vs, vz, t, u)"
    f"  r = DequantizeLinear(o, t, u)  {ENDS}",
    "gemm_float": "f = ReduceMax <axes = [1, 2], keepdims = 0> (x)  q = QuantizeLinear(f, s, u)"
    "  y = com.microsoft.QGemm <alpha = 0.5> (q, s, u, v, vs, vz)",
    "add": "q = QuantizeLinear(x, s, z)  k = QuantizeLinear(x, t, ten)"
    f"  o = com.microsoft.QLinearAdd(q, s, z, k, t, ten, t, z)  r = DequantizeLinear(o, t, z)  {ENDS}",
    "leaky": "q = QuantizeLinear(x, s, z)  o = com.microsoft.QLinearLeakyRelu <alpha = 0.25> (q, s, z, t, z)"
    f"  r = DequantizeLinear(o, t, z)  {ENDS}",
    "average": "q = QuantizeLinear(x, s, z)"
    "  o = com.microsoft.QLinearAveragePool <kernel_shape = [2, 2], strides = [2, 2]> (q, s, z, t, z)"
    f"  r = DequantizeLinear(o, t, z)  {ENDS}",
    "microsoft": "q = com.microsoft.QuantizeLinear(x, s, z)"
    f"  r = com.microsoft.DequantizeLinear(q, s, z)  {ENDS}",
    "no_zero_point": f"q = QuantizeLinear(x, s)  r = DequantizeLinear(q, s)  {ENDS}",
    "quantised_constant": "n = DequantizeLinear(constant, s, z)  q = QuantizeLinear(n, t, u)"
    f"  p = DequantizeLinear(q, t, u)  r = Add(x, p)  {ENDS}",
    "dynamic": "q, qs, qz = DynamicQuantizeLinear(x)  i = ConvInteger <pads = [1, 1, 1, 1]> (q, w, qz, zero)"
    f"  f = Cast <to = 1> (i)  m = Mul(qs, vs)  r = Mul(f, m)  {ENDS}",
    "static_integer": "q = QuantizeLinear(x, s, u)  i = MatMulInteger(q, v, u, vz)"
    f"  f = Cast <to = 1> (i)  r = Mul(f, vs)  {ENDS}",
    "integer_to_float": "q, qs, qz = DynamicQuantizeLinear(x)"
    f"  r = com.microsoft.MatMulIntegerToFloat(q, v, qs, vs, qz, vz)  {ENDS}",
    "sigmoid_head": f"q = QuantizeLinear(x, s, z)  {CONV}  h = com.microsoft.QLinearSigmoid(r, t, z, s, z)"
    "  y = DequantizeLinear(h, s, z)",
}  # fmt: skip


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("name", sorted(EXPLAINED))
def test_explained(name: str, backend: str) -> None:
    """The answer is the runtime's to one level, and the backends agree."""
    model = graph(EXPLAINED[name])
    found = lrp.explain(model, X, 0, composite="epsilon", backend=backend, dtype="float32")
    if name != "sigmoid_head":  # its logit is no output
        assert np.abs(found.output - answer(model, {"x": X})).max() < 0.051
    single, double = (
        lrp.explain(model, X, 0, composite="epsilon", backend="numpy", dtype=t, facts=False).relevance
        for t in ("float32", "float64")
    )
    assert distance(found.relevance, single) < 1e-5
    assert distance(found.relevance, double) < 0.02  # halves may go the other way
    assert np.abs(found.relevance).sum() > 0


REFUSED = {
    "relu_of_integers": (f"q = QuantizeLinear(x, s, z)  k = Relu(q)  r = DequantizeLinear(k, s, z)  {ENDS}", 14,
                         "quantised integers"),
    "two_scales": ("q = QuantizeLinear(x, s, z)  k = MaxPool <kernel_shape = [2, 2]> (q)  e = DequantizeLinear(k, s, z)"
                   f"  f = DequantizeLinear(k, t, z)  r = Add(e, f)  {ENDS}", 17, "quantised integers"),
    "cast_of_integers": (f"q = QuantizeLinear(x, s, z)  r = Cast <to = 1> (q)  {ENDS}", 17, "quantised integers"),
    "integer_alone": (f"q, qs, qz = DynamicQuantizeLinear(x)  i = ConvInteger(q, w, qz)  r = Cast <to = 1> (i)  {ENDS}",
                      17, "no Cast and Mul"),
    "foreign_scale": ("q, qs, qz = DynamicQuantizeLinear(x)  i = ConvInteger(q, w, qz)  f = Cast <to = 1> (i)"
                      f"  n = ReduceMax <keepdims = 0> (x)  r = Mul(f, n)  {ENDS}", 17, "an unknown way"),
    "no_scale": ("q, qs, qz = DynamicQuantizeLinear(x)  i = ConvInteger(q, w, qz)  f = Cast <to = 1> (i)"
                 f"  r = Mul(f, s)  {ENDS}", 17, "is missing"),
    "scale_as_data": (f"q, qs, qz = DynamicQuantizeLinear(x)  e = DequantizeLinear(q, qs, qz)  r = Add(e, qs)  {ENDS}",
                      17, "or their scale"),
    "scale_as_output": ("q, y, qz = DynamicQuantizeLinear(x)", 17, "a scale of integers"),
    "product": ("q = QuantizeLinear(x, s, z)  o = com.microsoft.QLinearMul(q, s, z, q, s, z, t, z)"
                f"  r = DequantizeLinear(o, t, z)  {ENDS}", 17, "two variables"),
    "hidden_sigmoid": ("q = QuantizeLinear(x, s, z)  o = com.microsoft.QLinearSigmoid(q, s, z, t, z)"
                       f"  r = DequantizeLinear(o, t, z)  {ENDS}", 17, "not ReLU-compatible"),
    "sixteen_bits_before_opset_21": ("q = com.microsoft.QuantizeLinear(x, s, z16)"
                                     f"  r = com.microsoft.DequantizeLinear(q, s, z16)  {ENDS}", 17, "opset 21"),
    "channels_last": ("q = QuantizeLinear(x, s, z)"
                      "  o = com.microsoft.QLinearGlobalAveragePool <channels_last = 1> (q, s, z, t, z)"
                      f"  r = DequantizeLinear(o, t, z)  {ENDS}", 17, "channels last"),
    "variable_weight": ("q = QuantizeLinear(x, s, u)  o = QLinearConv(q, s, u, q, s, u, t, u)"
                        f"  r = DequantizeLinear(o, t, u)  {ENDS}", 17, "depends on the data"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name: str) -> None:
    body, opset, reason = REFUSED[name]
    with pytest.raises(lrp.UnsupportedModelError, match=reason) as error:
        lrp.explain(graph(body, opset), X)
    assert all(problem.remedy for problem in error.value.problems)


def test_sixteen_bits() -> None:
    body = f"q = QuantizeLinear(x, s, z16)  r = DequantizeLinear(q, s, z16)  {ENDS}"
    model = graph(body, 21)
    found = lrp.explain(model, X, 0, backend="numpy")
    np.testing.assert_allclose(found.output, answer(model, {"x": X}), atol=1e-6)


def test_an_old_file_whose_initializers_are_no_inputs() -> None:
    """The quantiser adds initializers to models of IR 3, and leaves the version as it was."""
    model = graph(EXPLAINED["conv"])
    model.ir_version = 3
    assert distance(lrp.explain(model, X, 0).relevance, lrp.explain(graph(EXPLAINED["conv"]), X, 0).relevance) == 0
