"""Masks in front of a Softmax made finite, under a profile: of -inf no multiple is a number.

A mask adds -inf (or the lowest float, which a stabilizer cannot be divided into) where nothing is to be looked at. With
a very negative number in its place the Softmax is the same, and the sum is a tensor like any other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from ..dependence import Dependence, dependences
from ..evaluation import opset_of
from ..graph import array, new_constant

LOWEST = -1e20
LOWEST_HALF = -1e4  # in 16 bits
THROUGH = ("Reshape", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Identity", "Mul", "Div", "Clip", "Max", "Expand",
           "Dropout")  # fmt: skip


def make_finite(model: ir.Model) -> None:
    """Bound every mask from below, and rename what it is added to, since that is no tensor of the source any more."""
    kinds, finite = dependences(model.graph), dict[ir.Value, ir.Value]()
    for node in list(_masking(model.graph)):
        if kinds[node.outputs[0]] is not Dependence.VARIABLE:
            continue
        positions = (1, 2) if node.op_type == "Where" else (0, 1)
        for position in positions:
            value = node.inputs[position]
            if value is None or kinds.get(value, Dependence.CONSTANT) is Dependence.VARIABLE or _is_integer(value):
                continue
            if value not in finite:
                finite[value] = _bounded(model, value)
            bounded = finite[value]
            if bounded is not value:
                node.replace_input_with(position, bounded)
                node.outputs[0].name = f"{node.outputs[0].name}/finite"


def _masking(graph: ir.Graph) -> Iterator[ir.Node]:
    """The sums and choices that are made before a Softmax, without a layer between."""
    seen: set[ir.Node] = set()
    stack = [node.inputs[0] for node in graph if node.op_type == "Softmax"]
    while stack:
        value = stack.pop()
        node = value.producer() if value is not None else None
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.op_type in ("Add", "Where"):
            yield node
            stack.extend(node.inputs)
        elif node.op_type in THROUGH:
            stack.append(node.inputs[0])


def _bounded(model: ir.Model, value: ir.Value) -> ir.Value:
    half = value.dtype is not None and value.dtype.itemsize == 2
    lowest, known = LOWEST_HALF if half else LOWEST, array(value)
    if known is not None:
        if known.size == 0 or known.min() >= lowest:
            return value
        return new_constant(model.graph, np.maximum(known, lowest).astype(known.dtype), f"{value.name}/bounded")
    dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
    if opset_of(model) < 11:
        clip = ir.node("Clip", [value], {"min": lowest})
    else:
        bound = new_constant(model.graph, np.array(lowest, dtype), f"{value.name}/lowest")
        clip = ir.node("Clip", [value, bound])
    clip.outputs[0].name = f"{value.name}/bounded"
    clip.outputs[0].type, clip.outputs[0].shape = value.type, value.shape
    maker = value.producer()
    if maker is not None:
        model.graph.insert_after(maker, clip)
    else:
        model.graph.insert_before(model.graph[0], clip)
    return clip.outputs[0]


def _is_integer(value: ir.Value) -> bool:
    return value.dtype is not None and not value.dtype.is_floating_point()
