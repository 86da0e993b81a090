"""How far apart two correct runs of one model may be: a runtime that fuses or orders differently rounds differently."""

from __future__ import annotations

import onnx_ir as ir

from .canonizers.dequantizing import MOVERS
from .graph import array

SINGLE, HALF = 1e-3, 2e-2  # of the largest output
LEVELS = 2  # of a quantised tensor: one level where a value lies between two, one more where that happens upstream


def tolerance(model: ir.Model, largest: float) -> float:
    """The largest difference that rounding explains, for outputs up to ``largest``.

    A quantised output may be off by whole levels. Where the output itself is not quantised, but something before it,
    its levels are taken to be those of 8 bits, as many as its own size has.
    """
    relative = HALF if _is_half(model) else max(SINGLE, LEVELS / 255 if _is_quantized(model) else 0.0)
    return max(relative * largest, LEVELS * _level(model.graph.outputs[0])) + 1e-6


def _level(output: ir.Value) -> float:
    """The scale that the output was quantised with last, 0 if it was computed in floats since."""
    stack, largest = [output], 0.0
    while stack:
        node = stack.pop().producer()
        if node is None:
            continue
        if node.op_type == "QuantizeLinear":
            scale = array(node.inputs[1])
            largest = max(largest, 0.0 if scale is None else float(scale.max()))
        elif node.op_type == "DequantizeLinear" or node.op_type in MOVERS:
            stack += [value for value in node.inputs if value is not None]
    return largest


def _is_quantized(model: ir.Model) -> bool:
    return any(node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") for node in model.graph)


def _is_half(model: ir.Model) -> bool:
    """Whether the model computes in 16-bit floats anywhere."""
    given = [*model.graph.inputs, *model.graph.initializers.values()]
    made = [value for node in model.graph for value in node.outputs]
    return any(value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) for value in given + made)
