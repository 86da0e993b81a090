"""The model as a graph: :mod:`onnx_ir` underneath, plus what LRP asks of a node.

A tensor is *constant* (known from the file), *derived* (depends on shapes and fixed inputs only, so known during a run)
or *variable* (depends on the data): only variables receive relevance. Under a profile, what depends on the data may be
*held*: read as a constant, at some positions of some nodes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InvalidModelError
from ..text import printable

# Their output depends on a shape or a type, never on the data of these inputs
SHAPE_READERS = {"Shape": (0,), "Size": (0,), "CastLike": (1,), "EyeLike": (0,)}


# What a canonizer says of a node, in its metadata
HINT = "onnx_lrp.hint"  # how a node is meant whose op alone does not tell; see Site.hint
REFUSAL = "onnx_lrp.refused"  # why it could not be expanded
USER_NODE = "onnx_lrp.user_node"  # the UserNode that it is a part of
HELD = "onnx_lrp.held"  # positions of the inputs that count as constants, whatever they depend on
FIXED = "onnx_lrp.fixed"  # an input whose value is a constant of the question, though only a run knows it
HOLES = "onnx_lrp.holes"  # an input in which values may be missing (NaN), because an Imputer fills them
ASSUMED = "it only weighs what comes of the others"  # what FIXED says if nobody asked for it
OF_TOKENS = "it says of tokens what they are or whether they count"  # likewise, under a profile
WRITTEN = "onnx_lrp.written"  # the ops that the source has in its place

FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


class Dependence(enum.IntEnum):
    """What a tensor depends on; the larger one wins."""

    CONSTANT = 0
    DERIVED = 1
    HELD = 2
    VARIABLE = 3


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


def dependences(graph: ir.Graph) -> dict[ir.Value, Dependence]:
    """What each tensor of a sorted graph depends on."""
    result: dict[ir.Value, Dependence] = dict.fromkeys(graph.initializers.values(), Dependence.CONSTANT)
    for value in graph.inputs:
        if value.const_value is None:
            result[value] = Dependence.DERIVED if is_fixed(value) else Dependence.VARIABLE
    for node in graph:
        result.update(dict.fromkeys(node.outputs, dependence_of(node, result)))
    return _only_reaching(graph, result) if any(HELD in node.meta for node in graph) else result


def dependence_of(node: ir.Node, known: Mapping[ir.Value, Dependence]) -> Dependence:
    """What a node's outputs depend on, if that is known of its inputs."""
    most = dict.fromkeys(held_positions(node), Dependence.HELD)
    most |= dict.fromkeys(SHAPE_READERS.get(node.op_type, ()), Dependence.DERIVED)
    found = [
        min(known[value], most.get(i, Dependence.VARIABLE)) for i, value in enumerate(node.inputs) if value is not None
    ]
    found += [known[value] for value in _captured(node) if value in known]
    return max(found, default=Dependence.CONSTANT)


def held_positions(node: ir.Node) -> tuple[int, ...]:
    """The inputs of a node that count as constants."""
    return tuple(node.meta.get(HELD, ()))


def _only_reaching(graph: ir.Graph, kinds: dict[ir.Value, Dependence]) -> dict[ir.Value, Dependence]:
    """What reaches the explained tensor through held operands alone is held itself."""
    reaching = set(graph.outputs)
    for node in reversed(graph):
        if not reaching.isdisjoint(node.outputs):
            blind = (*SHAPE_READERS.get(node.op_type, ()), *held_positions(node))
            reaching.update(v for i, v in enumerate(node.inputs) if v is not None and i not in blind)
    made = {value for node in graph for value in node.outputs if value not in reaching}
    return {v: min(kind, Dependence.HELD) if v in made else kind for v, kind in kinds.items()}


def is_fixed(value: ir.Value) -> bool:
    """Whether this input is a constant of the question."""
    return FIXED in value.meta


def made_of_fixed(graph: ir.Graph) -> dict[str, str]:
    """Tensors whose values, not just their shapes, depend on fixed inputs and on nothing else that varies: one of
    these inputs each."""
    kinds = dependences(graph)
    found = {value: value.name or "" for value in graph.inputs if is_fixed(value)}
    for node in graph:
        blind = SHAPE_READERS.get(node.op_type, ())
        read = [value for i, value in enumerate(node.inputs) if value in found and i not in blind]
        if read:
            derived = (value for value in node.outputs if kinds[value] is Dependence.DERIVED)
            found.update(dict.fromkeys(derived, found[read[0]]))
    return {value.name or "": name for value, name in found.items()}


def _captured(node: ir.Node) -> Iterator[ir.Value]:
    """What the subgraphs of a node (the branches of an If) read, or hand on."""
    for attribute in node.attributes.values():
        graphs = {ir.AttributeType.GRAPH: [attribute.value], ir.AttributeType.GRAPHS: attribute.value}
        for graph in graphs.get(attribute.type, []):
            yield from graph.outputs
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                yield from (value for value in inner.inputs if value is not None)


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


@dataclass(frozen=True)
class NodeSite:
    """An :class:`onnx_ir.Node` as the ops' registry sees it."""

    node: ir.Node
    dependences: dict[ir.Value, Dependence]
    opset: int
    least: Dependence = Dependence.VARIABLE  # from which on a tensor counts as variable here
    profile: bool = False

    @property
    def op_type(self) -> str:
        """The op."""
        return self.node.op_type

    @property
    def arity(self) -> int:
        """Number of inputs."""
        return len(self.node.inputs)

    @property
    def domain(self) -> str:
        """The op's domain."""
        return self.node.domain

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return len(self.node.outputs)

    @property
    def variable(self) -> tuple[int, ...]:
        """Positions of the inputs that depend on the data."""
        blind = SHAPE_READERS.get(self.op_type, ())
        if self.least is Dependence.VARIABLE:
            blind = (*blind, *held_positions(self.node))
        found = enumerate(self.node.inputs)
        return tuple(
            i for i, value in found if value is not None and i not in blind and self.dependences[value] >= self.least
        )

    @property
    def hint(self) -> str | None:
        """How the node is meant."""
        hint = self.node.meta.get(HINT, "profile" if self.profile else None)
        return None if hint is None else str(hint)

    @property
    def holds(self) -> bool:
        """Whether an operand depends on the data and counts as a constant."""
        if self.least is not Dependence.VARIABLE:
            return False
        blind = SHAPE_READERS.get(self.op_type, ())
        kinds = {i: self.dependences[v] for i, v in enumerate(self.node.inputs) if v is not None and i not in blind}
        marked = held_positions(self.node)
        return any(kind is Dependence.HELD or (kind > Dependence.HELD and i in marked) for i, kind in kinds.items())

    def has(self, position: int) -> bool:
        """Whether this input is given."""
        return position < len(self.node.inputs) and self.node.inputs[position] is not None

    def constant(self, position: int) -> np.ndarray | None:
        """An input's value if it is known already."""
        return array(self.node.inputs[position]) if self.has(position) else None

    def rank(self, position: int) -> int | None:
        """An input's rank if it is known already."""
        value = self.node.inputs[position] if self.has(position) else None
        return None if value is None or value.shape is None else len(value.shape)

    def is_integer(self, position: int) -> bool:
        """Whether an input is a signed integer of 32 or 64 bits."""
        value = self.node.inputs[position] if self.has(position) else None
        return value is not None and value.dtype in (ir.DataType.INT32, ir.DataType.INT64)

    def is_boolean(self, position: int) -> bool:
        """Whether an input is a boolean."""
        value = self.node.inputs[position] if self.has(position) else None
        return value is not None and value.dtype == ir.DataType.BOOL
