"""Cut what stands behind the logit: the explanation starts at the value before it."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes

from ...errors import TargetError
from ...text import clean
from ..graph import label

HEADS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "ZipMap", "Normalizer", "ArrayFeatureExtractor")
TAILS = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout")


def cut(model: ir.Model, output: str | None, source: str) -> tuple[ir.Value, list[str]]:
    """Make the logit the model's only output: the tensor before the head, if there is one.

    Args:
        output: name of the output to explain; the first one by default.

    Returns:
        The explained tensor, and notes on the heads that were cut off.

    Raises:
        TargetError: no such output.
    """
    names = [value.name for value in model.graph.outputs]
    if output is not None and output not in names:
        raise TargetError(f"{source}: no output {clean(output)!r}; it has {', '.join(clean(n or '') for n in names)}")
    chosen = value = model.graph.outputs[names.index(output) if output is not None else 0]
    notes: list[str] = []
    while (node := _head_above(value)) is not None:
        notes.append(f"{node.op_type} {label(node)} is a head: cut, the explanation starts before it")
        data = 1 if node.op_type == "ArrayFeatureExtractor" else 0  # that one looks up what belongs to an index
        value = node.inputs[data] or chosen
    model.graph.outputs[:] = [value]
    passes.RemoveUnusedNodesPass()(model)
    return value, notes


def _head_above(value: ir.Value) -> ir.Node | None:
    """The head that ends in this tensor, maybe behind nodes that only rename axes."""
    node = value.producer()
    while node is not None and node.op_type in TAILS and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type in HEADS else None
