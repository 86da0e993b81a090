"""A grey picture that the model's own normalisation makes three channels of: relevance has one channel again."""

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[n,1,6,6] x) => (float[n,2] y)
<float[3,1,1] mean = {0.2, 0.3, 0.4}, float[3,1,1] std = {0.2, 0.3, 0.5}, int64[4] three = {1, 3, 1, 1}>
{ %s
  c = Conv (b, w)  r = Relu (c)  p = GlobalAveragePool (r)  f = Flatten (p)  y = MatMul (f, v) }
"""
SPREAD = {"shift": "a = Sub (x, mean)  b = Div (a, std)", "scale": "a = Mul (x, std)  b = Identity (a)"}
EXPANDED = {
    "shift": "e = Tile (x, three)  a = Sub (e, mean)  b = Div (a, std)",
    "scale": "e = Tile (x, three)  b = Mul (e, std)",
}
X = np.random.default_rng(1).uniform(size=(2, 1, 6, 6)).astype(np.float32)


def net(body: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(TEXT % body)
    rng = np.random.default_rng(0)
    for name, shape in (("w", (4, 3, 3, 3)), ("v", (4, 2))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(rng.normal(size=shape).astype("f"), name))
    return model


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus_flat", "epsilon_gamma_box:low=-3,high=3", "layered"])
@pytest.mark.parametrize("kind", SPREAD)
def test_it_is_that_of_the_picture_repeated(kind: str, composite: str, backend: str) -> None:
    expected = lrp.Explainer(net(EXPANDED[kind]), composite, backend="numpy", dtype="float64")(X, 0).relevance
    found = lrp.Explainer(net(SPREAD[kind]), composite, backend=backend)(X, 0).relevance
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_converted_model_declares_its_shape() -> None:
    relevance = lrp.convert(net(SPREAD["shift"]), "epsilon_plus_flat").graph.output[-1]
    assert [d.dim_value for d in relevance.type.tensor_type.shape.dim][1:] == [1, 6, 6]


def test_pass_on_a_map_that_changes_the_shape_is_an_error() -> None:
    composite = lrp.Composite("mine", ((lrp.Selector(ops=("Conv",)), lrp.Pass()),))
    with pytest.raises(lrp.CompositeError, match=r"Conv.* changes the shape: Pass cannot go there"):
        lrp.Explainer(net(SPREAD["shift"]), composite)
