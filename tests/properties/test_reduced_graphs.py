"""What the generated graphs found, reduced to the smallest graph that shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from onnx_lrp import Explainer, Explanation
from onnx_lrp.errors import InvalidModelError, ModelError, NumericalError, TargetError, UnsupportedModelError

RNG = np.random.default_rng(0)


def parsed(text: str, opset: int = 17, **weights: Any) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')
    for name, value in weights.items():
        a = np.asarray(value)
        kept = a.astype(np.float32 if a.dtype.kind == "f" else np.int64)
        model.graph.initializer.append(onnx.numpy_helper.from_array(kept, name))
    return model


def everywhere(model: onnx.ModelProto, composite: str, *shapes: tuple[int, ...]) -> list[Explanation]:
    """NumPy, Torch and ONNX agree on random positive inputs of these shapes."""
    feeds = {v.name: RNG.uniform(0.5, 2, shape).astype(np.float32) for v, shape in zip(model.graph.input, shapes)}
    found = [Explainer(model, composite, backend=name)(feeds) for name in ("numpy", "torch", "onnx")]
    for other in found[1:]:
        for name, r in found[0].inputs.items():
            np.testing.assert_allclose(other.inputs[name], r, rtol=1e-4, atol=1e-5 * np.abs(r).max())
    return found


def test_a_vector_of_a_fixed_batch_is_a_number_per_sample_on_every_backend() -> None:
    """Found by trying: no number depends on another row."""
    model = parsed("g (float[3, 4] x) => (float[3] y) { s = MatMul(x, w) y = Relu(s) }", w=RNG.uniform(0.5, 1, 4))
    for explanation in everywhere(model, "epsilon", (3, 4)):
        assert explanation.output.shape == (3,)
        relevance = np.abs(explanation.inputs["x"]).sum(1)
        assert np.array_equal(relevance > 0, explanation.output > 0)


def test_samples_are_those_of_the_input_that_has_as_many_as_the_output() -> None:
    text = "g (float[5] bias, float[3, 4] x) => (float[3, 5] y) { s = MatMul(x, w) y = Add(s, bias) }"
    for explanation in everywhere(parsed(text, w=RNG.standard_normal((4, 5))), "epsilon", (5,), (3, 4)):
        assert explanation.output.shape == (3, 5)
        assert explanation.target.shape == (3,)


def test_a_difference_from_a_constant_inside_the_source() -> None:
    """The recording backend took the source's Sub for one of its own."""
    text = "g (float[N, 4] x) => (float[N, 4] y) { a = Relu(x) s = Sub(a, c) b = MatMul(a, w) y = Sum(s, b) }"
    everywhere(parsed(text, c=[0.1, 0.2, 0.3, 0.4], w=RNG.standard_normal((4, 4))), "zplus", (2, 4))


def test_tile_leaves_an_open_batch_open() -> None:
    text = "g (float[N, 4] x) => (float[N, 8] y) { y = Tile(x, n) }"
    everywhere(parsed(text, n=[1, 2]), "epsilon", (3, 4))


def test_a_convolution_that_stands_in_its_padding() -> None:
    text = "g (float[N, 2, 1] x) => (float[N, 2] y) { a = Conv<strides=[3], pads=[1, 1]>(x, w, b) y = Flatten(a) }"
    model = parsed(text, w=RNG.standard_normal((2, 2, 1)), b=[0.5, 0.25])
    for explanation in everywhere(model, "epsilon_plus", (2, 2, 1)):
        assert not explanation.inputs["x"].any()


def test_a_dilated_last_window_reaches_beyond_a_kernel() -> None:
    text = """g (float[N, 1, 4] x) => (float[N, 2] y) {
        a = MaxPool<kernel_shape=[2], dilations=[3], strides=[3], ceil_mode=1, pads=[1, 0]>(x) y = Flatten(a) }"""
    everywhere(parsed(text), "epsilon", (3, 1, 4))


