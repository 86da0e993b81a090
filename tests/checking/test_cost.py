"""Multiply-adds counted by hand, and as ``check`` counts them from shapes alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from onnx_lrp import check
from onnx_lrp.checking.cost import shares

MODELS = Path(__file__).resolve().parents[2] / "models"


def test_mnist_cnn() -> None:
    """5×5 kernels over 1 and 8 channels, at 24×24 and 8×8 places; then 256 → 64 → 10."""
    report = check(str(MODELS / "mnist_cnn.onnx"))
    convolutions = 8 * 24 * 24 * 25 + 16 * 8 * 8 * 8 * 25
    assert report.multiply_adds == {"ZPlus": convolutions, "Epsilon": 256 * 64 + 64 * 10}
    assert "multiply-adds: ZPlus 94.95 %, Epsilon 5.05 %; total 337 k" in str(report)


def test_mnist_resnet() -> None:
    """Three blocks at 28×28, 14×14, 7×7 with 16, 24, 32 channels, two of them with a 1×1 shortcut."""
    report = check(str(MODELS / "mnist_resnet.onnx"), "epsilon_gamma_box:low=0,high=1")
    stem = 16 * 28**2 * 9
    first = 2 * 16 * 28**2 * 16 * 9
    second = 24 * 14**2 * (16 * 9 + 24 * 9 + 16)
    third = 32 * 7**2 * (24 * 9 + 32 * 9 + 24)
    assert report.multiply_adds == {
        "Gamma": first + second + third,
        "ZBox": stem,
        "Epsilon": 32 * 7**2 + 32 * 10,  # global pooling, and the last layer
    }


def test_squeezenet_as_its_paper_s_descendants_count_it() -> None:
    path = MODELS.parents[1] / "shared" / "models" / "squeezenet1_1_imagenet.onnx"
    if not path.exists():
        pytest.skip("no ImageNet model beside the checkout")
    assert sum((check(str(path)).multiply_adds or {}).values()) == pytest.approx(349e6, rel=0.01)


def net(text: str, **shapes: tuple[int, ...]) -> onnx.ModelProto:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {text}')
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    return model


@pytest.mark.parametrize(
    ("text", "shapes", "expected"),
    [
        (
            "(float[N,4,9] x) => (float y) { y = Conv<group=2, strides=[2], pads=[1,1]>(x, w) }",
            (6, 2, 3),
            6 * 5 * 2 * 3,
        ),
        ("(float[N,4,9] x) => (float y) { y = ConvTranspose<strides=[2]>(x, w) }", (4, 5, 3), 4 * 9 * 5 * 3),
        ("(float[2,4,9] x) => (float y) { y = Conv(x, w) }", (6, 4, 3), 2 * 6 * 7 * 4 * 3),
        ("(float[N,7,5] x) => (float y) { y = MatMul(x, w) }", (5, 3), 7 * 5 * 3),
        ("(float[N,5,7] x) => (float y) { y = MatMul(w, x) }", (3, 5), 7 * 5 * 3),
        ("(float[N,5] x) => (float y) { y = MatMul(x, w) }", (5,), 5),
        ("(float[N,5] x) => (float y) { y = Gemm<transB=1, alpha=2.0>(x, w) }", (3, 5), 15),
        ("(float[N,4,6] x) => (float y) { y = Mul(x, w) }", (4, 1), 24),
        ("(float[N,4,6,6] x) => (float y) { y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(x) }", (), 4 * 9 * 4),
        ("(float[N,4,6,6] x) => (float y) { y = GlobalAveragePool(x) }", (), 4 * 36),
        ("(float[N,4,6] x) => (float y) { y = ReduceSum(x) }", (), 24),
        ("(float[N,4,6] x) => (float y) { a = Relu(x) y = Add(a, x) }", (), 0),
    ],
)
def test_every_map(text: str, shapes: tuple[int, ...], expected: int) -> None:
    """For one sample where their number is open, else for all."""
    counted = check(net(text, **({"w": shapes} if shapes else {}))).multiply_adds
    assert counted is not None
    assert sum(counted.values()) == expected


def test_open_sizes_are_said_to_be_unknown() -> None:
    report = check(net("(float[N,3,H,W] x) => (float y) { y = Conv(x, w) }", w=(2, 3, 3, 3)))
    assert report.supported
    assert report.multiply_adds is None
    assert "multiply-adds: unknown: sizes other than the number of samples are open" in str(report)


def test_shares_are_short() -> None:
    assert shares({"ZPlus": 1_700_000_000, "Epsilon": 120_000_000}) == "ZPlus 93.41 %, Epsilon 6.59 %; total 1.82 G"
    assert shares({"Epsilon": 17}) == "Epsilon 100.00 %; total 17"
    assert shares({}) == "none"


def test_interpolation_is_counted_axis_by_axis() -> None:
    """2 → 4 rows of 3, each of all 2; then 3 → 6 columns of 4 rows, each of all 3."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17]> g (float[1,1,2,3] x) => (float[1,1,4,6] y)
        <int64[4] sizes = {1, 1, 4, 6}> { y = Resize <mode = "linear"> (x, , , sizes) }"""
    )
    assert check(model).multiply_adds == {"Epsilon": 2 * 4 * 3 + 3 * 4 * 6}
