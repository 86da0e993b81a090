"""A zero border by a Pad node and by the convolution's own pads is one function with one explanation."""

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.model.preparation import prepare

HEAD = '<ir_version: 8, opset_import: ["" : OPSET]> g (float[n,3,6,6] x) => (float[n,2] y) '
NUMBERS = """<int64[8] spatial = {0,0,1,2,0,0,1,0}, int64[8] last = {0,1,2,0,0,1,0,0}, int64[4] short = {1,2,1,0},
int64[2] axes = {2,-1}, float zero = {0.0},
int64[8] negative = {0,0,1,2,0,0,1,-1}>"""
TAIL = "r = Relu (c)  p = GlobalAveragePool (r)  f = Flatten (p)  y = MatMul (f, v)"
PLAIN = "c = Conv <pads = [1, 2, 1, 0]> (x, w)"
WRITTEN = {
    "Pad": "q = Pad (x, spatial, zero)  c = Conv (q, w)",
    "Pad without a value": 'q = Pad (x, spatial)  c = Conv <auto_pad = "VALID"> (q, w)',
    "axes": "q = Pad (x, short, , axes)  c = Conv (q, w)",
    "some each": "q = Pad (x, short, zero, axes)  c = Conv <pads = [0, 0, 0, 0]> (q, w)",
    "behind a Cast": "q = Pad (x, spatial)  k = Cast <to = 1> (q)  c = Conv (k, w)",
    "channels last": "l = Transpose <perm = [0, 2, 3, 1]> (x)  q = Pad (l, last)"
    "  k = Transpose <perm = [0, 3, 1, 2]> (q)  c = Conv (k, w)",
}
KEPT = {
    "SAME": 'q = Pad (x, spatial)  c = Conv <auto_pad = "SAME_UPPER"> (q, w)',
    "other ends": 'q = Pad <mode = "reflect"> (x, spatial)  c = Conv (q, w)',
    "negative": "q = Pad (x, negative)  c = Conv (q, w)",
}


def net(body: str, opset: int = 18) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEAD.replace("OPSET", str(opset)) + NUMBERS + "{" + body + "  " + TAIL + "}")
    rng = np.random.default_rng(0)
    for name, shape in (("w", (4, 3, 3, 3)), ("v", (4, 2))):
        data = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(data, name))
    return model


def relevance(model: onnx.ModelProto, composite: str, backend: str) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 6)).astype(np.float32)
    dtype = "float32" if backend == "onnx" else "float64"
    return lrp.Explainer(model, composite, backend=backend, dtype=dtype)(x, target=0).relevance


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_gamma_box:low=-3,high=3"])
@pytest.mark.parametrize("body", WRITTEN.values(), ids=WRITTEN)
def test_both_ways_to_write_it_have_one_explanation(body: str, composite: str, backend: str) -> None:
    expected = relevance(net(PLAIN), composite, "numpy")
    tolerance = 1e-4 if backend == "onnx" else 1e-10
    np.testing.assert_allclose(relevance(net(body), composite, backend), expected, tolerance, tolerance)


def test_the_attributes_of_old_opsets() -> None:
    old = "q = Pad <pads = [0, 0, 1, 2, 0, 0, 1, 0]> (x)  c = Conv (q, w)"
    assert "Pad" not in [node.op_type for node in prepare(net(old, 9)).model.graph]


def test_a_convolution_among_other_readers_has_its_own_border() -> None:
    body = "q = Pad (x, spatial)  a = Conv (q, w)  b = Conv (q, w)  m = Sub (q, q)  z = ReduceSum (m)  d = Add (a, b)"
    nodes = list(prepare(net(body + "  c = Add (d, z)")).model.graph)
    assert [node.inputs[0].name for node in nodes if node.op_type == "Conv" and node.inputs[0]] == ["x", "x"]
    assert nodes[0].op_type == "Pad"


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_what_is_no_border_of_zeros_is_kept(body: str) -> None:
    assert [node.op_type for node in prepare(net(body)).model.graph][:2] == ["Pad", "Conv"]


def test_it_is_noted() -> None:
    assert any(note.startswith("Pad ") and "merged into Conv" in note for note in prepare(net(WRITTEN["Pad"])).notes)
