"""Integer arithmetic (QLinearConv, QGemm, ...) as float arithmetic between DequantizeLinear and QuantizeLinear nodes.

The float op keeps the node's name, the quantised output its tensor's name. Weights become floats in float64, and note
which integers they come from, so that a converted model does not store them twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ..graph import array
from .expanding import Builder, expands
from .fused import EXPORT_PLAINLY, MICROSOFT
from .origins import ORIGIN, Scaled

# Ops of one operand, followed by (scale, zero point) of input and output: what they are in floats
UNARY = {
    "QLinearAveragePool": "AveragePool", "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu", "QLinearReduceMean": "ReduceMean", "QLinearSigmoid": "Sigmoid",
    "QLinearSoftmax": "Softmax",
}  # fmt: skip
SINCE = {"int16": 21, "uint16": 21, "int4": 21, "uint4": 21, "int2": 25, "uint2": 25}  # opsets of the other types


@expands("", "QLinearConv")
@expands(MICROSOFT, "QLinearConv")
def qlinear_conv(build: Builder) -> Sequence[ir.Value]:
    """x, its scale and zero point; w, likewise; scale and zero point of y; bias."""
    given = channels_first(build)
    y = build.node("Conv", [real(build, 0), weight(build, 3), *bias(build, 8, 1, 4)], **given)
    return [requantized(build, y, 6)]


@expands("", "QLinearMatMul")
def qlinear_matmul(build: Builder) -> Sequence[ir.Value]:
    """a, its scale and zero point; b, likewise; scale and zero point of y."""
    sides = [real(build, i) if build.array(i) is None else weight(build, i, per_row=i == 0) for i in (0, 3)]
    return [requantized(build, build.node("MatMul", sides), 6)]


@expands(MICROSOFT, "QGemm")
def qgemm(build: Builder) -> Sequence[ir.Value]:
    """A, its scale and zero point; B, likewise; C; scale and zero point of Y, if that is quantised at all."""
    axis = 0 if build.attributes.get("transB", 0) else 1
    sides = [real(build, 0), weight(build, 3, axis), *bias(build, 6, 1, 4, build.attributes.get("alpha", 1.0))]
    y = build.node("Gemm", sides, **build.attributes)
    return [y if build.inputs[7] is None else requantized(build, y, 7)]


@expands(MICROSOFT, "QLinearAdd", "QLinearMul")
def qlinear_binary(build: Builder) -> Sequence[ir.Value]:
    """A, its scale and zero point; B, likewise; scale and zero point of C."""
    y = build.node(build.old.op_type.removeprefix("QLinear"), [real(build, 0), real(build, 3)])
    return [requantized(build, y, 6)]


@expands(MICROSOFT, "QLinearConcat")
def qlinear_concat(build: Builder) -> Sequence[ir.Value]:
    """Scale and zero point of Y; then each operand with its own."""
    operands = [real(build, i) for i in range(2, len(build.old.inputs), 3)]
    return [requantized(build, build.node("Concat", operands, **build.attributes), 0)]


@expands(MICROSOFT, *UNARY)
def qlinear_unary(build: Builder) -> Sequence[ir.Value]:
    """X, its scale and zero point; scale and zero point of Y."""
    given = channels_first(build)
    given.pop("opset", None)  # QLinearSoftmax's
    return [requantized(build, build.node(UNARY[build.old.op_type], [real(build, 0)], **given), 3)]


@expands(MICROSOFT, "QuantizeLinear", "DequantizeLinear")
def standard(build: Builder) -> Sequence[ir.Value]:
    """The standard's op of the same name."""
    zero = build.array(2)
    needed = 10 if zero is None else SINCE.get(zero.dtype.name, 10)
    if build.opset < needed:
        raise Unsupported(f"a quantised type of opset {needed} at opset {build.opset}", "export with a newer opset")
    return [build.node(build.old.op_type, list(build.old.inputs), **build.attributes)]


def real(build: Builder, position: int) -> ir.Value:
    """The numbers that a quantised operand stands for; its scale and zero point follow it."""
    inputs = build.inputs[position : position + 3]
    return build.node("DequantizeLinear", inputs if inputs[2] is not None else inputs[:2], f"real{position}")


def requantized(build: Builder, y: ir.Value, position: int) -> ir.Value:
    """The output's integers, by the scale and zero point at this position."""
    grid = build.inputs[position : position + 2]
    return build.node("QuantizeLinear", [y, *(grid if grid[1] is not None else grid[:1])], "quantized")


def weight(build: Builder, position: int, axis: int = 0, per_row: bool = False) -> ir.Value:
    """A constant quantised operand, whose scale and zero point follow it, as floats.

    ``axis`` is that of scales per channel; those of a matrix product stand for the columns of its second operand, or
    for the rows of its first one (``per_row``).

    Raises:
        Unsupported: it is not constant.
    """
    base, scale, zero = build.inputs[position], build.array(position + 1), build.array(position + 2)
    if base is None or base.const_value is None or scale is None:
        raise Unsupported("the weight or its scale depends on the data", "LRP needs constant ones")
    rank = len(base.const_value.shape)
    matrix = build.old.op_type in ("QLinearMatMul", "MatMulInteger", "DynamicQuantizeMatMul", "MatMulIntegerToFloat")
    along = (rank - 2 if per_row else rank - 1) if matrix else axis
    gain, shift = (aligned(a, along, rank) for a in (scale, np.zeros(1) if zero is None else zero))
    return dequantized(build, base, gain, shift, "weight" if position else "left")


def dequantized(build: Builder, base: ir.Value, gain: np.ndarray, shift: np.ndarray, part: str) -> ir.Value:
    """gain · (base - shift) as a constant, computed when it is read."""
    assert base.const_value is not None

    def product() -> ir.TensorProtocol:
        return ir.Tensor((np.asarray(array(base)).astype(np.float64) - shift) * gain)

    lazy = ir.LazyTensor(product, ir.DataType.DOUBLE, ir.Shape(base.const_value.shape.numpy()))
    value = build.initializer(lazy, part)
    value.meta[ORIGIN] = Scaled(base.name or "", gain, shift)
    return value


def bias(build: Builder, position: int, x_scale: int, w_scale: int, factor: float = 1.0) -> list[ir.Value]:
    """The bias, if there is one: int32, with the scale factor · (scale of x) · (scale of w).

    Raises:
        Unsupported: the bias or a scale is not constant.
    """
    if build.inputs[position] is None:
        return []
    b, scales = build.array(position), [build.array(i) for i in (x_scale, w_scale)]
    if b is None or scales[0] is None or scales[1] is None:
        raise Unsupported("the bias or a scale depends on the data", "LRP needs constant ones")
    first, second = (s.astype(np.float64).reshape(-1) for s in scales if s is not None)
    return [build.constant(b.astype(np.float64) * (factor * first * second), "bias")]


def aligned(a: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """A number, or one per channel, in a shape that broadcasts."""
    numbers = a.astype(np.float64)
    return numbers.reshape(()) if a.size == 1 else numbers.reshape(-1, *(1,) * (rank - 1 - axis))


def channels_first(build: Builder) -> dict[str, Any]:
    """The attributes, which must not say that channels come last."""
    given = dict(build.attributes)
    if given.pop("channels_last", 0):
        raise Unsupported("channels last", EXPORT_PLAINLY)
    return given
