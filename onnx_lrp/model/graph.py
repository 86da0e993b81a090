"""The model as a graph: :mod:`onnx_ir` underneath, plus what LRP asks of a node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InvalidModelError
from ..text import printable

# What a canonizer says of a node, in its metadata
HINT = "onnx_lrp.hint"  # how a node is meant whose op alone does not tell; see NodeSite.hint
REFUSAL = "onnx_lrp.refused"  # why it could not be expanded
USER_NODE = "onnx_lrp.user_node"  # the UserNode that it is a part of
HELD = "onnx_lrp.held"  # positions of the inputs that count as constants, whatever they depend on
FIXED = "onnx_lrp.fixed"  # an input whose value is a constant of the question, though only a run knows it
HOLES = "onnx_lrp.holes"  # an input in which values may be missing (NaN), because an Imputer fills them
ASSUMED = "it only weighs what comes of the others"  # what FIXED says if nobody asked for it
OF_TOKENS = "it says of tokens what they are or whether they count"  # likewise, under a profile
WRITTEN = "onnx_lrp.written"  # the ops that the source has in its place

FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def label(node: ir.Node) -> str:
    """What to call a node: its name, or else what it makes."""
    return printable(node.name or f"{node.op_type}→{node.outputs[0].name}")


@dataclass(frozen=True, eq=False)
class UserNode:
    """Name and op of a node of the user's."""

    name: str
    op: str


def user_node(node: ir.Node) -> UserNode:
    """The user's node that this is, or that it is a part of; the same object for all its parts."""
    found = node.meta.get(USER_NODE)
    return found if isinstance(found, UserNode) else UserNode(label(node), printable(node.op_type))


def array(value: ir.Value | None) -> np.ndarray | None:
    """A constant's value, None if it is not known; 16-bit floats become float32."""
    if value is None or value.const_value is None:
        return None
    data = value.const_value.numpy()
    return data.astype(np.float32) if data.dtype.itemsize <= 2 and value.const_value.dtype.is_floating_point() else data


def new_constant(graph: ir.Graph, data: np.ndarray, name: str) -> ir.Value:
    """An initializer of this name; the one that there is, if it was made before."""
    if name not in graph.initializers:
        graph.register_initializer(ir.val(name, const_value=ir.Tensor(data, name=name)))
    return graph.initializers[name]


def attributes(node: ir.Node) -> dict[str, Any]:
    """Attributes as Python values (tensors and graphs stay what they are)."""
    return {name: attr.value for name, attr in node.attributes.items() if not attr.is_ref()}


def is_fixed(value: ir.Value) -> bool:
    """Whether this input is a constant of the question."""
    return FIXED in value.meta


def ancestors(values: Iterable[ir.Value]) -> set[ir.Node]:
    """Every node that these tensors depend on."""
    found: set[ir.Node] = set()
    stack = [value.producer() for value in values]
    while stack:
        node = stack.pop()
        if node is not None and node not in found:
            found.add(node)
            stack.extend(value.producer() for value in node.inputs if value is not None)
    return found


def sort(graph: ir.Graph, source: str) -> None:
    """Bring the nodes into topological order.

    Raises:
        InvalidModelError: there is a cycle.
    """
    if is_sorted(graph):
        return
    try:
        graph.sort()
    except ValueError:
        raise InvalidModelError(f"{source}: the graph has a cycle; LRP needs a feed-forward model") from None


def is_sorted(graph: ir.Graph) -> bool:
    """Whether every node is behind those that it reads, and none holds a graph that reads others."""
    done: set[ir.Node] = set()
    for node in graph:
        makers = [value.producer() for value in node.inputs if value is not None]
        inner = any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
        if inner or any(maker is not None and maker not in done for maker in makers):
            return False
        done.add(node)
    return True


def dims(value: ir.Value) -> list[int | str | None] | None:
    """Static shape: ints, names of symbolic axes, None for unknown ones; None as a whole if the rank is unknown."""
    if value.shape is None:
        return None
    return [d if isinstance(d, int) else d.value for d in value.shape]