def test_a_pooling_window_that_stands_in_the_padding() -> None:
    text = """g (float[N, 1, 1] x) => (float[N, A, B] y) {
        a = MaxPool<kernel_shape=[2], dilations=[2], pads=[1, 1]>(x) b = Relu(a) y = Sum(b, x) }"""
    everywhere(parsed(text), "epsilon", (2, 1, 1))


@pytest.mark.parametrize("op", ["GlobalMaxPool", "GlobalAveragePool"])
def test_the_spatial_axes_of_a_tensor_of_unknown_rank(op: str) -> None:
    """Behind shape arithmetic with an open batch, shape inference gives up."""
    text = """g (float[N, 2, 3, 4] x) => (float[A, B, C, D] y) {
        s = Shape(x) n = Gather<axis=0>(s, zero) t = Concat<axis=0>(n, rest) r = Reshape(x, t) y = OP(r) }"""
    everywhere(parsed(text.replace("OP", op), 9, zero=[0], rest=[4, 3, 2]), "epsilon", (2, 2, 3, 4))


def test_transposed_convolution_with_both_ways_to_say_its_size() -> None:
    """The standard's shape inference adds output_padding to SAME, onnxruntime does not."""
    text = """g (float[N, 1, 3] x) => (float[N, 1, M] y) {
        y = ConvTranspose<auto_pad="SAME_LOWER", strides=[2], output_padding=[1]>(x, w) }"""
    with pytest.raises(UnsupportedModelError, match="output_padding"):
        Explainer(parsed(text, w=np.ones((1, 1, 2))))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_operands_that_do_not_fit_are_named(backend: str) -> None:
    """Shape inference does not look at channels, and in float64 onnxruntime comes last."""
    text = "g (float[N, 3, 4] x) => (float[N, 2, M] y) { [first] a = Relu(x) [second] y = Conv(a, w) }"
    explainer = Explainer(parsed(text, w=np.ones((2, 2, 1))), backend=backend, dtype="float64")
    with pytest.raises(InvalidModelError, match=r"node second \(Conv\) cannot be computed"):
        explainer(np.ones((1, 3, 4), np.float32))


@pytest.mark.parametrize("op", ["Sum", "Mean", "Concat<axis=1>"])
def test_a_summand_that_is_left_out(op: str) -> None:
    """onnxruntime ends the process with a segmentation fault."""
    model = parsed(f"g (float[N, 4] x) => (float[N, M] y) {{ y = {op}(x, x, x) }}")
    model.graph.node[0].input[1] = ""
    with pytest.raises(InvalidModelError, match="lacks one"):
        Explainer(model)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [(b"plain_name", InvalidModelError, "not UTF-8"), (b"constant", UnsupportedModelError, "unknown mode")],
)
def test_a_text_that_is_not_utf8(text: bytes, error: type[Exception], message: str) -> None:
    model = parsed(
        'g (float[N, 4] x) => (float[N, 6] y) { [plain_name] y = Pad<mode="constant">(x, p) }', p=[0, 1, 0, 1]
    )
    broken = model.SerializeToString().replace(text, b"\xff" + text[1:])
    with pytest.raises(error, match=message):
        Explainer(broken)


@pytest.mark.parametrize("backend", ["numpy", "onnx"])
@pytest.mark.parametrize("n", [[1, 0], [0, 1]])
def test_an_output_without_elements(backend: str, n: list[int]) -> None:
    model = parsed("g (float[N, 4] x) => (float[A, B] y) { y = Tile(x, n) }", n=n)
    with pytest.raises(TargetError, match="no elements"):
        Explainer(model, backend=backend)(np.ones((1, 4), np.float32))


def test_a_constant_as_the_output() -> None:
    model = parsed("g (float[N, 4] x) => (float[2] y) { z = Relu(x) y = Constant<value = float[2] {1, 2}>() }")
    with pytest.raises(UnsupportedModelError, match="does not depend"):
        Explainer(model)


