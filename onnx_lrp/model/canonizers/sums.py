"""A sum over axes that an exporter wrote element by element: x[..., 0] + x[..., 1] + ... is one ReduceSum.

So it has one denominator. PyTorch's exporter writes adaptive average pooling over uneven windows like that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from ..graph import array, attributes, label

Position = dict[int, int]  # axis of the root -> index


@dataclass(frozen=True)
class Element:
    """One summand: the root at one index of each of some axes."""

    root: ir.Value
    position: Position


class JoinSums(InPlacePass):
    """Replace trees of Add whose leaves are all the elements of one tensor along some axes."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.notes: list[str] = []

    def call(self, model: ir.Model) -> PassResult:
        """Look at every Add that no other Add reads alone."""
        for node in list(model.graph):
            if node.op_type == "Add" and node.graph is not None and not _is_inner(node):
                self._join(model, node)
        return PassResult(model, bool(self.notes))

    def _join(self, model: ir.Model, node: ir.Node) -> None:
        leaves = [_element(value) for value in _leaves(node)]
        axes = _summed(leaves) if len(leaves) > 2 else None
        if axes is None:
            return
        old = node.outputs[0]
        joined = self._reduction(model, leaves[0].root, axes, label(node))
        joined.outputs[0].shape, joined.outputs[0].type = old.shape, old.type
        model.graph.insert_before(node, joined)
        name, old.name = old.name, f"{old.name}/joined"
        joined.outputs[0].name = name
        ir.convenience.replace_all_uses_with(old, joined.outputs[0], replace_graph_outputs=True)
        self.notes.append(f"{len(leaves) - 1} Add nodes up to {label(node)} joined into one ReduceSum")

    def _reduction(self, model: ir.Model, root: ir.Value, axes: list[int], name: str) -> ir.Node:
        if self.opset < 13:
            return ir.node("ReduceSum", [root], {"axes": axes, "keepdims": 0}, name=name)
        constant = ir.val(f"{name}/axes", const_value=ir.Tensor(np.array(axes, np.int64), name=f"{name}/axes"))
        model.graph.register_initializer(constant)
        return ir.node("ReduceSum", [root, constant], {"keepdims": 0}, name=name)


def _is_inner(node: ir.Node) -> bool:
    """Whether its only reader is another Add."""
    uses = node.outputs[0].uses()
    return len(uses) == 1 and not node.outputs[0].is_graph_output() and next(iter(uses)).node.op_type == "Add"


def _leaves(node: ir.Node) -> list[ir.Value]:
    """What a tree of Adds sums."""
    found: list[ir.Value] = []
    stack = [value for value in node.inputs if value is not None]
    while stack:
        value = stack.pop()
        maker = value.producer()
        if maker is not None and maker.op_type == "Add" and _is_inner(maker):
            stack.extend(v for v in maker.inputs if v is not None)
        else:
            found.append(value)
    return found


def _element(value: ir.Value) -> Element:
    """Where a chain of Gathers with one index each comes from."""
    chain: list[tuple[int, int]] = []
    while (node := value.producer()) is not None and node.op_type == "Gather" and node.inputs[0] is not None:
        index, shape = array(node.inputs[1]), node.inputs[0].shape
        if index is None or index.ndim or shape is None:
            break
        chain.insert(0, (attributes(node).get("axis", 0) % len(shape), int(index)))
        value = node.inputs[0]
    return Element(value, _original_axes(chain, value))


def _original_axes(chain: list[tuple[int, int]], root: ir.Value) -> Position:
    """Each Gather takes its axis out of those that are left."""
    left = list(range(len(root.shape))) if root.shape is not None else []
    position: Position = {}
    for axis, index in chain:
        original = left.pop(axis)
        size = root.shape[original] if root.shape is not None else None
        position[original] = index % size if isinstance(size, int) else index
    return position


def _summed(leaves: list[Element]) -> list[int] | None:
    """The axes along which the leaves are every element of one root, each once."""
    root, axes = leaves[0].root, sorted(leaves[0].position)
    if any(leaf.root is not root or sorted(leaf.position) != axes for leaf in leaves) or not axes or root.shape is None:
        return None
    sizes = [root.shape[axis] for axis in axes]
    places = {tuple(leaf.position[axis] for axis in axes) for leaf in leaves}
    whole = all(isinstance(n, int) for n in sizes) and len(places) == math.prod(sizes)
    return axes if whole and len(leaves) == len(places) else None
