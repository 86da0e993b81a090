"""Mark the arithmetic whose results are nothing but ids that are looked up."""

from __future__ import annotations

import onnx_ir as ir

from ..dependence import SHAPE_READERS
from ..graph import HINT

ARITHMETIC = ("Add", "Sub", "Mul", "Cast", "Clip")
LOOKUPS = {"Gather": (1,), "OneHot": (0,), "Equal": (0, 1), "OneHotEncoder": (0,)}  # which operands are ids
MOVING = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Concat", "Expand",
          "Tile", "Gather", "Cast")  # fmt: skip
ID_TYPES = (ir.DataType.INT32, ir.DataType.INT64)


def mark_addresses(model: ir.Model) -> None:
    """From the last node to the first: an address is a tensor that is used as nothing else."""
    addresses: set[ir.Value] = set()
    for node in reversed(list(model.graph)):
        if node.op_type in (*ARITHMETIC, *MOVING) and all(_is_address(value, addresses) for value in node.outputs):
            addresses.update(node.outputs)
            if node.op_type in ARITHMETIC:
                node.meta[HINT] = "address"


def _is_address(value: ir.Value, addresses: set[ir.Value]) -> bool:
    if not value.uses() or value.is_graph_output() or value.dtype not in (*ID_TYPES, None):
        return False
    read = (LOOKUPS, SHAPE_READERS)
    return all(
        any(use.idx in ops.get(use.node.op_type, ()) for ops in read) or _passes(use.node, addresses)
        for use in value.uses()
    )


def _passes(node: ir.Node, addresses: set[ir.Value]) -> bool:
    return all(value in addresses for value in node.outputs)
