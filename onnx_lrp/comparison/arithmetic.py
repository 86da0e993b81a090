"""In which arithmetic a model was explained, where that is not its own."""

from __future__ import annotations

import re

import onnx_ir as ir

QUANTISING = re.compile(
    r"^QLinear|^QGemm$|^QAttention$|Integer(ToFloat)?$|^(Dynamic)?QuantizeLinear$|^DequantizeLinear$"
)


def arithmetic(model: ir.Model) -> str:
    """What to add to the type that an explanation is computed in: nothing for a model of floats.

    LRP has rules for real numbers. A quantised model is explained as the network that its integers stand for, and one
    of 16-bit floats with its weights as they are, but its sums in more digits.
    """
    if any(QUANTISING.search(node.op_type) for node in model.graph):
        return ": its integers as the numbers they stand for, the dequantised network"
    if any(value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) for value in model.graph.initializers.values()):
        return ", with its weights in 16 bits"
    return ""
