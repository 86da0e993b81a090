"""Merge BatchNormalization, and constant scales and shifts per channel, into the linear layers before them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from ..graph import array, attributes, label
from .affine import Affine, after_linear
from .origins import ORIGIN, Scaled, origin_of

FEW = 2**12  # elements of a weight


class MergeAffine(InPlacePass):
    """Merge BatchNormalization, and constant scales and shifts per channel, into the linear layer before them.

    Exact: with y = s·(Wx + b) + t the layer becomes W' = sW, b' = sb + t in float64, also when Identity, Cast,
    Transpose, Squeeze, Unsqueeze or Reshape nodes stand between the two.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def call(self, model: ir.Model) -> PassResult:
        """Merge behind every linear layer with a constant weight."""
        for node in list(model.graph):
            affine = after_linear(node)
            if affine is not None and affine.merged and _has_a_bias_that_fits(node):
                MERGE[node.op_type](model, node, affine)
                for gone in affine.merged:
                    last = self._bypass(model, gone)
                    self.notes.append(f"{gone.op_type} {label(gone)} merged into {node.op_type} {label(node)}")
                self._rename_between(node, last)
        return PassResult(model, bool(self.notes))

    @staticmethod
    def _bypass(model: ir.Model, node: ir.Node) -> ir.Value:
        """Take an affine node out; the tensor that it made keeps its name (rules, layers and targets go by it)."""
        kept = next(v for v in node.inputs if v is not None and v.const_value is None)
        output = node.outputs[0]
        name, kept_name = output.name, kept.name
        ir.convenience.replace_all_uses_with(output, kept, replace_graph_outputs=True)
        output.name, kept.name = f"{kept_name}/merged", name
        model.graph.remove(node, safe=True)
        return kept

    @staticmethod
    def _rename_between(linear: ir.Node, last: ir.Value) -> None:
        """What stands between the layer and the end of the merged chain holds other values than in the source."""
        node = last.producer()
        while node is not None and node is not linear:
            value = next(v for v in node.inputs if v is not None and v.const_value is None)
            value.name = f"{value.name}/scaled"
            node = value.producer()


def _initializer(model: ir.Model, name: str, data: np.ndarray | ir.LazyTensor) -> ir.Value:
    while name in model.graph.initializers:
        name += "'"
    tensor = ir.Tensor(data) if isinstance(data, np.ndarray) else data
    tensor.name = name
    value = ir.val(name, const_value=tensor)
    model.graph.register_initializer(value)
    return value


def _scale_weight(model: ir.Model, node: ir.Node, gain: np.ndarray) -> None:
    """Multiply a layer's weight by a gain, in float64 when it is read, and note where it came from."""
    base = node.inputs[1]
    assert base is not None
    assert base.const_value is not None

    def product() -> ir.TensorProtocol:
        return ir.Tensor(np.asarray(array(base)).astype(np.float64) * gain)

    lazy = ir.LazyTensor(product, ir.DataType.DOUBLE, ir.Shape(base.const_value.shape.numpy()))
    made = lazy.numpy() if base.const_value.size <= FEW else lazy  # where it costs less to keep it than to make it
    value = _initializer(model, f"{label(node)}/weight", made)
    origin = origin_of(base)
    if not isinstance(origin, Scaled):
        origin = Scaled(base.name or "", np.ones(()))
    value.meta[ORIGIN] = replace(origin, gain=origin.gain * gain)
    node.replace_input_with(1, value)


def _constant(node: ir.Node, position: int) -> np.ndarray | None:
    value = array(node.inputs[position]) if position < len(node.inputs) else None
    return None if value is None else value.astype(np.float64)


def _has_a_bias_that_fits(node: ir.Node) -> bool:
    """Whether there is none, or a convolution's has one number per channel: else the run says what is wrong."""
    bias = _constant(node, 2) if node.op_type.startswith("Conv") else None
    return bias is None or bias.ndim == 1


def _set_bias(model: ir.Model, node: ir.Node, b: np.ndarray) -> None:
    node.resize_inputs(3)
    node.replace_input_with(2, _initializer(model, f"{label(node)}/bias", b))


def _merge_conv(model: ir.Model, node: ir.Node, affine: Affine) -> None:
    w, b = _constant(node, 1), _constant(node, 2)
    assert w is not None
    gain = affine.scale
    if node.op_type == "ConvTranspose":  # (C, O/group, ...): a group's outputs repeat over its inputs
        groups = attributes(node).get("group", 1)
        gain = gain.reshape(groups, 1, -1).repeat(w.shape[0] // groups, 1).reshape(w.shape[:2])
    if affine.scales:
        _scale_weight(model, node, gain.reshape(*gain.shape, *(1,) * (w.ndim - gain.ndim)))
    _set_bias(model, node, affine.shift + (0 if b is None else b * affine.scale))


def _merge_gemm(model: ir.Model, node: ir.Node, affine: Affine) -> None:
    w, b, given = _constant(node, 1), _constant(node, 2), attributes(node)
    assert w is not None
    beta = given.get("beta", 1.0)
    if affine.scales:
        _scale_weight(model, node, affine.scale[:, None] if given.get("transB", 0) else affine.scale)
    _set_bias(model, node, affine.shift + (0 if b is None else beta * b * affine.scale))
    node.attributes["beta"] = ir.AttrFloat32("beta", 1.0)


def _merge_matmul(model: ir.Model, node: ir.Node, affine: Affine) -> None:
    """A MatMul has no bias: an Add right behind it carries it, and the plan takes the two as one layer."""
    w = _constant(node, 1)
    assert w is not None
    if affine.scales:
        _scale_weight(model, node, affine.scale)
    if not affine.shift.any():
        return
    output = node.outputs[0]
    bias = _initializer(model, f"{label(node)}/bias", affine.shift)
    add = ir.node("Add", [output, bias], name=f"{node.name or label(node)}/bias")
    add.outputs[0].name, add.outputs[0].shape, add.outputs[0].type = f"{output.name}/biased", output.shape, output.type
    ir.convenience.replace_all_uses_with(output, add.outputs[0], replace_graph_outputs=True)
    add.replace_input_with(0, output)
    model.graph.insert_after(node, add)


MERGE: dict[str, Callable[[ir.Model, ir.Node, Affine], None]] = {
    "Conv": _merge_conv,
    "ConvTranspose": _merge_conv,
    "Gemm": _merge_gemm,
    "MatMul": _merge_matmul,
}
