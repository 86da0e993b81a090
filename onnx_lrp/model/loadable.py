"""Whether onnxruntime takes a graph: it checks attributes, types and shapes, and its verdict is the one that counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx
import onnx_ir as ir

from ..errors import InvalidModelError
from .inference import light_message
from .precision import to_float32
from .runtime import SessionOptions, make_session


def require_loadable(
    model: ir.Model, outputs: Collection[str], source: str, written: onnx.ModelProto | None = None
) -> None:
    """Load the part of a sorted graph that makes these tensors as it is written, without its large weights.

    What onnxruntime lacks a kernel for on a CPU (a convolution in double precision, say) may run elsewhere.

    Args:
        model: the model; its nodes are sorted.
        outputs: names of the tensors.
        source: what to call it in messages.
        written: the same as a light message, if there is one already.

    Raises:
        InvalidModelError: onnxruntime refuses it.
    """
    message = onnx.ModelProto()
    if any(value.dtype == ir.DataType.DOUBLE for value in model.graph.inputs):
        message = light_message(to_float32(model))
    elif written is not None and {name for node in written.graph.node for name in node.output}.issuperset(outputs):
        message.CopyFrom(written)
    else:
        message = light_message(model)
    message.ir_version = max(message.ir_version, 4)  # before, initializers had to be listed as inputs
    _cut(message.graph, outputs)
    try:
        make_session(message.SerializeToString(), SessionOptions(threads=1, optimized=False), source)
    except InvalidModelError as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise


def _cut(graph: onnx.GraphProto, outputs: Collection[str]) -> None:
    """Remove what does not go into these tensors: what is behind them may be nobody's ops."""
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if not needed.isdisjoint(node.output):
            needed.update(_read(node))
            kept.append(node)
    if len(kept) < len(graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(kept)]
        del graph.node[:]
        graph.node.extend(nodes)
    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    made = [known.get(name) or onnx.ValueInfoProto(name=name) for name in outputs]
    copies = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in made]
    del graph.output[:]
    graph.output.extend(copies)


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, and those that graphs inside of it read."""
    yield from node.input
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for node_inside in inner.node:
                yield from _read(node_inside)
            yield from (value.name for value in inner.output)
