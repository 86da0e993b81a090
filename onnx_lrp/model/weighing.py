"""Origins that only weigh what comes of the others, and so are constants of the question: an adjacency, a mask.

In y = A f(x), with A fed beside x, the explanation of y by x takes A as it is, like a weight of the layer (Schnake et
al. 2022, for graph networks). An input is taken so if nothing is learned of it, and if it reaches the explained tensor
only as a factor of what is learned of others, or as the condition of a Where. Of x · m, with both as they were fed,
nobody knows which one weighs: that stays refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from .dependence import SHAPE_READERS
from .graph import HINT, is_fixed

PRODUCTS = ("MatMul", "Mul", "Gemm")
LEARNING = ("MatMul", "Gemm", "Conv", "ConvTranspose")  # with a constant, the weight, something is learned of the other

Origins = frozenset[ir.Value]


def weighing(graph: ir.Graph) -> list[ir.Value]:
    """The inputs that only weigh others, in the graph's order."""
    free = [value for value in graph.inputs if value.const_value is None and not is_fixed(value)]
    if len(free) < 2:
        return []
    made_of: dict[ir.Value, Origins] = {value: frozenset((value,)) for value in free}
    learned: set[ir.Value] = set()
    weights: set[ir.Value] = set()
    for node in graph:
        read = _operands(node, made_of)
        signals = [value for i, value in read.items() if not _weighs(node, i, read, learned)]
        weights.update(*(made_of[value] for value in read.values() if value not in signals))
        made_of.update(dict.fromkeys(node.outputs, _together(made_of[value] for value in signals)))
        if not learned.isdisjoint(signals) or (node.op_type in LEARNING and len(read) == 1):
            learned.update(node.outputs)
    reaching = _together(made_of.get(output, frozenset()) for output in graph.outputs)
    return [value for value in free if value in weights and value not in reaching]


def _operands(node: ir.Node, made_of: Mapping[ir.Value, Origins]) -> dict[int, ir.Value]:
    """The operands that depend on an input, by position."""
    blind = SHAPE_READERS.get(node.op_type, ())
    return {i: v for i, v in enumerate(node.inputs) if v is not None and i not in blind and made_of.get(v)}


def _weighs(node: ir.Node, position: int, read: Mapping[int, ir.Value], learned: set[ir.Value]) -> bool:
    if read[position] in learned or HINT in node.meta:
        return False
    if node.op_type == "Where":
        return position == 0 and len(read) > 1
    others = [value for i, value in read.items() if i != position]
    return node.op_type in PRODUCTS and not learned.isdisjoint(others)


def _together(sets: Iterable[Origins]) -> Origins:
    return frozenset().union(*sets)
