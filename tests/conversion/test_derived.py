"""What depends on the number of samples only, and not on the data: compiled for any number of them."""

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.errors import ConversionError

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[n,3,2] x) => (float[n,4] y) '
NUMBERS = """<float[1,1,2] token = {0.5, -1.5}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2},
int64[1] three = {3}, int64[2] pairs = {-1, 2}, int64[2] flat = {-1, WIDTH}>"""
GROW = "s = Shape (x)  n = Slice (s, zero, one)  "
TAIL = "  f = Reshape (j, flat)  r = Relu (f)  y = MatMul (r, w)"
NETS = {
    "a class token": "k = Concat <axis = 0> (n, one, two)  t = Expand (token, k)  j = Concat <axis = 1> (t, x)",
    "a token that is tiled": "k = Concat <axis = 0> (n, two, one)  t = Tile (token, k)  j = Concat <axis = 1> (x, t)",
    "a sum": "k = Concat <axis = 0> (n, one, two)  t = Expand (token, k)  j = Add (x, t)",
    "rows of all samples": "k = Concat <axis = 0> (n, three, two)  t = Expand (token, k)  p = Reshape (t, pairs)"
    "  q = Reshape (x, pairs)  j = Concat <axis = 1> (p, q)",
    "a factor": "k = Cast <to = 1> (n)  j = Mul (x, k)",
}
COMPILED = [name for name in NETS if name != "a factor"]


def net(name: str) -> onnx.ModelProto:
    width = {"a class token": 8, "a token that is tiled": 10, "rows of all samples": 12}.get(name, 6)
    text = HEAD + NUMBERS.replace("WIDTH", str(width)) + "{" + GROW + NETS[name] + TAIL + "}"
    model = onnx.parser.parse_model(text)
    w = np.random.default_rng(0).normal(size=(width, 4)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    return model


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_it_is_made_for_any_number_of_samples(name: str, samples: int) -> None:
    x = np.random.default_rng(1).normal(size=(samples, 3, 2)).astype(np.float32)
    expected = lrp.Explainer(net(name), "epsilon:epsilon=1e-6", backend="numpy", dtype="float64")(x)
    found = lrp.Explainer(net(name), "epsilon:epsilon=1e-6", backend="onnx")(x)
    np.testing.assert_allclose(found.relevance, expected.relevance, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.output, expected.output, rtol=1e-4, atol=1e-5)


def test_the_number_of_samples_as_a_factor_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"'k' depends on the number of samples.*--shape NAME=1"):
        lrp.convert(net("a factor"))
