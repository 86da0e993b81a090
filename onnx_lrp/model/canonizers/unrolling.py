"""Recurrent nodes, unrolled: what LSTM, GRU and RNN have in common.

A direction of a recurrent node is a :class:`Cell`; the same weights serve every step. States are tensors of shape
(samples, hidden size), or None for zeros, which then leave the number of samples open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ..graph import array, dims
from .expanding import Builder

State = ir.Value | None
AGAIN = "export the model again"

# The ops behind the activations' names (in lower case), and the numbers that each takes, with the standard's defaults
ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "relu": ("Relu", {}), "tanh": ("Tanh", {}), "sigmoid": ("Sigmoid", {}), "softsign": ("Softsign", {}),
    "softplus": ("Softplus", {}), "leakyrelu": ("LeakyRelu", {"alpha": 0.01}), "elu": ("Elu", {"alpha": 1.0}),
    "thresholdedrelu": ("ThresholdedRelu", {"alpha": 1.0}), "hardsigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
}  # fmt: skip


class Cell:
    """One direction of a recurrent node.

    ``gates`` are the letters that the standard has for the stretches of the weights, ``functions`` the activations.
    """

    gates: ClassVar[str]
    functions: ClassVar[tuple[str, ...]]
    states: ClassVar[int] = 1

    def __init__(self, build: Builder, index: int, prefix: str) -> None:
        self.build, self.prefix = build, prefix
        w, r, b = (_constant(build, position) for position in (1, 2, 3))
        assert w is not None
        assert r is not None
        self.width, self.hidden = w.shape[-1], r.shape[-1]
        _check_shapes(build, len(self.gates), w, r, b)
        self._w, self._r = w[index], r[index]
        biases = np.zeros(2 * len(w[index])) if b is None else b[index].astype(np.float64)
        self._bias = {"W": biases[: len(biases) // 2], "R": biases[len(biases) // 2 :]}
        self._activations = _activations(build, self.functions)[index]
        self._made: dict[Any, ir.Value] = {}

    def step(self, at: str, x: ir.Value, states: Sequence[State]) -> list[ir.Value]:
        """The new states; the first one is the output."""
        raise NotImplementedError

    def layer(self, part: str, gates: str, x: State, h: State, biases: str = "WR") -> ir.Value:
        """W x + R h + b of these gates as one layer, so that the ε-rule has one denominator (Arras et al. 2017)."""
        given = ("W" if x is not None else "") + ("R" if h is not None else "")
        if x is not None and h is not None and (x, h) not in self._made:
            self._made[x, h] = self.build.node("Concat", [x, h], f"{part}/inputs", axis=1)
        operand = self._made[x, h] if x is not None and h is not None else x if x is not None else h
        return self.build.node("Gemm", [operand, self._weight(gates, given), self._biases(gates, biases)], part)

    def activation(self, which: int, value: ir.Value, part: str) -> ir.Value:
        """One of the cell's activations."""
        op, numbers = self._activations[which]
        return self.build.node(op, [value], f"{part}/{op.lower()}", hint="trusted", **numbers)

    def gated(self, gate: ir.Value, signal: ir.Value, part: str) -> ir.Value:
        """Gate times signal: the signal gets all relevance."""
        return self.build.node("Mul", [gate, signal], part, hint="gate")

    def complement(self, gate: ir.Value, part: str) -> ir.Value:
        """1 - gate."""
        return self.build.node("Sub", [self.shared("one", np.float32(1)), gate], part)

    def split(self, value: ir.Value, count: int, part: str) -> Sequence[ir.Value]:
        """The gates of a layer for several."""
        return self.build.split(value, count, f"{part}/split")

    def recurrence(self, part: str, gate: str, h: State) -> State:
        """R h + b of one gate, apart from the input; None if it is 0."""
        bias = self._bias["R"][self._rows(gate)]
        known = np.zeros((1, self.hidden)) if h is None else array(h)
        if known is None:
            return self.layer(part, gate, None, h, "R")
        value = known @ self._r[self._rows(gate)].T + bias
        return self.build.constant(value, part) if value.any() else None

    def _rows(self, gates: str) -> np.ndarray:
        each = np.arange(self.hidden)
        return np.concatenate([self.gates.index(gate) * self.hidden + each for gate in gates])

    def _weight(self, gates: str, given: str) -> ir.Value:
        """(inputs, outputs), of the input, the hidden state, or one after the other."""
        rows = self._rows(gates)
        parts = [w[rows].T for name, w in (("W", self._w), ("R", self._r)) if name in given]
        return self.shared(f"{given}_{gates}", np.concatenate(parts))

    def _biases(self, gates: str, which: str) -> ir.Value:
        return self.shared(f"B{which}_{gates}", np.sum([self._bias[w][self._rows(gates)] for w in which], axis=0))

    def shared(self, name: str, data: np.ndarray | np.generic) -> ir.Value:
        """A constant that is made once."""
        if name not in self._made:
            self._made[name] = self.build.constant(data, f"{self.prefix}{name}")
        return self._made[name]


