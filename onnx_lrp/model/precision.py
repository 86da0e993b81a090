"""A model in one precision: float32, which onnxruntime has kernels for, or float64, in which differences are judged."""

from __future__ import annotations

import onnx_ir as ir

from .canonizers.lowering import lower
from .graph import FLOATS


def to_float32(model: ir.Model) -> ir.Model:
    """A copy in which every float tensor is float32: what onnxruntime has kernels for, and no less than float32.

    Activations that a canonizer found and the model's opset lacks are written out again.
    """
    return _with_floats(model, ir.DataType.FLOAT)


def to_float64(model: ir.Model) -> ir.Model:
    """A copy in which every float tensor is float64: for onnx's reference implementation only."""
    return _with_floats(model, ir.DataType.DOUBLE)


def _with_floats(model: ir.Model, kind: ir.DataType) -> ir.Model:
    copy, dtype = model.clone(), kind.numpy()
    copy.ir_version = max(copy.ir_version, 4)  # before, initializers had to be listed as inputs
    for value in copy.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.dtype in FLOATS and tensor.dtype != kind:
            value.const_value = ir.Tensor(tensor.numpy().astype(dtype, copy=False), name=value.name)
            value.type = ir.TensorType(kind)
    for node in copy.graph:
        to = node.attributes.get("to")
        if node.op_type == "Cast" and to is not None and ir.DataType(to.as_int()) in FLOATS:
            node.attributes["to"] = ir.AttrInt64("to", int(kind))
        fill = node.attributes.get("value")
        if node.op_type == "ConstantOfShape" and fill is not None and fill.as_tensor().dtype in FLOATS:
            node.attributes["value"] = ir.AttrTensor("value", ir.Tensor(fill.as_tensor().numpy().astype(dtype)))
    for value in [*copy.graph.inputs, *(v for node in copy.graph for v in node.outputs)]:
        if value.dtype in FLOATS:
            value.type = ir.TensorType(kind)
    lower(copy)
    return copy
