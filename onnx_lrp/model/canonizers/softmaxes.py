"""Take e^u / Σ e^u inside a network for the Softmax that it is, under a profile."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes import common as passes

from ..graph import WRITTEN, array, attributes, dims, label
from .expanding import Builder
from .pieces import argument_of, unshifted


class NameSoftmax(InPlacePass):
    """Put one Softmax in the place of Exp, ReduceSum and Div."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.notes: list[str] = []

    def call(self, model: ir.Model) -> PassResult:
        """Every Div of an Exp by its own sum along one axis."""
        for node in list(model.graph):
            axis = self._axis(node) if node.op_type == "Div" else None
            if axis is None:
                continue
            build = Builder(model, node)
            u = argument_of(node.inputs[0], "Exp")
            result = build.node("Softmax", [unshifted(u)], axis=axis)
            build.made[-1].meta[WRITTEN] = "Exp, ReduceSum and Div"
            self.notes.append(f"Exp, ReduceSum and Div {label(node)} are together Softmax")
            build.replace([result])
        if self.notes:
            passes.RemoveUnusedNodesPass()(model)
        return PassResult(model, bool(self.notes))

    def _axis(self, node: ir.Node) -> int | None:
        """The axis of the sum below, if it is e^u / Σ e^u."""
        top, bottom = node.inputs
        total = bottom.producer() if bottom is not None else None
        if (
            argument_of(top, "Exp") is None
            or total is None
            or total.op_type != "ReduceSum"
            or total.inputs[0] is not top
        ):
            return None
        given = attributes(total)
        known = array(total.inputs[1]) if len(total.inputs) > 1 else None
        axes = given.get("axes") if known is None else known.reshape(-1).tolist()
        sizes = dims(node.outputs[0])
        if not given.get("keepdims", 1) or not axes or len(axes) != 1 or (sizes is None and axes[0] != -1):
            return None
        axis = int(axes[0]) if sizes is None else int(axes[0]) % len(sizes)
        last = axis == -1 or (sizes is not None and axis == len(sizes) - 1)
        return axis if last or self.opset >= 13 else None
