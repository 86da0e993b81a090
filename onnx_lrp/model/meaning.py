"""What a refused node is part of, in the words of whoever wrote the network rather than of the exporter."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .graph import array

_BETWEEN = ("Add", "Cast", "Clip", "Div", "Expand", "Identity", "Max", "Mul", "Reshape", "Squeeze", "Unsqueeze")
MEASURES = {
    "deviation": "a standard deviation",
    "root": "a root mean square",
    "length": "a length, as in a cosine similarity",
}
DIVISIONS = {
    "deviation": "divided by a standard deviation, as in a LayerNorm",
    "root": "divided by a root mean square, as in an RMSNorm",
    "length": "divided by its length, as in a cosine similarity",
}


def meaning(node: ir.Node) -> str | None:
    """What the node is, or is part of; None if that is not known."""
    if node.op_type == "InstanceNormalization":
        return "a GroupNorm" if _made_by(node.inputs[0], "Reshape") is not None else None
    if node.op_type == "Div" and len(node.inputs) == 2:
        return DIVISIONS.get(_measure(node.inputs[1]) or "")
    if node.op_type in ("Mul", "Pow"):  # a square on its way into a root, or a quotient as a product
        root = _root_behind(node.outputs[0])
        if root is not None:
            return MEASURES.get(_measure(root) or "")
        inverse = next((r for r in (_made_by(v, "Reciprocal") for v in node.inputs) if r is not None), None)
        return DIVISIONS.get(_measure(inverse.inputs[0]) or "") if inverse is not None else None
    return MEASURES.get(_measure(node.outputs[0]) or "")


def _made_by(value: ir.Value | None, *ops: str) -> ir.Node | None:
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in ops else None


def _followed(value: ir.Value | None) -> ir.Node | None:
    """What makes a value, but for constants that are added, multiplied or that bound it, and other shapes of it."""
    node = value.producer() if value is not None else None
    while node is not None and node.op_type in _BETWEEN:
        data = [v for v in node.inputs if v is not None and array(v) is None]
        if node.op_type in ("Add", "Div", "Max", "Mul") and len(data) != 1:
            return node
        node = data[0].producer() if data else None
    return node


def _measure(value: ir.Value | None) -> str | None:
    """Which measure of the data a value is: a deviation, a root mean square or a length."""
    node = _followed(value)
    if node is not None and node.op_type == "Reciprocal":
        node = _followed(node.inputs[0])
    if node is None:
        return None
    if node.op_type == "ReduceL2":
        return "length"
    if node.op_type != "Sqrt" and not (node.op_type == "Pow" and _exponent(node) in (0.5, -0.5)):
        return None
    return _total(_followed(node.inputs[0]))


def _total(total: ir.Node | None) -> str | None:
    """Which measure the root of a sum or mean is; of two lengths, the product is one."""
    if total is not None and total.op_type == "Mul":
        return "length" if all(_total(_followed(value)) == "length" for value in total.inputs) else None
    if total is None or total.op_type not in ("ReduceMean", "ReduceSum", "ReduceSumSquare", "GlobalAveragePool"):
        return None
    base = total.inputs[0] if total.op_type == "ReduceSumSquare" else _squared(_followed(total.inputs[0]))
    centred = _made_by(base, "Sub")
    if centred is not None and _made_by(centred.inputs[1], "ReduceMean", "GlobalAveragePool") is not None:
        return "deviation"
    return None if base is None else "root" if total.op_type in ("ReduceMean", "GlobalAveragePool") else "length"


def _squared(node: ir.Node | None) -> ir.Value | None:
    """What a node squares."""
    if node is None:
        return None
    twice = node.op_type == "Mul" and node.inputs[0] is node.inputs[1]
    return node.inputs[0] if twice or (node.op_type == "Pow" and _exponent(node) == 2) else None


def _exponent(node: ir.Node) -> float | None:
    data = array(node.inputs[1]) if len(node.inputs) > 1 else None
    return float(data.reshape(-1)[0]) if data is not None and np.size(data) == 1 else None


def _root_behind(value: ir.Value) -> ir.Value | None:
    """The root that a value goes into, if that is all that is done with it."""
    for _ in range(8):
        users = [use.node for use in value.uses()]
        if len(users) != 1 or users[0].op_type not in (*_BETWEEN, "ReduceMean", "ReduceSum", "Sqrt", "Pow"):
            return None
        value = users[0].outputs[0]
        if users[0].op_type in ("Sqrt", "Pow"):
            return value
    return None
