"""Softmax, LogSoftmax and Sigmoid as exporters take them apart: what they are made of, at the end of a network."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..graph import ancestors, array


def behind_pieces(value: ir.Value) -> ir.Value | None:
    """The logit z, if a tensor is e^z / Σ e^z, z - log Σ e^z or 1 / (1 + e^-z); else None."""
    node = value.producer()
    if node is None or node.op_type not in ("Div", "Mul", "Sub", "Reciprocal"):
        return None
    if node.op_type == "Sub":
        u, logarithm = node.inputs
        return unshifted(u) if _summed(argument_of(logarithm, "Log")) is u and u is not None else None
    if node.op_type == "Mul":
        return next(
            (z for a, b in (node.inputs, node.inputs[::-1]) if (z := _share(a, argument_of(b, "Reciprocal")))), None
        )
    top, bottom = (None, node.inputs[0]) if node.op_type == "Reciprocal" else node.inputs
    if top is None or _is_one(top):
        return _sigmoid(bottom)
    return _share(top, bottom)


def normalises(node: ir.Node) -> bool:
    """Whether a Div divides a tensor by a sum of it, as the probabilities of several binary classifiers are."""
    top, bottom = node.inputs
    if top is None or bottom is None or array(bottom) is not None:
        return False
    makers = ancestors([bottom])
    sums = [n for n in makers if n.op_type in ("ReduceSum", "ReduceL1") and n.inputs[0] is top]
    return bool(sums) and makers <= ancestors([top]) | _behind(sums, makers)


def _behind(sums: list[ir.Node], makers: set[ir.Node]) -> set[ir.Node]:
    """The sums, and what is made of nothing but them and constants."""
    found = set(sums)
    for _ in makers:
        more = {
            n for n in makers - found
            if all(v is None or array(v) is not None or v.producer() in found for v in n.inputs)
        }  # fmt: skip
        if not more:
            break
        found |= more
    return found


def argument_of(value: ir.Value | None, op: str) -> ir.Value | None:
    """What this op makes the tensor of."""
    node = value.producer() if value is not None else None
    return node.inputs[0] if node is not None and node.op_type == op else None


def _summed(value: ir.Value | None) -> ir.Value | None:
    """u, if this is Σ e^u."""
    return argument_of(argument_of(value, "ReduceSum"), "Exp")


def _share(top: ir.Value | None, bottom: ir.Value | None) -> ir.Value | None:
    u = argument_of(top, "Exp")
    return unshifted(u) if u is not None and _summed(bottom) is u else None


def unshifted(u: ir.Value | None) -> ir.Value | None:
    """z of z - max z."""
    node = u.producer() if u is not None else None
    if node is not None and node.op_type == "Sub" and argument_of(node.inputs[1], "ReduceMax") is node.inputs[0]:
        return node.inputs[0]
    return u


def _sigmoid(bottom: ir.Value | None) -> ir.Value | None:
    """z, if this is 1 + e^-z."""
    node = bottom.producer() if bottom is not None else None
    if node is None or node.op_type != "Add":
        return None
    powers = [u for a, b in (node.inputs, node.inputs[::-1]) if _is_one(a) and (u := argument_of(b, "Exp")) is not None]
    return argument_of(powers[0], "Neg") if powers else None


def _is_one(value: ir.Value | None) -> bool:
    known = array(value)
    return known is not None and bool(np.all(known == 1))
