"""Ops that the standard itself defines by simpler ones: its own function bodies, as the onnx package has them."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir

from ...ops import Unsupported
from ..graph import USER_NODE, dims
from .expanding import Builder, expands


@expands("", "Attention", "RotaryEmbedding", profile=True)
def by_definition(build: Builder) -> Sequence[ir.Value | None]:
    """The body for this node's attributes, and for the types and ranks of its inputs."""
    body = _body(build)
    function = ir.serde.deserialize_function(body)
    for parameter, given in zip(function.inputs, build.old.inputs):
        if given is not None:
            ir.convenience.replace_all_uses_with(parameter, given)
    outputs, nodes = list(function.outputs), list(function)
    function.outputs.clear()
    function.graph.remove(nodes)
    for node in nodes:
        _adopt(build, node)
    build.adopt([node for node in nodes if node.op_type != "Constant"], [])
    return outputs[: len(build.old.outputs)]


def _body(build: Builder) -> onnx.FunctionProto:
    """What the standard says that the node does.

    Raises:
        Unsupported: it says nothing for this opset, or for inputs of unknown type.
    """
    node = ir.to_proto(build.old)
    assert isinstance(node, onnx.NodeProto)
    try:
        schema = onnx.defs.get_schema(node.op_type, build.opset, "")
        types = [b"" if value is None else _type(value) for value in build.old.inputs]
        found = schema.get_context_dependent_function(node.SerializeToString(), types)  # type: ignore[attr-defined]
    except (onnx.defs.SchemaError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unsupported(
            f"cannot be taken apart: {reason}", "export it as elementary ops, by an older opset"
        ) from None
    body = onnx.FunctionProto()
    body.ParseFromString(found)
    made = {name for part in body.node for name in part.output}
    for name in [name for name in body.output if name not in made]:  # the body names outputs that the node has not
        body.output.remove(name)
    return body


def _type(value: ir.Value) -> bytes:
    sizes = dims(value)
    kind = ir.DataType.FLOAT if value.dtype is None else value.dtype
    return bytes(onnx.helper.make_tensor_type_proto(int(kind), sizes).SerializeToString())


def _adopt(build: Builder, node: ir.Node) -> None:
    """Name a node of the body after the one whose part it is; a Constant becomes an initializer."""
    if node.op_type == "Constant":
        tensor = ir.convenience.get_const_tensor(node.outputs[0])
        assert tensor is not None
        constant = build.constant(tensor.numpy(), node.outputs[0].name or "constant")
        ir.convenience.replace_all_uses_with(node.outputs[0], constant)
        return
    node.name = build.name if node.op_type == "Softmax" else f"{build.name}/{node.outputs[0].name}"
    node.meta[USER_NODE] = build.user_node
    for value in node.outputs:
        value.name = f"{build.name}/{value.name}"
