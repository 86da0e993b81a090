"""Dynamic quantisation: integer products whose scale is decided by the data, as float products.

onnxruntime's quantiser writes DynamicQuantizeLinear → ConvInteger or MatMulInteger → Cast → Mul by (scale of x · scale
of w). The four become DequantizeLinear → Conv or MatMul, with the name of the integer op and the Mul's output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ..graph import array
from .expanding import Builder, expands
from .fused import MICROSOFT
from .quantized import aligned, dequantized, weight

QUANTISE_AS_QDQ = "quantise in the QDQ format"


@expands("", "ConvInteger", "MatMulInteger")
def integer_product(build: Builder) -> Sequence[ir.Value]:
    """x; w; the zero points of both."""
    cast = _follower(build.old, "Cast")
    scaling = _follower(cast, "Mul") if cast is not None else None
    if cast is None or scaling is None:
        raise Unsupported("no Cast and Mul by its scale stand behind it", QUANTISE_AS_QDQ)
    x, base, zero = build.value(0), build.value(1), build.array(3)
    if base.const_value is None or (build.inputs[3] is not None and zero is None):
        raise Unsupported("the weight depends on the data", "LRP needs a constant one")
    x_scale, gain = _scales(build, x, next(v for v in scaling.inputs if v is not cast.outputs[0]))
    y = _product(build, _real(build, x, x_scale), base, gain, np.zeros(1) if zero is None else zero)
    build.through([cast, scaling])
    return [y]


def _follower(node: ir.Node, op: str) -> ir.Node | None:
    """The node of this op, if it alone reads the output."""
    value = node.outputs[0]
    uses = [use.node for use in value.uses()]
    return uses[0] if len(uses) == 1 and uses[0].op_type == op and not value.is_graph_output() else None


def _scales(build: Builder, x: ir.Value, factor: ir.Value | None) -> tuple[ir.Value | None, np.ndarray]:
    """The scale of x, None if the constant one is in the other number, and the product of all that is constant."""
    maker = x.producer()
    own = maker.outputs[1] if maker is not None and maker.op_type == "DynamicQuantizeLinear" else None
    found: ir.Value | None = None
    gain = np.ones(())
    for value in _factors(factor):
        known = array(value)
        if known is not None:
            gain = gain * known.astype(np.float64)
        elif value is not None and value is own and found is None:
            found = value
        else:
            raise Unsupported("its scale depends on the data in an unknown way", QUANTISE_AS_QDQ)
    if own is not None and found is None:
        raise Unsupported("the scale of its input is missing behind it", QUANTISE_AS_QDQ)
    return found, gain


def _factors(value: ir.Value | None) -> list[ir.Value | None]:
    maker = value.producer() if value is not None else None
    if maker is None or maker.op_type != "Mul":
        return [value]
    return [*_factors(maker.inputs[0]), *_factors(maker.inputs[1])]


def _real(build: Builder, x: ir.Value, scale: ir.Value | None) -> ir.Value:
    """The numbers that the integers stand for; without a scale of their own they count."""
    inputs = [x, scale if scale is not None else build.constant(np.float32(1), "one"), build.inputs[2]]
    return build.node("DequantizeLinear", inputs if inputs[2] is not None else inputs[:2], "real0")


def _product(build: Builder, x: ir.Value, base: ir.Value, gain: np.ndarray, zero: np.ndarray) -> ir.Value:
    """The float op; a scale behind a convolution is a number, or one per channel before the spatial axes."""
    assert base.const_value is not None
    rank = len(base.const_value.shape)
    channel, op = (0, "Conv") if build.old.op_type == "ConvInteger" else (rank - 1, "MatMul")
    count = base.const_value.shape.numpy()[channel]
    along = 1 if op == "Conv" and gain.ndim > 1 else gain.ndim - 1  # where the output's channels stand
    if gain.size != 1 and (gain.size != count or gain.shape[along] != count or (op == "Conv" and gain.ndim == 1)):
        raise Unsupported("its scale varies along another axis than the output's channels", QUANTISE_AS_QDQ)
    w = dequantized(build, base, aligned(gain, channel, rank), aligned(zero, channel, rank), "weight")
    return build.node(op, [x, w], **build.attributes)


@expands(MICROSOFT, "DynamicQuantizeMatMul")
def dynamic_quantize_matmul(build: Builder) -> Sequence[ir.Value]:
    """A; B, its scale and zero point; bias."""
    x = build.nodes("DynamicQuantizeLinear", [build.inputs[0]], 3, "quantized")
    y = build.node("MatMul", [build.node("DequantizeLinear", x, "real0"), weight(build, 1)])
    return [_biased(build, y, 4)]


@expands(MICROSOFT, "MatMulIntegerToFloat")
def matmul_integer_to_float(build: Builder) -> Sequence[ir.Value]:
    """A; B; their scales; their zero points; bias."""
    a, b, a_scale, b_scale, a_zero, b_zero = build.inputs[:6]
    known, zero = array(b_scale), array(b_zero)
    if b is None or b.const_value is None or known is None or (b_zero is not None and zero is None):
        raise Unsupported("the weight or its scale depends on the data", "LRP needs constant ones")
    rank = len(b.const_value.shape)
    gain, shift = (aligned(n, rank - 1, rank) for n in (known, np.zeros(1) if zero is None else zero))
    x = build.node("DequantizeLinear", [a, a_scale, *([a_zero] if a_zero is not None else [])], "real0")
    return [_biased(build, build.node("MatMul", [x, dequantized(build, b, gain, shift, "weight")]), 6)]


def _biased(build: Builder, y: ir.Value, position: int) -> ir.Value:
    constant = build.inputs[position]
    return y if constant is None else build.node("Add", [y, constant], "bias")
