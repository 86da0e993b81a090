"""Which tensor is explained: an output, any tensor inside, or what a node makes; and which could be instead."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping

import onnx_ir as ir

from ..errors import TargetError
from ..text import printable
from .dependence import SHAPE_READERS, Dependence
from .graph import FLOATS, ancestors, dims

EXAMPLE = "NAME=N,20,8"  # of a shape, in remedies
SHOWN = 5  # names of a longer list


def asked(model: ir.Model, output: str | None, source: str) -> ir.Value:
    """The tensor of that name, or the first one that the node of that name makes; without a name, the first output.

    Raises:
        TargetError: there is none.
    """
    outputs = model.graph.outputs
    if output is None:
        return outputs[0]
    if not isinstance(output, str):
        raise TargetError(
            f"{source}: the tensor to explain is named, not {output!r:.80}; the outputs are "
            f"{_listed(v.name for v in outputs)} (which of its numbers is explained is the target)"
        )
    named: dict[str | None, ir.Value] = {node.name: node.outputs[0] for node in model.graph if node.name}
    named |= {value.name: value for node in model.graph for value in node.outputs if value.name}
    named |= {value.name: value for value in (*model.graph.inputs, *outputs)}
    if output not in named:
        near = difflib.get_close_matches(output, [name for name in named if name], SHOWN, 0.4)
        also = f"; similar: {_listed(near)}" if near else ""
        raise TargetError(
            f"{source}: no output, tensor or node {printable(output)!r}; the outputs are "
            f"{_listed(v.name for v in outputs)}{also}"
        )
    return named[output]


def _listed(names: Iterable[str | None]) -> str:
    given = [printable(name or "") for name in names]
    return ", ".join(given[:SHOWN]) + (f" and {len(given) - SHOWN} more" if len(given) > SHOWN else "")


def before(
    graph: ir.Graph, kinds: Mapping[ir.Value, Dependence], refused: Collection[ir.Node], written: ir.Graph
) -> dict[ir.Node, tuple[str, ...]]:
    """Of each refused node, the last tensors before it that can be explained, by name, the last one first.

    These are floats that the source has, too, and that depend on the data and on no refused node. An input is none of
    them: it is what explains.
    """
    named = {value.name for node in written for value in node.outputs}
    last: dict[ir.Value, dict[str, int]] = {}  # of each tensor, the last ones that can be explained, with their place
    found: dict[ir.Node, tuple[str, ...]] = {}
    broken: set[ir.Value] = set()
    for place, node in enumerate(graph):
        read = [value for value in node.inputs if value is not None and kinds.get(value) is Dependence.VARIABLE]
        earlier = _latest({name: p for value in read for name, p in last.get(value, {}).items()})
        if node in refused:
            found[node] = tuple(earlier)
        if node in refused or not broken.isdisjoint(read):
            broken.update(node.outputs)
        for value in node.outputs:
            fits = value not in broken and kinds[value] is Dependence.VARIABLE and value.dtype in (*FLOATS, None)
            last[value] = {value.name or "": place} if fits and value.name in named else earlier
    return found


def sized(graph: ir.Graph) -> str:
    """How to give the sizes of an input with open axes, as an example that can be typed: ``x=N,20,8``."""
    for value in graph.inputs:
        shape = dims(value)
        if shape and value.const_value is None and any(not isinstance(n, int) for n in shape[1:]):
            sizes = [str(n) if isinstance(n, int) else "N" if i == 0 else "20" for i, n in enumerate(shape)]
            return f"{printable(value.name or '')}={','.join(sizes)}"
    return EXAMPLE


def apart(graph: ir.Graph, node: ir.Node) -> str | None:
    """An input that reaches one operand of a node, and not the others: held fixed, it would be a weight of it.

    Of several it is the one that least is made of on the way.
    """
    operands = sorted((v for v in node.inputs if v is not None), key=lambda v: len(ancestors([v])))
    reached = [_inputs_behind(graph, value) for value in operands]
    reached = [names for names in reached if names]
    for i, names in enumerate(reached):
        others = set().union(*(other for j, other in enumerate(reached) if j != i))
        if len(reached) > 1 and len(names) == 1 and others and not names & others:
            return next(iter(names))
    return None


def _inputs_behind(graph: ir.Graph, value: ir.Value) -> set[str]:
    makers = ancestors([value])
    read = {v for n in makers for i, v in enumerate(n.inputs) if i not in SHAPE_READERS.get(n.op_type, ())} | {value}
    return {v.name or "" for v in graph.inputs if v in read and v.const_value is None}


def _latest(places: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(places.items(), key=lambda item: -item[1])[:SHOWN])
