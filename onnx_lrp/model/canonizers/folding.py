"""Compute what does not depend on the data."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from ..evaluation import evaluable, evaluate_node
from ..graph import FLOATS, array


class FoldConstants(InPlacePass):
    """Evaluate whatever depends on constants or static shapes only, in float64 where it is about floats."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.folded = 0

    @property
    def notes(self) -> list[str]:
        """How many nodes are gone: there may be thousands."""
        nodes = "1 node that depends" if self.folded == 1 else f"{self.folded} nodes that depend"
        return [f"{nodes} on constants and shapes only, computed beforehand"] if self.folded else []

    def call(self, model: ir.Model) -> PassResult:
        """Fold, in topological order."""
        modified = False
        for node in list(model.graph):
            values = self._inputs(node)
            if values is not None and evaluable(node, self.opset):
                modified = True
                self.folded += 1
                self._replace(model, node, evaluate_node(node, values, self.opset))
        return PassResult(model, modified)

    def _inputs(self, node: ir.Node) -> list[np.ndarray | None] | None:
        """The node's inputs if all of them are known."""
        if node.op_type in ("Shape", "Size", "EyeLike") and node.inputs[0] is not None and _static(node.inputs[0]):
            return [np.broadcast_to(np.float32(0), node.inputs[0].shape.numpy())]  # type: ignore[union-attr]
        values = [None if value is None else array(value) for value in node.inputs]
        like = node.inputs[1] if node.op_type == "CastLike" else None
        if like is not None and values[1] is None and like.dtype is not None and like.dtype in FLOATS:
            values[1] = np.zeros(())  # all floats are computed in one precision
        known = all(v is not None or given is None for v, given in zip(values, node.inputs))
        return [v if v is None or v.dtype.kind != "f" else v.astype(np.float64) for v in values] if known else None

    @staticmethod
    def _replace(model: ir.Model, node: ir.Node, results: list[np.ndarray]) -> None:
        for value, result in zip(node.outputs, results):
            if value.uses() or value.is_graph_output():
                new = ir.val(f"{value.name}", const_value=ir.Tensor(result, name=value.name))
                ir.convenience.replace_all_uses_with(value, new)
                value.name = f"{value.name}/folded"
                model.graph.register_initializer(new)
        node.resize_inputs(0)  # so that what it read (by CastLike, by Shape) has one reader less
        model.graph.remove(node, safe=False)


def _static(value: ir.Value) -> bool:
    return value.shape is not None and all(isinstance(d, int) for d in value.shape)
