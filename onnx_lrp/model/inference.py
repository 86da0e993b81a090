"""Shape inference by onnx, on a message without large weights: of these, only types and shapes matter."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import onnx
import onnx_ir as ir

from .validation import check_sizes

_SMALL = 1024  # elements of what may be a shape, an axis or a scale
_READ_VALUES = ("Shape", "Size", "Range", "NonZero")


def light_message(model: ir.Model) -> onnx.ModelProto:
    """The model as a message whose large weights are inputs; meanwhile, no other thread may read them."""
    graph, declared = model.graph, list(model.graph.inputs)
    large = [v for v in graph.initializers.values() if v.const_value is not None and v.const_value.size > _SMALL]
    tensors = [value.const_value for value in large]
    try:
        for value, tensor in zip(large, tensors):
            assert tensor is not None
            assert value.name is not None
            value.shape, value.type = ir.Shape(tensor.shape.numpy()), ir.TensorType(tensor.dtype)
            del graph.initializers[value.name]
            value.const_value = None
        given = set(declared)
        graph.inputs.extend(value for value in large if value not in given)
        return ir.to_proto(model)
    finally:
        graph.inputs[:] = declared
        for value, tensor in zip(large, tensors):
            value.const_value = tensor
            graph.register_initializer(value)


def lightened(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same of a message, without parsing it; a size of -1 is an open one."""
    light, graph = onnx.ModelProto(ir_version=proto.ir_version), proto.graph
    light.opset_import.extend(proto.opset_import)
    light.functions.extend(proto.functions)
    light.graph.name = graph.name
    light.graph.node.extend(graph.node)
    stored = {tensor.name for tensor in graph.initializer}
    light.graph.input.extend(value for value in graph.input if value.name not in stored)
    for tensor in graph.initializer:
        if math.prod(tensor.dims) > _SMALL:
            light.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        else:
            light.graph.initializer.append(tensor)
    light.graph.output.extend(graph.output)
    light.graph.value_info.extend(graph.value_info)
    for value in (*light.graph.input, *light.graph.output, *light.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 0:
                dim.ClearField("dim_value")
    return light


def infer(model: ir.Model, source: str, message: onnx.ModelProto | None = None) -> None:
    """Note what shapes and types onnx finds; a model keeps what it says itself where nothing is found.

    Sizes are checked before values are propagated, too, because that would compute what is absurdly large.

    Args:
        model: the model.
        source: what to call it in messages.
        message: the same as a light message, if there is one already.

    Raises:
        InvalidModelError: a tensor that no machine could hold.
    """
    message = light_message(model) if message is None else message
    inferred = message
    for values in (False, True) if computes_sizes(model) else (False,):
        with contextlib.suppress(Exception):  # inference fails on custom ops, which the check lists
            inferred = onnx.shape_inference.infer_shapes(message, data_prop=values)
        check_sizes(inferred.graph, source)
    for graph, found in _pairs(model.graph, inferred.graph):
        named = {info.name: info.type.tensor_type for info in (*found.value_info, *found.output)}
        for value in (*graph.outputs, *(output for node in graph for output in node.outputs)):
            if value.name in named:
                _note(value, named[value.name])


def computes_sizes(model: ir.Model) -> bool:
    """Whether anything in the model is computed from shapes."""
    return any(node.op_type in _READ_VALUES for graph in model.graphs() for node in graph)


def _pairs(graph: ir.Graph, message: onnx.GraphProto) -> Iterator[tuple[ir.Graph, onnx.GraphProto]]:
    """A graph and what was found about it, and the same for those inside."""
    yield graph, message
    holders = {node.outputs[0].name: node for node in graph if any(True for _ in _graphs(node))}
    for found in message.node if holders else ():
        holder = holders.get(found.output[0]) if found.output else None
        for name, inner in _graphs(holder) if holder is not None else ():
            for attribute in found.attribute:
                if attribute.name == name:
                    yield from _pairs(inner, attribute.g)


def _graphs(node: ir.Node) -> Iterator[tuple[str, ir.Graph]]:
    for name, attribute in node.attributes.items():
        if attribute.type == ir.AttributeType.GRAPH:
            yield name, attribute.as_graph()


def _note(value: ir.Value, found: onnx.TypeProto.Tensor) -> None:
    if found.HasField("shape"):
        sizes = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in found.shape.dim]
        if value.shape is None or [_size(d) for d in value.shape] != sizes:
            value.shape = ir.Shape(sizes)
    if found.elem_type and value.dtype != found.elem_type:
        value.dtype = ir.DataType(found.elem_type)


def _size(dim: int | ir.SymbolicDim) -> int | str | None:
    return dim if isinstance(dim, int) else dim.value
