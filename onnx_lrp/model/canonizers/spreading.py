"""What shape arithmetic says though a size is open: known entries of shapes, and numbers spread over a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ..graph import array, attributes, dims

MOST_AXES = 64  # a vector of more entries is no shape
_RENAMING = ("Identity", "Cast", "CastLike")
_BINARY = ("Add", "Sub", "Mul", "Div", "Min", "Max")

Entries = np.ndarray  # of objects: an int, or a str that stands for an open size


class Spread(InPlacePass):
    """Fold the shape vectors whose entries are all known, and take numbers spread to a tensor's shape as numbers.

    Of ``Shape(x)`` with an open batch, ``Gather(…, 3)`` is known; ``x * Expand(0.5, Shape(x))`` is ``x * 0.5``.
    """

    def call(self, model: ir.Model) -> PassResult:
        """One pass in topological order; what it finds may let shapes be inferred that it can use next time."""
        entries: dict[ir.Value, Entries] = {}
        modified = False
        for node in list(model.graph):
            found = _entries(node, entries)
            if found is not None:
                entries[node.outputs[0]] = found
                modified |= _fold(model, node.outputs[0], found)
            elif node.op_type in _BINARY and len(node.inputs) == 2:
                for position in (0, 1):
                    modified |= _unspread(model, node, position, entries)
        if modified:
            RemoveUnusedNodesPass()(model)  # a tensor whose shape nothing asks for any more has one reader less
        return PassResult(model, modified)


def _entries(node: ir.Node, known: dict[ir.Value, Entries]) -> Entries | None:
    """The entries of a node's output, if it is a shape or made of shapes by moving entries only."""
    if node.domain not in ("", "ai.onnx") or not node.inputs or node.inputs[0] is None:
        return None
    if node.op_type == "Shape":
        given, sizes = attributes(node), _sizes(node.inputs[0])
        return None if sizes is None else sizes[given.get("start", 0) : given.get("end")]
    move = MOVES.get(node.op_type)
    vectors = [known.get(v) if v in known else _constant(v) for v in node.inputs if v is not None]
    if move is None or any(v is None for v in vectors) or not any(v in known for v in node.inputs):
        return None
    try:
        return np.asarray(move(attributes(node), *vectors), object)
    except (ValueError, TypeError, IndexError):  # malformed: whoever runs it says so
        return None


def _sizes(value: ir.Value) -> Entries | None:
    """A tensor's sizes; an open one without a name is called after the tensor."""
    sizes = dims(value)
    if sizes is None:
        return None
    return np.array([f"{value.name}[{i}]" if n is None else n for i, n in enumerate(sizes)], object)


def _constant(value: ir.Value) -> Entries | None:
    data = array(value)
    return data.astype(object) if data is not None and data.dtype.kind == "i" and data.size <= MOST_AXES else None


def _slice(_: Any, data: Entries, start: Entries, end: Entries, *more: Entries) -> Entries:
    if data.ndim != 1 or (more and int(more[0].item()) not in (0, -1)):
        raise ValueError("no vector")
    step = int(more[1].item()) if len(more) > 1 else 1
    return data[int(start.item()) : int(end.item()) : step]


def _reshape(_: Any, data: Entries, shape: Entries | None = None) -> Entries:
    return data if shape is None else data.reshape([int(n) for n in shape])


MOVES: dict[str, Callable[..., Any]] = {
    "Identity": lambda _, data: data,
    "Cast": lambda _, data: data,
    "Concat": lambda _, *vectors: np.concatenate(vectors),
    "Gather": lambda given, data, at: np.take(data, at.astype(np.int64), given.get("axis", 0)),
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": lambda _, data, *axes: data.reshape(()) if data.size == 1 else data,
    "Unsqueeze": lambda _, data, *axes: data.reshape(1) if data.ndim == 0 else data.reshape(1, -1),
}


def _fold(model: ir.Model, value: ir.Value, entries: Entries) -> bool:
    """Put a vector's number in its place, if there are numbers only."""
    if not all(isinstance(n, int) for n in entries.flat) or value.is_graph_output() or value.dtype is None:
        return False
    return _replace(model, value, np.array(entries, value.dtype.numpy()), [use.node for use in value.uses()])


def _replace(model: ir.Model, value: ir.Value, data: np.ndarray, users: list[ir.Node]) -> bool:
    """Let nodes read a constant in a value's place; whether there are any."""
    if not users:
        return False
    name = f"{value.name}/known"
    new = model.graph.initializers.get(name)
    if new is None:
        new = ir.val(name, const_value=ir.Tensor(data, name=name))
        model.graph.register_initializer(new)
    for user in users:
        for position, read in enumerate(user.inputs):
            if read is value:
                user.replace_input_with(position, new)
    return True


def _unspread(model: ir.Model, node: ir.Node, position: int, known: dict[ir.Value, Entries]) -> bool:
    """Read the number itself where it is spread to the shape of the operand beside it."""
    spread, beside = node.inputs[position], node.inputs[1 - position]
    maker = spread.producer() if spread is not None else None
    while maker is not None and maker.op_type in _RENAMING and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    if maker is None or beside is None or spread is None or maker.op_type not in ("Expand", "ConstantOfShape"):
        return False
    shape = maker.inputs[-1]
    data, target, sizes = _number(maker), None if shape is None else known.get(shape), _sizes(beside)
    if data is None or target is None or sizes is None or target.tolist() != sizes.tolist():
        return False
    fits = data.ndim <= len(sizes) and all(n in (1, of) for n, of in zip(data.shape[::-1], sizes[::-1]))
    return fits and _replace(model, spread, data, [node])


def _number(maker: ir.Node) -> np.ndarray | None:
    """What Expand or ConstantOfShape spreads."""
    if maker.op_type == "Expand":
        return array(maker.inputs[0])
    fill = maker.attributes.get("value")
    return np.zeros((), np.float32) if fill is None else fill.as_tensor().numpy().reshape(())
