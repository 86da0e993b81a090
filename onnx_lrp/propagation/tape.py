"""What a walk reads: the recorded activations of one run, the model's constants, and one step's view of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from ..backends.base import Array, Backend, Shape
from ..errors import ConversionError
from ..model.graph import array
from ..ops import Linear
from ..text import printable
from .fast import LayerWeights
from .step import Step

Feeds = Mapping[str, np.ndarray]


@dataclass
class Tape:
    """What one run left behind: values on the backend, shapes, and values that depend on shapes or fixed inputs only.

    While a model is compiled, the latter are not known yet: ``made_of`` says of which fixed input each is made.
    """

    values: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, Any] = field(default_factory=dict)  # tuples of ints, or of symbolic sizes while recording
    derived: dict[str, np.ndarray] = field(default_factory=dict)
    made_of: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


class Weights:
    """The model's constants, brought to the backend once."""

    def __init__(self, model: ir.Model, xp: Backend) -> None:
        self.xp = xp
        self._values = model.graph.initializers
        self._arrays: dict[str, Array] = {}
        self._numpy: dict[str, np.ndarray | None] = {}
        self.parameters: dict[Step, LayerWeights] = {}

    def numpy(self, name: str) -> np.ndarray | None:
        """A constant as NumPy; None if there is none of that name."""
        if name not in self._numpy:
            self._numpy[name] = array(self._values.get(name))
        return self._numpy[name]

    def on_backend(self, name: str) -> Array:
        """A constant on the backend."""
        if name not in self._arrays:
            value = self.numpy(name)
            assert value is not None, name
            self._arrays[name] = self.xp.asarray(value)
        return self._arrays[name]


@dataclass(frozen=True)
class StepOperands:
    """One step's inputs during one run (:class:`onnx_lrp.ops.Operands`)."""

    step: Step
    tape: Tape
    weights: Weights

    def value(self, position: int) -> Array:
        """The input's array, on the backend."""
        name = self._name(position)
        if name in self.tape.values:
            return self.tape.values[name]
        if name in self.tape.derived:
            return self.weights.xp.asarray(self.tape.derived[name])
        return self.weights.on_backend(name)

    def shape(self, position: int) -> Shape:
        """The input's shape."""
        name = self._name(position)
        if name in self.tape.shapes:
            return tuple(self.tape.shapes[name])
        if name in self.tape.values:
            return self.weights.xp.shape(self.tape.values[name])
        constant = self.constant(position)
        assert constant is not None, name
        return constant.shape

    def constant(self, position: int) -> np.ndarray | None:
        """An input that does not depend on the data; None if it is left out."""
        if position >= len(self.step.inputs) or self.step.inputs[position] is None:
            return None
        name = self._name(position)
        if name in self.tape.made_of:
            given = printable(self.tape.made_of[name])
            raise ConversionError(
                f"{self.tape.source}: node {self.step.name} ({printable(self.step.op)}) has to know the value of the "
                f"fixed input {given!r} to be compiled: give it (--fixed {given}=FILE.npy)"
            )
        if name in self.tape.derived:
            return self.tape.derived[name]
        known = self.weights.numpy(name)
        return self._held_number(name) if known is None and name in self.step.held else known

    def _held_number(self, name: str) -> np.ndarray:
        """What is held and has to be known as a number: an index, a shape."""
        try:
            found = self.weights.xp.to_numpy(self.tape.values[name])
        except TypeError:
            raise ConversionError(
                f"{self.tape.source}: node {self.step.name} ({printable(self.step.op)}) has to know the value of "
                f"{printable(name)!r}, which depends on the data, to be compiled: use the backend torch or numpy"
            ) from None
        return np.asarray(np.rint(found), np.int64)

    def output(self) -> Array:
        """The node's own (first) output."""
        return self.tape.values[self.step.outputs[0]]

    def is_open(self, position: int) -> bool:
        """Whether only a run knows the value of a constant, so that :meth:`constant` cannot be asked for it."""
        name = self.step.inputs[position] if position < len(self.step.inputs) else None
        return name is not None and (name in self.tape.made_of or name in self.step.held)

    def same_rows(self, position: int) -> np.ndarray | None:
        """One row of a constant whose rows, one for each sample, are all the same."""
        repeated = getattr(self.tape.derived, "repeated", {}).get(self._name(position))
        if repeated is not None:
            return repeated.one[0] if repeated.axis == 0 and len(repeated.one) == 1 else None
        value = self.constant(position)
        same = value is not None and value.ndim > 0 and len(value) > 0 and bool((value == value[:1]).all())
        return value[0] if same and value is not None else None

    def parameters(self, role: Linear) -> LayerWeights:
        """The layer's weight and bias, kept between runs if they do not depend on the input's shape."""
        kept = self.weights.parameters
        if not role.fixed or any(name in self.tape.derived for name in self.step.inputs):
            return LayerWeights(*role.parameters(self.weights.xp, self))
        if self.step not in kept:
            kept[self.step] = LayerWeights(*role.parameters(self.weights.xp, self))
        return kept[self.step]

    def _name(self, position: int) -> str:
        name = self.step.inputs[position]
        if name is None:
            raise ValueError(f"its input {position} is left out")
        return name
