"""LSTM, GRU and RNN, step by step: of a gate and a signal, the signal gets all relevance (Arras et al. 2017, 2019).

The equations are the standard's; the letters of the gates are its, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import onnx_ir as ir

from ...ops import Unsupported
from .cells import AGAIN, Cell, State, directions
from .expanding import Builder, expands
from .unrolling import unroll


class Lstm(Cell):
    """c' = f ⊙ c + i ⊙ g(signal), h' = o ⊙ h(c')."""

    gates: ClassVar[str] = "iofc"
    functions: ClassVar[tuple[str, ...]] = ("Sigmoid", "Tanh", "Tanh")
    states: ClassVar[int] = 2

    def __init__(self, build: Builder, index: int, prefix: str) -> None:
        super().__init__(build, index, prefix)
        given = build.inputs[7]
        self._peepholes = build.array(7)
        shape = (len(directions(build)), 3 * self.hidden)
        if given is not None and (self._peepholes is None or self._peepholes.shape != shape):
            raise Unsupported("peepholes that are not constant, or of an odd shape", AGAIN)
        self.size = 11 if given is None else 19
        self._coupled = bool(build.attributes.get("input_forget", 0))

    def step(self, at: str, x: ir.Value, states: Sequence[State]) -> list[ir.Value]:
        """One step."""
        h, c = states
        i, o, f = self._gates(at, x, h)
        signal = self.activation(1, self.layer(f"{at}/signal", "c", x, h), f"{at}/signal")
        i = self._opened(i, "i", c, at)
        new = self.gated(i, signal, f"{at}/written")
        if c is not None:
            f = self.complement(i, f"{at}/forget") if self._coupled else self._opened(f, "f", c, at)
            new = self.build.node("Add", [self.gated(f, c, f"{at}/kept"), new], f"{at}/cell")
        o = self._opened(o, "o", new, at)
        return [self.gated(o, self.activation(2, new, f"{at}/cell"), f"{at}/hidden"), new]

    def _gates(self, at: str, x: ir.Value, h: State) -> Sequence[ir.Value]:
        """All gates at once; with peepholes, before their activation."""
        layer = self.layer(f"{at}/gates", "iof", x, h)
        if self._peepholes is None:
            layer = self.activation(0, layer, f"{at}/gates")
        return self.build.split(layer, 3, f"{at}/gates/split")

    def _opened(self, gate: ir.Value, letter: str, c: State, at: str) -> ir.Value:
        """A gate after its activation; a peephole lets it see the cell."""
        if self._peepholes is None:
            return gate
        if c is not None:
            first = "iof".index(letter) * self.hidden
            weight = self.shared(f"P_{letter}", self._peepholes[self._index, first : first + self.hidden])
            seen = self.build.node("Mul", [c, weight], f"{at}/peephole_{letter}")
            gate = self.build.node("Add", [gate, seen], f"{at}/gate_{letter}")
        return self.activation(0, gate, f"{at}/gate_{letter}")


class Gru(Cell):
    """h' = (1 - z) ⊙ g(signal) + z ⊙ h; the reset gate is in the signal, before or behind its layer for h."""

    gates: ClassVar[str] = "zrh"
    functions: ClassVar[tuple[str, ...]] = ("Sigmoid", "Tanh")
    size = 12

    def step(self, at: str, x: ir.Value, states: Sequence[State]) -> list[ir.Value]:
        """One step."""
        (h,) = states
        layer = self.activation(0, self.layer(f"{at}/gates", "zr", x, h), f"{at}/gates")
        z, r = self.build.split(layer, 2, f"{at}/gates/split")
        signal = self.activation(1, self._signal(at, x, r, h), f"{at}/signal")
        new = self.gated(self.complement(z, f"{at}/write"), signal, f"{at}/written")
        if h is None:
            return [new]
        return [self.build.node("Add", [self.gated(z, h, f"{at}/kept"), new], f"{at}/hidden")]

    def _signal(self, at: str, x: ir.Value, r: ir.Value, h: State) -> ir.Value:
        """Before its activation."""
        if not self.build.attributes.get("linear_before_reset", 0):
            reset = None if h is None else self.gated(r, h, f"{at}/reset")
            return self.layer(f"{at}/signal", "h", x, reset)
        layer = self.layer(f"{at}/signal_x", "h", x, None, "W")
        before = self.recurrence(f"{at}/signal_h", "h", h)
        if before is None:
            return layer
        return self.build.node("Add", [layer, self.gated(r, before, f"{at}/reset")], f"{at}/signal")


class Rnn(Cell):
    """h' = f(W x + R h + b)."""

    gates: ClassVar[str] = "i"
    functions: ClassVar[tuple[str, ...]] = ("Tanh",)
    size = 3

    def step(self, at: str, x: ir.Value, states: Sequence[State]) -> list[ir.Value]:
        """One step."""
        return [self.activation(0, self.layer(f"{at}/signal", "i", x, states[0]), f"{at}/hidden")]


@expands("", "LSTM")
def lstm(build: Builder) -> Sequence[ir.Value | None]:
    """Long short-term memory (Arras et al. 2017)."""
    return unroll(build, Lstm)


@expands("", "GRU")
def gru(build: Builder) -> Sequence[ir.Value | None]:
    """Gated recurrent unit (Arras et al. 2019)."""
    return unroll(build, Gru)


@expands("", "RNN")
def rnn(build: Builder) -> Sequence[ir.Value | None]:
    """The simple recurrent layer."""
    return unroll(build, Rnn)
