"""Cut what stands behind the logit: the explanation starts at the value before it."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes

from ..graph import label
from .fused import MICROSOFT

QUANTIZED = ("QLinearSoftmax", "QLinearSigmoid")
HEADS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "ZipMap", "Normalizer", "ArrayFeatureExtractor", *QUANTIZED)
TAILS = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout",
         "QuantizeLinear", "DequantizeLinear")  # fmt: skip


def expose(model: ir.Model) -> None:
    """Give what a quantised head reads, integers, as the numbers that they stand for, too: the logits."""
    for node in list(model.graph):
        if node.op_type in QUANTIZED and node.domain == MICROSOFT:
            logits = ir.node(
                "DequantizeLinear", [v for v in node.inputs[:3] if v is not None], name=f"{label(node)}/logits"
            )
            value, source = logits.outputs[0], node.inputs[0]
            value.name, value.type = f"{node.outputs[0].name}/logits", ir.TensorType(ir.DataType.FLOAT)
            value.shape = source.shape if source is not None else None
            model.graph.insert_before(node, logits)


def cut(model: ir.Model, chosen: ir.Value) -> tuple[ir.Value, list[str]]:
    """Make the logit the model's only output: of the chosen tensor, the one before the head, if there is one.

    Returns:
        The explained tensor, and notes on the heads that were cut off.
    """
    value = chosen
    notes: list[str] = []
    while (node := _head_above(value)) is not None:
        notes.append(f"{node.op_type} {label(node)} is a head: cut, the explanation starts before it")
        value = _logits(node) or chosen
    model.graph.outputs[:] = [value]
    passes.RemoveUnusedNodesPass()(model)
    return value, notes


def _logits(head: ir.Node) -> ir.Value | None:
    """What the head reads, as floats."""
    value = head.inputs[1 if head.op_type == "ArrayFeatureExtractor" else 0]  # that one looks up names by index
    if value is None or head.op_type not in QUANTIZED:
        return value
    return next(u.node.outputs[0] for u in value.uses() if u.node.name == f"{label(head)}/logits")


def _head_above(value: ir.Value) -> ir.Node | None:
    """The head that ends in this tensor, maybe behind nodes that only rename axes."""
    node = value.producer()
    while node is not None and node.op_type in TAILS and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type in HEADS else None
