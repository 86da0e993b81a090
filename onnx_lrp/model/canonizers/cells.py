"""One direction of a recurrent node: its weights, its activations, and what LSTM, GRU and RNN make their steps of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ...text import printable
from ..graph import array, dims
from .expanding import Builder
from .origins import ORIGIN, Stacked

State = ir.Value | None  # (samples, hidden size); None for zeros, which leave the number of samples open
AGAIN = "export the model again"

# The ops behind the activations' names (in lower case), and the numbers that each takes, with the standard's defaults
CELL_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "relu": ("Relu", {}), "tanh": ("Tanh", {}), "sigmoid": ("Sigmoid", {}), "softsign": ("Softsign", {}),
    "softplus": ("Softplus", {}), "leakyrelu": ("LeakyRelu", {"alpha": 0.01}), "elu": ("Elu", {"alpha": 1.0}),
    "thresholdedrelu": ("ThresholdedRelu", {"alpha": 1.0}), "hardsigmoid": ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
}  # fmt: skip


class Cell:
    """One direction of a recurrent node.

    ``gates`` are the letters that the standard has for the stretches of the weights, ``functions`` the activations,
    ``states`` how many tensors a step hands on, ``size`` is how many nodes it takes.
    """

    gates: ClassVar[str]
    functions: ClassVar[tuple[str, ...]]
    states: ClassVar[int] = 1
    size: int

    def __init__(self, build: Builder, index: int, prefix: str) -> None:
        self.build, self.prefix = build, prefix
        w, r, b = _weights(build, len(self.gates))
        self.width, self.hidden = w.shape[-1], r.shape[-1]
        self._index, self._w, self._r = index, w[index], r[index]
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

    def recurrence(self, part: str, gate: str, h: State) -> State:
        """R h + b of one gate, apart from the input; None if it is 0."""
        bias = self._bias["R"][self._rows(gate)]
        known = np.zeros((1, self.hidden)) if h is None else array(h)
        if known is None:
            return self.layer(part, gate, None, h, "R")
        value = known @ self._r[self._rows(gate)].T + bias
        return self.build.constant(value, part) if value.any() else None

    def shared(self, name: str, data: np.ndarray | np.generic) -> ir.Value:
        """A constant that is made once."""
        if name not in self._made:
            self._made[name] = self.build.constant(data, f"{self.prefix}{name}")
        return self._made[name]

    def _rows(self, gates: str) -> np.ndarray:
        each = np.arange(self.hidden)
        return np.concatenate([self.gates.index(gate) * self.hidden + each for gate in gates])

    def _weight(self, gates: str, given: str) -> ir.Value:
        """(inputs, outputs), of the input, the hidden state, or one after the other."""
        name, rows = f"{given}_{gates}", self._rows(gates)
        if name not in self._made:
            parts = [w[rows].T for letter, w in (("W", self._w), ("R", self._r)) if letter in given]
            value = self.shared(name, np.concatenate(parts))
            bases = tuple(self.build.value(" WR".index(letter)) for letter in given)
            value.meta[ORIGIN] = Stacked(bases, self._index, rows)
        return self._made[name]

    def _biases(self, gates: str, which: str) -> ir.Value:
        return self.shared(f"B{which}_{gates}", np.sum([self._bias[w][self._rows(gates)] for w in which], axis=0))


def directions(build: Builder) -> list[str]:
    """``forward``, ``reverse``, or both.

    Raises:
        Unsupported: something else.
    """
    direction = build.attributes.get("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise Unsupported(f"unknown direction {direction!r}", AGAIN)
    return ["forward", "reverse"] if direction == "bidirectional" else [direction]


def _weights(build: Builder, gates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """W (directions, gates x hidden, inputs), R (directions, gates x hidden, hidden), B (directions, twice as many)."""
    if any(build.inputs[i] is not None and build.array(i) is None for i in (1, 2, 3)):
        raise Unsupported("a weight depends on the data", "LRP needs a constant one: export it as an initializer")
    w, r, b = (build.array(i) for i in (1, 2, 3))
    if w is None or r is None or not (w.ndim == r.ndim == 3 and _fit(build, gates, w, r, b)):
        raise Unsupported("weights of shapes that do not fit together", AGAIN)
    return w, r, b


def _fit(build: Builder, gates: int, w: np.ndarray, r: np.ndarray, b: np.ndarray | None) -> bool:
    count, n = len(directions(build)), r.shape[-1]
    width = (dims(build.value(0)) or [None])[-1]
    return (
        w.shape[:2] == r.shape[:2] == (count, gates * n)
        and n > 0
        and (width == w.shape[-1] or not isinstance(width, int))
        and (b is None or b.shape == (count, 2 * gates * n))
        and build.attributes.get("hidden_size", n) == n
    )


def _activations(build: Builder, functions: tuple[str, ...]) -> list[list[tuple[str, dict[str, float]]]]:
    """Of each direction, the ops and their numbers: those given are used up in the order of the activations."""
    count = len(directions(build))
    names = build.attributes.get("activations") or functions * count
    unknown = [name for name in names if name.lower() not in CELL_ACTIVATIONS]
    if unknown or len(names) != count * len(functions):
        shown = printable(", ".join(unknown or names), 100)
        raise Unsupported(f"activations {shown}", "use one of Tanh, Sigmoid, Relu or their like for each")
    queues = {key: iter(build.attributes.get(f"activation_{key}") or ()) for key in ("alpha", "beta")}
    found = [_with_numbers(*CELL_ACTIVATIONS[name.lower()], queues) for name in names]
    return [found[i : i + len(functions)] for i in range(0, len(found), len(functions))]


def _with_numbers(
    op: str, defaults: dict[str, float], queues: dict[str, Iterator[float]]
) -> tuple[str, dict[str, float]]:
    return op, {key: float(next(queues[key], default)) for key, default in defaults.items()}
