"""The source's tensors and weights as symbols: what its own nodes compute is read, never computed again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..backends.onnx import OnnxBackend
from ..backends.symbols import Sizes, Symbol
from ..model.canonizers.merging import scaled_from
from ..ops import Route
from ..ops.routing import PermuteMap, ReshapeMap
from ..planning import Plan, Step
from ..recording import StepOperands, Tape, Weights

Values = dict[str, ir.Value]


def named_values(graph: ir.Graph) -> Values:
    """Every tensor of a graph by name."""
    made = [value for node in graph for value in node.outputs]
    return {value.name or "": value for value in (*graph.inputs, *graph.initializers.values(), *made)}


class SymbolicWeights(Weights):
    """Weights as nodes on the tensors that the source stores, so that none is stored twice."""

    def __init__(self, model: ir.Model, xp: OnnxBackend, values: Values) -> None:
        super().__init__(model, xp)
        self.recorder, self._source = xp, values

    def on_backend(self, name: str) -> Symbol:
        """The weight; a merged or dequantised one is made of the stored one."""
        if name not in self._arrays:
            self._arrays[name] = self._symbol(name)
        made: Symbol = self._arrays[name]
        return made

    def _symbol(self, name: str) -> Symbol:
        value = self._values[name]
        assert value.const_value is not None
        origin, shape = scaled_from(value), tuple(value.const_value.shape.numpy())
        stored = self._source.get(name if origin is None else origin.base)
        if stored is None:
            return self.recorder.asarray(np.asarray(self.numpy(name)))
        symbol = as_float(self.recorder, stored, shape)
        if origin is None:
            return symbol
        if origin.shift is not None and origin.shift.any():
            symbol = symbol - self.recorder.asarray(origin.shift)
        return symbol * self.recorder.asarray(np.asarray(origin.gain))


def as_float(xp: OnnxBackend, value: ir.Value, shape: Sizes) -> Symbol:
    """A tensor of the source, in float32."""
    symbol = xp.graph.wrap(value, shape)
    if value.dtype == ir.DataType.FLOAT:
        return symbol
    return xp.graph.emit("Cast", [symbol], shape, to=int(ir.DataType.FLOAT))


class Activations(dict[str, Symbol]):
    """The values of a tape, made when they are asked for.

    A summand that follows from the sum is not read, so that a runtime need not store it. A tensor that the canonizers
    changed does not exist in the source: if a node that only moves values made one of it that does, that one is moved
    back; else its own node is computed once more.
    """

    def __init__(self, plan: Plan, values: Values, sizes: Mapping[str, Sizes], xp: OnnxBackend) -> None:
        super().__init__()
        self._values, self._sizes, self._xp = values, sizes, xp
        self._makers = {output: step for step in plan.steps for output in step.outputs}
        self._movers = {step.inputs[0]: step for step in plan.steps if _is_bijective(step)}
        self._differences = plan.differences
        self.tape: Tape | None = None
        self.weights: Weights | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._sizes

    def get(self, name: str, default: Symbol | None = None) -> Symbol | None:  # type: ignore[override]
        """The tensor, or the default if there is none of this name."""
        try:
            return self[name]
        except KeyError:
            return default

    def __missing__(self, name: str) -> Symbol:
        if name not in self._sizes:
            raise KeyError(name)
        if name in self._differences:
            total, other = self._differences[name]
            made = self[total] - self[other]
        elif name in self._values:
            made = as_float(self._xp, self._values[name], self._sizes[name])
        else:
            made = self._again(name)
        self[name] = made
        return made

    def _again(self, name: str) -> Symbol:
        assert self.tape is not None
        assert self.weights is not None
        mover = self._movers.get(name)
        if mover is not None and isinstance(mover.role, Route) and self._is_stored(mover.outputs[0]):
            moved = self[mover.outputs[0]]
            back: Symbol = mover.role.map.adjoint(self._xp, [moved], StepOperands(mover, self.tape, self.weights))[0]
            return back
        step = self._makers[name]
        results = step.role.forward(self._xp, StepOperands(step, self.tape, self.weights))
        again: Symbol = results[step.outputs.index(name)]
        return again

    def _is_stored(self, name: str) -> bool:
        """Whether the source has this tensor, or one that it was only moved to."""
        while name not in self._values and name in self._movers:
            name = self._movers[name].outputs[0]
        return name in self._values


def _is_bijective(step: Step) -> bool:
    return isinstance(step.role, Route) and isinstance(step.role.map, PermuteMap | ReshapeMap)


def make_tape(
    plan: Plan, model: ir.Model, values: Values, measured: Tape, xp: OnnxBackend
) -> tuple[Tape, SymbolicWeights]:
    """Tape and weights for the walk on symbols."""
    weights = SymbolicWeights(model, xp, values)
    activations = Activations(plan, values, measured.shapes, xp)
    tape = Tape(activations, measured.shapes, measured.derived)
    activations.tape, activations.weights = tape, weights
    return tape, weights
