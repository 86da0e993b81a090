"""What a tensor depends on.

It is *constant* (known from the file), *derived* (depends on shapes and fixed inputs only, so known during a run) or
*variable* (depends on the data): only variables receive relevance. Under a profile, what depends on the data may be
*held*: read as a constant, at some positions of some nodes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from .graph import HELD, is_fixed

# Their output depends on a shape or a type, never on the data of these inputs
SHAPE_READERS = {"Shape": (0,), "Size": (0,), "CastLike": (1,), "EyeLike": (0,)}


class Dependence(enum.IntEnum):
    """What a tensor depends on; the larger one wins."""

    CONSTANT = 0
    DERIVED = 1
    HELD = 2
    VARIABLE = 3


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
