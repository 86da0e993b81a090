"""Vectors that are multiplied, written as matrices of one row or column.

onnxruntime 1.32 fuses a Transpose into the MatMul behind it whatever that multiplies by, and reads a vector there the
wrong way. What is appended to a model may bring a Transpose there, and so change the source's own answer.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..model.evaluation import opset_of
from ..model.graph import array, label, new_constant


def as_matrices(model: ir.Model) -> None:
    """Replace each MatMul by a constant vector, in place; its output keeps its name and shape."""
    for node in list(model.graph):
        if node.op_type == "MatMul" and node.domain in ("", "ai.onnx"):
            for position, axis in ((1, -1), (0, -2)):
                vector, other = array(node.inputs[position]), node.inputs[1 - position]
                rank = None if other is None or other.shape is None else len(other.shape)
                if vector is None or vector.ndim != 1 or rank == 1:
                    continue
                if rank is not None:  # before opset 11, Squeeze counts from the front only
                    _widen(model, node, position, rank + axis)
                elif opset_of(model) >= 11:
                    _widen(model, node, position, axis)


def _widen(model: ir.Model, node: ir.Node, position: int, axis: int) -> None:
    """The vector at this position as a matrix; the axis of size 1 goes again behind the product."""
    value = node.inputs[position]
    assert value is not None
    assert value.const_value is not None
    stored = value.const_value.numpy()
    matrix = new_constant(model.graph, stored.reshape((-1, 1) if position else (1, -1)), f"{value.name}/matrix")
    node.replace_input_with(position, matrix)
    old = node.outputs[0]
    axes = new_constant(model.graph, np.array([axis]), "vector/axis") if opset_of(model) >= 13 else None
    given = {} if axes is not None else {"axes": [axis]}
    squeeze = ir.node("Squeeze", [old, *([axes] if axes is not None else [])], given, name=f"{label(node)}/vector")
    new = squeeze.outputs[0]
    ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    squeeze.replace_input_with(0, old)
    new.name, old.name = old.name, f"{old.name}/matrix"
    new.shape, new.type, old.shape = old.shape, old.type, None
    model.graph.insert_after(node, squeeze)
