"""Unroll recurrent nodes: the steps, what goes into them, and what is made of their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ..graph import array, dims
from .cells import AGAIN, Cell, State, directions
from .expanding import Builder


def unroll(build: Builder, kind: type[Cell]) -> list[ir.Value | None]:
    """The steps of a recurrent node one after the other; returns its outputs, None for those that nobody reads.

    Raises:
        Unsupported: the number of steps or a weight is not known, or the node uses what no exporter writes.
    """
    steps, names = _check(build), directions(build)
    prefixes = [f"{name}/" if len(names) > 1 else "" for name in names]
    cells = [kind(build, index, prefix) for index, prefix in enumerate(prefixes)]
    build.check_room(steps * sum(cell.size for cell in cells))
    inputs = _steps_of(build, steps, cells[0].width)
    ends: list[list[ir.Value]] = []
    hidden: dict[tuple[int, int], ir.Value] = {}
    for index, (name, prefix, cell) in enumerate(zip(names, prefixes, cells)):
        states: Sequence[Any] = [_initial(cell, 5 + i, index, f"{prefix}start{i}") for i in range(kind.states)]
        for t in range(steps) if name == "forward" else reversed(range(steps)):
            states = cell.step(f"{prefix}t{t}", inputs[t], states)
            hidden[t, index] = states[0]
        ends.append(list(states))
    columns = [[hidden[t, index] for t in range(steps) for index in range(len(names))]]
    columns += [[states[i] for states in ends] for i in range(kind.states)]
    return _outputs(build, columns, [steps, len(names), cells[0].hidden])


def _outputs(build: Builder, columns: list[list[ir.Value]], sizes: list[int]) -> list[ir.Value | None]:
    """The sequence (steps, directions, samples, hidden), and the last states; the first one read is the main one."""
    results: list[ir.Value | None] = []
    for i, (old, column) in enumerate(zip(build.old.outputs, columns)):
        read = bool(old.uses()) or old.is_graph_output()
        main = not any(results)
        title = "Y" if i == 0 else ("Y_h", "Y_c")[i - 1]
        results.append(_stacked(build, column, sizes[min(i, 1) :], title, main) if read else None)
    return results


def _stacked(build: Builder, column: list[ir.Value], sizes: list[int], title: str, main: bool) -> ir.Value:
    """(samples, hidden) each, stacked: samples first, or with layout 0 before the last axis."""
    layout = build.attributes.get("layout", 0)
    last = "" if main else title
    value = build.node("Concat", column, f"{title}/joined", axis=1) if len(column) > 1 else column[0]
    shape = build.constant(np.array([0, *sizes]), f"{title}/shape")
    value = build.node("Reshape", [value, shape], last if layout else f"{title}/stacked")
    if layout:
        return value
    rank = len(sizes) + 1
    return build.node("Transpose", [value], last, perm=[*range(1, rank - 1), 0, rank - 1])


def _steps_of(build: Builder, steps: int, width: int) -> Sequence[ir.Value]:
    """The inputs of the steps, (samples, input size) each."""
    x = build.value(0)
    if not build.attributes.get("layout", 0):
        x = build.node("Transpose", [x], "X/samples", perm=[1, 0, 2])
    shape = build.constant(np.array([0, steps * width]), "X/shape")
    return build.split(build.node("Reshape", [x, shape], "X/rows"), steps, "X/steps")


def _initial(cell: Cell, position: int, index: int, part: str) -> State:
    """The state to start with; None for zeros."""
    build, value = cell.build, cell.build.inputs[position]
    if value is None or filling(value) == 0:
        return None
    axis, known = build.attributes.get("layout", 0), array(value)
    if known is not None:
        if known.ndim != 3 or (known.shape[axis], known.shape[2]) != (len(directions(build)), cell.hidden):
            raise Unsupported("initial states of a shape that does not fit", AGAIN)
        return build.constant(known.take(index, axis), part)
    return build.node("Gather", [value, build.constant(np.array(index), f"{part}/index")], part, axis=axis)


def _check(build: Builder) -> int:
    """The number of steps."""
    if "clip" in build.attributes:
        raise Unsupported("clips inside its cells", "export it without the attribute clip")
    layout = build.attributes.get("layout", 0)
    if build.inputs[0] is None or layout not in (0, 1):
        raise Unsupported("an input is missing" if build.inputs[0] is None else f"layout {layout}", AGAIN)
    shape = dims(build.value(0))
    steps = shape[layout] if shape is not None and len(shape) == 3 else None
    if not isinstance(steps, int) or steps < 1:
        raise Unsupported(
            "the number of time steps is not known",
            "give the shape, its first axis open (--shape NAME=N,20,8), or export with a fixed sequence length",
            sizes=True,
        )
    lengths = build.inputs[4]
    if lengths is not None and filling(lengths) != steps:
        raise Unsupported("sequences of different lengths", "export it without sequence_lens, for sequences in full")
    return steps


def filling(value: ir.Value) -> float | None:
    """The one number that fills a tensor, though its shape may be known during a run only; None if there is none."""
    node, data = value.producer(), array(value)
    while data is None and node is not None and node.op_type in FILLING and node.inputs[0] is not None:
        if node.op_type == "ConstantOfShape":
            fill = node.attributes.get("value")
            data = np.zeros(1) if fill is None else fill.as_tensor().numpy()
        else:
            data, node = array(node.inputs[0]), node.inputs[0].producer()
    same = data is not None and data.size > 0 and bool((data == data.flat[0]).all())
    return float(data.flat[0]) if same and data is not None else None


FILLING = ("ConstantOfShape", "Expand", "Tile", "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Transpose",
           "Slice", "Gather", "Split")  # fmt: skip
