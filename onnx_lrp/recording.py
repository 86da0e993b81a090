"""Record the activations that the walk reads: through onnxruntime, or (float64, devices) through our own maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from .backends.base import Array, Backend, Shape
from .errors import InvalidModelError, OnnxLrpError
from .interpreter import Parameters
from .model.evaluation import evaluate, opset_of
from .model.graph import array
from .ops import Linear
from .planning import Plan, Step
from .session import Feeds, SessionOptions, make_session, run, to_float32
from .text import clean


@dataclass
class Tape:
    """What one run left behind: values on the backend, shapes, and values that depend on shapes only."""

    values: dict[str, Array] = field(default_factory=dict)
    shapes: dict[str, Any] = field(default_factory=dict)  # tuples of ints, or of symbolic sizes while recording
    derived: dict[str, np.ndarray] = field(default_factory=dict)


class Weights:
    """The model's constants, brought to the backend once."""

    def __init__(self, model: ir.Model, xp: Backend) -> None:
        self.xp = xp
        self._values = model.graph.initializers
        self._arrays: dict[str, Array] = {}
        self._numpy: dict[str, np.ndarray | None] = {}
        self.parameters: dict[Step, Parameters] = {}

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
        return self.tape.derived[name] if name in self.tape.derived else self.weights.numpy(name)

    def parameters(self, role: Linear) -> Parameters:
        """The layer's weight and bias, kept between runs if they do not depend on the input's shape."""
        kept = self.weights.parameters
        if not role.fixed or any(name in self.tape.derived for name in self.step.inputs):
            return Parameters(*role.parameters(self.weights.xp, self))
        if self.step not in kept:
            kept[self.step] = Parameters(*role.parameters(self.weights.xp, self))
        return kept[self.step]

    def _name(self, position: int) -> str:
        name = self.step.inputs[position]
        if name is None:
            raise ValueError(f"its input {position} is left out")
        return name


class Recorder(Protocol):
    """Runs the model and keeps what is asked for."""

    def record(self, feeds: Feeds, keep: set[str]) -> Tape:
        """One run; ``keep`` are tensors wanted beyond what the plan needs."""


class StepError(ValueError):
    """A step cannot be computed from the operands that it has; the message names the node."""


class ForwardRecorder:
    """The forward pass through our own maps, in the backend's dtype: the double-precision path."""

    def __init__(self, model: ir.Model, plan: Plan, weights: Weights, source: str) -> None:
        self.plan, self.weights, self.xp, self.source = plan, weights, weights.xp, source
        self.opset = opset_of(model)

    def record(self, feeds: Feeds, keep: set[str]) -> Tape:
        """One run; everything is kept.

        Raises:
            InvalidModelError: a node's operands do not fit it.
        """
        try:
            return self.run(Tape(values={name: self.xp.asarray(_floating(a)) for name, a in feeds.items()}))
        except StepError as error:
            raise InvalidModelError(f"{self.source}: {error}") from None

    def run(self, tape: Tape) -> Tape:
        """The forward pass, from a tape that holds the inputs.

        Raises:
            StepError: a node's operands do not fit it.
        """
        pending = list(self.plan.derived)
        for step in self.plan.steps:
            pending = self._derive(pending, tape)
            for name, value in zip(step.outputs, self._forward(step, tape)):
                tape.values[name] = value
        return tape

    def _forward(self, step: Step, tape: Tape) -> list[Array]:
        """One step; what NumPy and Torch raise where shapes do not fit becomes one line."""
        try:
            return step.role.forward(self.xp, StepOperands(step, tape, self.weights))
        except OnnxLrpError:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError) as error:
            reason = clean(str(error).splitlines()[0] if str(error) else type(error).__name__, 200)
            raise StepError(f"node {step.name} ({clean(step.op)}) cannot be computed: {reason}") from None

    def _derive(self, pending: Sequence[ir.Node], tape: Tape) -> list[ir.Node]:
        """Evaluate the shape arithmetic whose inputs are there by now."""
        waiting = []
        for node in pending:
            inputs = [None if v is None else self._known(v, tape) for v in node.inputs]
            if any(a is None and v is not None for a, v in zip(inputs, node.inputs)):
                waiting.append(node)
                continue
            for value, result in zip(node.outputs, evaluate(node, inputs, self.opset)):
                tape.derived[value.name or ""] = result
        return waiting

    def _known(self, value: ir.Value, tape: Tape) -> np.ndarray | None:
        name = value.name or ""
        if name in tape.derived:
            return tape.derived[name]
        if name in tape.values:  # only its shape and type are read
            return np.broadcast_to(np.zeros((), self.xp.dtype), self.xp.shape(tape.values[name]))
        return array(value)


def _floating(a: np.ndarray) -> np.ndarray:
    return a if a.dtype.kind == "f" else a.astype(np.float64)


class OnnxruntimeRecorder:
    """onnxruntime, in float32: fetches only what the plan needs, so that its fused kernels stay fused."""

    def __init__(self, model: ir.Model, plan: Plan, xp: Backend, options: SessionOptions, source: str) -> None:
        self.model, self.plan, self.xp, self.options, self.source = model, plan, xp, options, source
        self._sessions: dict[frozenset[str], Any] = {}
        self._derived = {v.name or "" for node in plan.derived for v in node.outputs} & {
            name for step in plan.steps for name in step.inputs if name is not None
        }

    def record(self, feeds: Feeds, keep: set[str]) -> Tape:
        """One run."""
        values, shapes = self.plan.needs()
        made = {name for step in self.plan.steps for name in step.outputs}
        fetch = sorted(((values | keep) & made) | self._derived)
        measure = sorted(shapes & made)
        session = self._session(fetch, measure)
        results = run(session, [*fetch, *(f"{n}/shape" for n in measure)], feeds, self.source)
        found = dict(zip(fetch, results))
        tape = Tape(derived={n: found.pop(n) for n in self._derived})
        tape.values = {name: self.xp.asarray(_floating(a)) for name, a in {**feeds, **found}.items()}
        tape.shapes = {n: tuple(int(d) for d in shape) for n, shape in zip(measure, results[len(fetch) :])}
        return tape

    def _session(self, fetch: Sequence[str], measure: Sequence[str]) -> Any:
        key = frozenset(fetch)
        if key not in self._sessions:
            data = ir.to_proto(_observed(self.model, fetch, measure)).SerializeToString()
            self._sessions[key] = make_session(data, self.options, self.source)
        return self._sessions[key]


def _observed(model: ir.Model, fetch: Sequence[str], measure: Sequence[str]) -> ir.Model:
    """A float32 copy of the model whose outputs are these tensors and shapes."""
    single = to_float32(model)
    values = {value.name: value for node in single.graph for value in node.outputs}
    outputs = [values[name] for name in fetch]
    for name in measure:
        node = ir.node("Shape", [values[name]])
        node.outputs[0].name = f"{name}/shape"
        node.outputs[0].type = ir.TensorType(ir.DataType.INT64)
        single.graph.append(node)
        outputs.append(node.outputs[0])
    single.graph.outputs[:] = outputs
    return single
