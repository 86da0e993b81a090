"""Quantisation: an integer q stands for the number scale · (q - zero point), so relevance passes it unchanged.

Between a QuantizeLinear and the DequantizeLinear behind it tensors hold the integers themselves; the canonizer
``dequantizing`` has seen to it that nothing else reads them.
"""

from __future__ import annotations

import numpy as np

from ..backends.base import Array, Backend
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Activation

RANGES = {
    "uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
    "uint4": (0, 15), "int4": (-8, 7), "uint2": (0, 3), "int2": (-2, 1), "int32": (-(2**31), 2**31 - 1),
}  # fmt: skip
OUTPUT_TYPES = {  # TensorProto's
    0: "uint8", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint4", 22: "int4", 25: "uint2", 26: "int2",
}  # fmt: skip
FLOAT_TYPES = (0, 1, 10, 11, 16)
QUANTISE_OTHERWISE = "quantise to integers, per tensor or per channel"


@register("QuantizeLinear")
def quantize_linear(node: Site, axis: int = 1, saturate: int = 1, block_size: int = 0, output_dtype: int = 0,
                    precision: int = 0) -> Activation:  # fmt: skip
    """round(x / scale) + zero point, saturated to the type's range; halves go to the even integer.

    ``saturate`` concerns 8-bit floats only. At a zero point that is the type's minimum it is a ReLU as well.
    """
    low, high = _range(node, output_dtype, block_size)
    if any(node.variable[1:]) or node.variable[:1] not in ((), (0,)):
        raise Unsupported("its scale or zero point depends on the data", QUANTISE_OTHERWISE)

    def function(xp: Backend, operands: Operands) -> Array:
        levels = xp.round(operands.value(0) / _grid(xp, operands, 1, axis))
        if node.has(2):
            levels = levels + _grid(xp, operands, 2, axis)
        return saturated(xp, levels, low, high)

    return Activation(function, keeps_sign=False)  # of the integers


@register("DequantizeLinear")
def dequantize_linear(node: Site, axis: int = 1, block_size: int = 0, output_dtype: int = 0) -> Activation:
    """scale · (q - zero point), per tensor or along an axis."""
    low, _ = _range(node, 0, block_size)
    if node.variable[:1] not in ((), (0,)):
        raise Unsupported("the scale of a constant depends on the data", QUANTISE_OTHERWISE)
    if output_dtype not in FLOAT_TYPES:
        raise Unsupported("dequantises to a type that is not a float", QUANTISE_OTHERWISE)
    zero = node.constant(2) if node.has(2) else None

    def function(xp: Backend, operands: Operands) -> Array:
        x, scale = operands.value(0), _grid(xp, operands, 1, axis)
        return (x - _grid(xp, operands, 2, axis)) * scale if node.has(2) else x * scale

    lowest = zero is not None and bool((zero.astype(np.float64) == low).all())
    return Activation(function, nonnegative=lowest and _positive(node.constant(1)), keeps_sign=False)


@register("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Site) -> Activation:
    """To uint8, with the scale and the zero point at which the whole batch, and 0, just fit (outputs 2 and 3)."""

    def grid(xp: Backend, x: Array) -> tuple[Array, Array]:
        top, bottom = xp.maximum(xp.largest(x), 0.0), -xp.maximum(xp.largest(-x), 0.0)
        width = (top - bottom) / 255.0
        scale = xp.where(width > 0, width, xp.ones_like(width))
        return scale, saturated(xp, xp.round(-bottom / scale), 0, 255)

    def function(xp: Backend, operands: Operands) -> Array:
        x = operands.value(0)
        scale, zero = grid(xp, x)
        return saturated(xp, xp.round(x / scale) + zero, 0, 255)

    return Activation(
        function, keeps_sign=False, numbers=lambda xp, operands: list(grid(xp, operands.value(0))), batchwise=False
    )


def saturated(xp: Backend, levels: Array, low: int, high: int) -> Array:
    """Clipped to a type's range."""
    return xp.minimum(xp.maximum(levels, float(low)), float(high))


def _range(node: Site, output_dtype: int, block_size: int) -> tuple[int, int]:
    """The integers of the quantised type.

    Raises:
        Unsupported: it is no integer type, or scales belong to blocks.
    """
    if block_size:
        raise Unsupported("quantised in blocks", QUANTISE_OTHERWISE)
    zero = node.constant(2) if node.has(2) else None
    kind = OUTPUT_TYPES.get(output_dtype, "a float") if zero is None else zero.dtype.name
    if kind not in RANGES:
        raise Unsupported("quantised to floats of few bits", QUANTISE_OTHERWISE)
    return RANGES[kind]


def _positive(scale: np.ndarray | None) -> bool:
    return scale is not None and bool((scale > 0).all())


def _grid(xp: Backend, operands: Operands, position: int, axis: int) -> Array:
    """Scale or zero point, in a shape that broadcasts; one that the data decides is a scalar."""
    known = operands.constant(position)
    if known is None:
        return operands.value(position)
    number = np.asarray(known).astype(np.float64)
    rank = len(operands.shape(0))
    shape = () if number.size == 1 else (-1, *(1,) * (rank - 1 - axis % rank))
    return xp.asarray(number.reshape(shape))
