"""Whether onnxruntime takes a graph: it checks attributes, types and shapes, and its verdict is the one that counts."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes

from ..errors import InvalidModelError
from .precision import to_float32
from .runtime import SessionOptions, make_session

_SMALL = 1024  # elements of what may be a shape, an axis or a scale


def require_loadable(model: ir.Model, source: str) -> None:
    """Load a graph as it is written, without its large weights: of these only types and shapes matter.

    What onnxruntime lacks a kernel for on a CPU (a convolution in double precision, say) may run elsewhere.

    Raises:
        InvalidModelError: onnxruntime refuses it.
    """
    if any(value.dtype == ir.DataType.DOUBLE for value in model.graph.inputs):
        model = to_float32(model)
    light = model.clone()
    light.ir_version = max(light.ir_version, 4)  # before, initializers had to be listed as inputs
    for name, value in list(light.graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.size > _SMALL:
            value.shape, value.type = ir.Shape(tensor.shape.numpy()), ir.TensorType(tensor.dtype)
            del light.graph.initializers[name]
            value.const_value = None
            if value not in light.graph.inputs:
                light.graph.inputs.append(value)
    passes.RemoveUnusedNodesPass()(light)
    try:
        make_session(ir.to_proto(light).SerializeToString(), SessionOptions(threads=1, optimized=False), source)
    except InvalidModelError as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
