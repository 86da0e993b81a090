"""Unroll a Loop or Scan whose number of turns is known: its body once for each turn, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ..graph import USER_NODE, ancestors, array, dims
from .expanding import Builder, expands

GIVEN = "give the shape, its first axis open (--shape NAME=N,20,8), or export with fixed sizes"
TRACED = "export with fixed control flow (tracing)"


class Turns:
    """Makes the body's nodes for one turn after the other."""

    def __init__(self, build: Builder, count: int) -> None:
        self.build, self.body = build, build.attributes["body"]
        build.check_room(count * len(self.body))
        self._weights: dict[str, ir.Value] = {}

    def turn(self, number: int, given: Sequence[ir.Value]) -> list[ir.Value]:
        """The body's outputs for these inputs."""
        copy = self.body.clone(allow_outer_scope_values=True)
        outputs, mapped = list(copy.outputs), dict(zip(copy.inputs, given))
        copy.outputs.clear()
        mapped |= {w: self._weight(w) for w in copy.initializers.values()}
        for old, new in mapped.items():
            ir.convenience.replace_all_uses_with(old, new)
        copy.initializers.clear()
        nodes = list(copy)
        copy.remove(nodes)
        for node in nodes:
            self._name(node, number)
        self.build.adopt(nodes, [])
        return [mapped.get(value, value) for value in outputs]

    def _weight(self, value: ir.Value) -> ir.Value:
        """One for all turns."""
        name = value.name or ""
        if name not in self._weights:
            assert value.const_value is not None
            self._weights[name] = self.build.initializer(value.const_value, name)
        return self._weights[name]

    def _name(self, node: ir.Node, number: int) -> None:
        node.name = f"{self.build.name}/t{number}/{node.name or node.op_type}"
        node.meta[USER_NODE] = self.build.user_node
        for value in node.outputs:
            if value.name:
                value.name = f"{self.build.name}/t{number}/{value.name}"

    def results(
        self, states: Sequence[ir.Value], columns: Sequence[Sequence[ir.Value]], axes: Sequence[int]
    ) -> list[ir.Value]:
        """The last states, and what every turn gave side by side."""
        found = [self.build.node("Identity", [state], f"state{i}") for i, state in enumerate(states)]
        for i, (column, axis) in enumerate(zip(columns, axes)):
            rows = [self._unsqueezed(value, axis, f"row{i}/t{t}") for t, value in enumerate(column)]
            found.append(self.build.node("Concat", rows, f"rows{i}", axis=axis))
        return found

    def _unsqueezed(self, value: ir.Value, axis: int, part: str) -> ir.Value:
        if self.build.opset < 13:
            return self.build.node("Unsqueeze", [value], part, axes=[axis])
        return self.build.node("Unsqueeze", [value, self.build.constant(np.array([axis]), f"{part}/axis")], part)


@expands("", "Loop")
def loop(build: Builder) -> Sequence[ir.Value]:
    """A Loop with a constant trip count that never breaks off."""
    trips, body = build.array(0), build.attributes["body"]
    states = [value for value in build.old.inputs[2:] if value is not None]
    if trips is None and _is_size(build.inputs[0]):
        raise Unsupported("a loop whose number of turns depends on a size that is not known", GIVEN, sizes=True)
    if trips is None or (build.inputs[1] is not None and build.array(1) is None) or not _goes_on(body):
        raise Unsupported("control flow that depends on the data, or on a size that is not known", TRACED)
    count = int(np.asarray(trips).reshape(-1)[0]) if build.inputs[1] is None or np.all(build.array(1)) else 0
    if count < 1:
        raise Unsupported("a loop that never runs", TRACED)
    turns = Turns(build, count)
    columns: list[list[ir.Value]] = [[] for _ in body.outputs[1 + len(states) :]]
    on = build.constant(np.array(True), "on")
    for number in range(count):
        _, *found = turns.turn(number, [build.constant(np.array(number), f"t{number}"), on, *states])
        states = found[: len(states)]
        for column, value in zip(columns, found[len(states) :]):
            column.append(value)
    return turns.results(states, columns, [0] * len(columns))


def _is_size(value: ir.Value | None) -> bool:
    """Whether a number is made of shapes and constants only."""
    makers = ancestors([value]) if value is not None else set()
    inner = (v for node in makers if node.op_type != "Shape" for v in node.inputs if v is not None)
    known = all(v.const_value is not None or v.producer() in makers for v in inner)
    return known and any(node.op_type == "Shape" for node in makers)


def _goes_on(body: ir.Graph) -> bool:
    """Whether the body's condition is the one that it got, or a constant that is true."""
    value: ir.Value | None = body.outputs[0]
    while value is not None and (node := value.producer()) is not None and node.op_type in ("Identity", "Cast"):
        value = node.inputs[0]
    if value is None or value is body.inputs[1]:
        return value is not None
    made = value.producer()
    if made is not None and made.op_type == "Constant" and "value" in made.attributes:
        return bool(np.all(made.attributes["value"].as_tensor().numpy()))
    known = array(value)
    return known is not None and bool(np.all(known))


@expands("", "Scan")
def scan(build: Builder) -> Sequence[ir.Value]:
    """A Scan over axes of known length."""
    if build.opset < 9:
        raise Unsupported("a Scan as it was before opset 9", "raise the model with onnx.version_converter")
    body, read = build.attributes["body"], int(build.attributes["num_scan_inputs"])
    given = [value for value in build.old.inputs if value is not None]
    states, sequences = given[: len(given) - read], given[len(given) - read :]
    made = len(body.outputs) - len(states)
    axes = build.attributes.get("scan_input_axes") or [0] * read
    back = build.attributes.get("scan_input_directions") or [0] * read
    count = _length(sequences[0], axes[0])
    turns = Turns(build, count)
    columns: list[list[ir.Value]] = [[] for _ in range(made)]
    for number in range(count):
        places = [count - 1 - number if reverse else number for reverse in back]
        rows = [
            build.node("Gather", [value, build.constant(np.array(at), f"i{j}/t{number}")], f"x{j}/t{number}", axis=axis)
            for j, (value, axis, at) in enumerate(zip(sequences, axes, places))
        ]
        found = turns.turn(number, [*states, *rows])
        states = found[: len(states)]
        for column, value in zip(columns, found[len(states) :]):
            column.append(value)
    reverse = build.attributes.get("scan_output_directions") or [0] * made
    ordered = [column[::-1] if flip else column for column, flip in zip(columns, reverse)]
    return turns.results(states, ordered, build.attributes.get("scan_output_axes") or [0] * made)


def _length(value: ir.Value, axis: int) -> int:
    shape = dims(value)
    length = None if shape is None else shape[axis]
    if not isinstance(length, int) or length < 1:
        raise Unsupported("a scan over an axis whose length is not known", GIVEN, sizes=True)
    return length
