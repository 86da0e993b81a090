"""Leave integers only between a QuantizeLinear and the DequantizeLinear right behind it.

Nodes that only move values commute with DequantizeLinear: DQ(Route(q)) = Route(DQ(q)). So a MaxPool, Reshape or Concat
of integers becomes one of the numbers that they stand for, and every role keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from ...ops import Unsupported
from ..dependence import SHAPE_READERS
from ..graph import REFUSAL, array, attributes, label

MOVERS = {
    "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "GlobalMaxPool", "Identity", "MaxPool", "Pad",
    "ReduceMax", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip


class Dequantize(InPlacePass):
    """Move every DequantizeLinear up through the nodes that move values, and refuse what else reads integers."""

    def call(self, model: ir.Model) -> PassResult:
        """From the last node to the first."""
        modified = False
        for node in list(reversed(model.graph)):
            behind = self._behind(node)
            if behind and node.op_type in MOVERS and attributes(node).get("mode", "nearest") != "linear":
                self._lift(model, node, behind)
                modified = True
        self._refuse(model.graph)
        return PassResult(model, modified)

    @staticmethod
    def _behind(node: ir.Node) -> list[ir.Node]:
        """The DequantizeLinear nodes that alone read a node's outputs, all with one scale; else none."""
        uses = [use for value in node.outputs for use in value.uses()]
        found = list(dict.fromkeys(use.node for use in uses))
        plain = all(u.idx == 0 and u.node.op_type == "DequantizeLinear" and _grid(u.node) is not None for u in uses)
        if not plain or any(value.is_graph_output() for value in node.outputs):
            return []
        return found if len({_grid(user) for user in found}) == 1 else []

    @staticmethod
    def _lift(model: ir.Model, node: ir.Node, behind: Sequence[ir.Node]) -> None:
        graph, first = model.graph, behind[0]
        for i in range(len(node.inputs)) if node.op_type == "Concat" else (0,):
            before = ir.node("DequantizeLinear", [node.inputs[i], *first.inputs[1:]], name=f"{label(node)}/real{i}")
            before.outputs[0].name = f"{node.outputs[0].name}/real{i}"
            graph.insert_before(node, before)
            node.replace_input_with(i, before.outputs[0])
        if node.op_type == "Pad" and attributes(node).get("mode", "constant") == "constant":
            _fill(model, node, first)
        for user in behind:
            moved = user.inputs[0]
            assert moved is not None
            name, user.outputs[0].name = user.outputs[0].name, f"{user.outputs[0].name}/lifted"
            moved.name, moved.type = name, user.outputs[0].type or ir.TensorType(ir.DataType.FLOAT)
            ir.convenience.replace_all_uses_with(user.outputs[0], moved, replace_graph_outputs=True)
            graph.remove(user, safe=True)

    @staticmethod
    def _refuse(graph: ir.Graph) -> None:
        """Note on every node that computes with integers that it cannot be explained."""
        quantized: set[ir.Value | None] = set()
        for node in graph:
            blind = SHAPE_READERS.get(node.op_type, ())
            reads = any(value in quantized and i not in blind for i, value in enumerate(node.inputs))
            if reads and node.op_type != "DequantizeLinear":
                refusal = Unsupported("computes with quantised integers or their scale", "quantise in the QDQ format")
                node.meta.setdefault(REFUSAL, refusal)
            if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear"):
                quantized.update(node.outputs)


def _grid(node: ir.Node) -> tuple[float, float] | None:
    """Scale and zero point if they are constant numbers."""
    scale, zero = (array(node.inputs[i]) if len(node.inputs) > i else np.zeros(1) for i in (1, 2))
    if scale is None or zero is None or scale.size != 1 or zero.size != 1:
        return None
    return float(scale.astype(np.float64).reshape(())), float(zero.astype(np.float64).reshape(()))


def _fill(model: ir.Model, node: ir.Node, first: ir.Node) -> None:
    """What a Pad fills in, as the number that the integer stands for (an integer 0 is not 0 in general)."""
    grid, given = _grid(first), array(node.inputs[2]) if len(node.inputs) > 2 else None
    assert grid is not None
    level = 0.0 if given is None else float(given.astype(np.float64).reshape(-1)[0])
    name = f"{label(node)}/fill"
    number = np.asarray(grid[0] * (level - grid[1]))
    value = ir.val(name, const_value=ir.Tensor(number, name=name))
    model.graph.register_initializer(value)
    node.resize_inputs(max(len(node.inputs), 3))
    node.replace_input_with(2, value)