def unroll(build: Builder, kind: type[Cell]) -> list[ir.Value | None]:
    """The steps of a recurrent node one after the other; returns its outputs, None for those that nobody reads.

    Raises:
        Unsupported: the number of steps or a weight is not known, or the node uses what no exporter writes.
    """
    directions = _directions(build)
    steps = _check(build)
    prefixes = [f"{direction}/" if len(directions) > 1 else "" for direction in directions]
    cells = [kind(build, index, prefix) for index, prefix in enumerate(prefixes)]
    inputs = _steps_of(build, steps, cells[0].width)
    ends: list[list[ir.Value]] = []
    hidden: dict[tuple[int, int], ir.Value] = {}
    for index, (direction, prefix, cell) in enumerate(zip(directions, prefixes, cells)):
        states: Sequence[Any] = [_initial(build, 5 + i, index, f"{prefix}start{i}") for i in range(kind.states)]
        for t in range(steps) if direction == "forward" else reversed(range(steps)):
            states = cell.step(f"{prefix}t{t}", inputs[t], states)
            hidden[t, index] = states[0]
        ends.append(list(states))
    columns = [[hidden[t, index] for t in range(steps) for index in range(len(directions))]]
    columns += [[states[i] for states in ends] for i in range(kind.states)]
    return _outputs(build, columns, [steps, len(directions), cells[0].hidden])


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


def _initial(build: Builder, position: int, index: int, part: str) -> State:
    """The state to start with; None for zeros."""
    value = build.inputs[position]
    if value is None or _fill(value) == 0:
        return None
    axis, known = build.attributes.get("layout", 0), array(value)
    if known is not None:
        return build.constant(known.take(index, axis), part)
    return build.node("Gather", [value, build.constant(np.array(index), f"{part}/index")], part, axis=axis)


def _directions(build: Builder) -> list[str]:
    direction = build.attributes.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise Unsupported(f"unknown direction {direction!r}", AGAIN)
    return ["forward", "reverse"] if direction == "bidirectional" else [direction]


def _check(build: Builder) -> int:
    """The number of steps."""
    if "clip" in build.attributes:
        raise Unsupported("clips inside its cells", "export it without the attribute clip")
    shape = dims(build.value(0))
    steps = shape[build.attributes.get("layout", 0)] if shape is not None and len(shape) == 3 else None
    if not isinstance(steps, int) or steps < 1:
        raise Unsupported(
            "the number of time steps is not known", "export with a fixed sequence length, only the batch may be open"
        )
    lengths = build.inputs[4]
    if lengths is not None and _fill(lengths) != steps:
        raise Unsupported("sequences of different lengths", "export it without sequence_lens, for sequences in full")
    return steps


def _constant(build: Builder, position: int) -> np.ndarray | None:
    value = build.inputs[position]
    data = array(value)
    if value is not None and data is None:
        raise Unsupported("a weight depends on the data", "LRP needs a constant one: export it as an initializer")
    return data


def _check_shapes(build: Builder, gates: int, w: np.ndarray, r: np.ndarray, b: np.ndarray | None) -> None:
    count, n = len(_directions(build)), r.shape[-1]
    rows = gates * n
    width = (dims(build.value(0)) or [None])[-1]
    fits = w.ndim == r.ndim == 3 and w.shape[:2] == r.shape[:2] == (count, rows)
    fits = fits and (width == w.shape[-1] or not isinstance(width, int))
    if not (fits and (b is None or b.shape == (count, 2 * rows)) and build.attributes.get("hidden_size", n) == n):
        raise Unsupported("weights of shapes that do not fit together", AGAIN)


def _activations(build: Builder, functions: tuple[str, ...]) -> list[list[tuple[str, dict[str, float]]]]:
    """Of each direction, the ops and their numbers: those given are used up in the order of the activations."""
    count = len(_directions(build))
    names = build.attributes.get("activations") or functions * count
    unknown = [name for name in names if name.lower() not in ACTIVATIONS]
    if unknown or len(names) != count * len(functions):
        raise Unsupported(f"activations {', '.join(unknown or names)}", "use Tanh, Sigmoid, Relu or their like")
    queues = {key: iter(build.attributes.get(f"activation_{key}") or ()) for key in ("alpha", "beta")}
    found = [_with_numbers(*ACTIVATIONS[name.lower()], queues) for name in names]
    return [found[i : i + len(functions)] for i in range(0, len(found), len(functions))]


def _with_numbers(
    op: str, defaults: dict[str, float], queues: dict[str, Iterator[float]]
) -> tuple[str, dict[str, float]]:
    return op, {key: float(next(queues[key], default)) for key, default in defaults.items()}


def _fill(value: ir.Value) -> float | None:
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