def test_an_axis_that_is_named_twice() -> None:
    model = parsed("g (float[N, 4] x) => (float[N, A, B, C] y) { y = Unsqueeze(x, axes) }", axes=[1, 1])
    with pytest.raises(InvalidModelError, match="named twice"):
        Explainer(model, backend="numpy")(np.ones((1, 4), np.float32))


@pytest.mark.parametrize("n", [[2**40, 1], [2**31, 2**31]])
def test_an_open_axis_repeated_beyond_all_memory(n: list[int]) -> None:
    with pytest.raises(InvalidModelError, match="limit is 2"):
        Explainer(parsed("g (float[N, 4] x) => (float[A, B] y) { y = Tile(x, n) }", n=n))


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("weight", [(4,), (1, 1, 4, 1)], ids=str)
def test_a_weight_of_the_wrong_rank(backend: str, weight: tuple[int, ...]) -> None:
    """Torch and NumPy convolve with some of these, or fail in the walk only: onnxruntime has the last word."""
    model = parsed("g (float[N, 4, 6] x) => (float[N, A, B] y) { a = Conv(x, w) y = Relu(a) }", w=np.ones(weight))
    with pytest.raises(ModelError):
        Explainer(model, "alpha_beta", backend=backend)(np.ones((1, 4, 6), np.float32))


def test_answers_that_overflow() -> None:
    """In float32 only: an infinite logit made the comparison with onnxruntime's answer void."""
    model = parsed("g (float[N, 2] x) => (float[N, 2] y) { a = Mul(x, c) b = Mul(a, c) y = Relu(b) }", c=[1e30, 1.0])
    with pytest.raises(NumericalError, match="not finite"):
        Explainer(model, backend="numpy")(np.ones((1, 2), np.float32))


def test_a_transposition_that_names_an_axis_twice() -> None:
    text = "g (float[N, 3] x) => (float[A, B] y) { a = MatMul(x, w) t = Transpose<perm=[1, 1]>(a) y = Mul(t, c) }"
    with pytest.raises(ModelError):
        Explainer(parsed(text, w=np.ones((3, 2)), c=[2.0]), backend="numpy")(np.ones((1, 3), np.float32))


def test_an_attribute_with_a_line_break() -> None:
    """The message about it stays one line."""
    model = parsed(
        'g (float[N, 1, 3] x) => (float[A, B, C] y) { y = Upsample<mode="cut">(x, s) }', 9, s=[1.0, 1.0, 2.0]
    )
    model.graph.node[0].attribute[0].s = b"cut\nhere"
    with pytest.raises(UnsupportedModelError) as caught:
        Explainer(model)
    assert str(caught.value).isprintable()


def test_a_value_that_is_quantised_twice_with_two_scales() -> None:
    """onnxruntime drops one of the two pairs, or not, as is fetched; so the canonized model seemed another one."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 13]>
        g (float[N, 3] x) => (float[N, 2] y)
        <float s = {0.05}, float t = {0.11}, uint8 z = {10}, float[6, 2] w = {1, -2, 3, 1, 1, 1, 2, -1, 1, 0.5, 1, 2}> {
            a = QuantizeLinear(x, s, z)
            b = DequantizeLinear(a, s, z)
            c = QuantizeLinear(b, t, z)
            d = Concat <axis = 1> (c, c)
            e = DequantizeLinear(d, t, z)
            y = MatMul(e, w)
        }""")
    everywhere(model, "epsilon", (4, 3))


def test_a_constant_that_is_not_finite_is_merged_into_nothing() -> None:
    text = "g (float[N, 4] x) => (float[N, 4] y) { a = MatMul(x, w) y = Mul(a, c) }"
    with pytest.raises(InvalidModelError, match=r"'c'.*NaN or Inf"):
        Explainer(parsed(text, w=np.zeros((4, 4)), c=[np.inf, 1, 1, 1]))
