"""The source's tensors and weights as symbols: what its own nodes compute is read, never computed again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import onnx_ir as ir

from ..backends.onnx import OnnxBackend
from ..backends.symbols import Symbol, SymbolicShape
from ..model.canonizers.origins import Scaled, Stacked, origin_of
from ..model.graph import array
from ..ops import Route
from ..ops.routes import PermuteMap, ReshapeMap
from ..propagation.plan import Plan
from ..propagation.step import Step
from ..propagation.tape import StepOperands, Tape, Weights
from .derived import Derived, Repeated

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
        origin = origin_of(value)
        if isinstance(origin, Scaled) and origin.base in self._source:
            return self._scaled(self._stored(origin.base, value), origin)
        if isinstance(origin, Stacked) and all(base.name in self._source for base in origin.bases):
            return self.recorder.concat([self._rows(base, origin) for base in origin.bases], 0)
        if origin is None and name in self._source:
            return self._stored(name, value)
        return self.recorder.asarray(np.asarray(self.numpy(name)))

    def _stored(self, name: str, like: ir.Value) -> Symbol:
        """A tensor of the source that has the shape of this one."""
        assert like.const_value is not None
        return as_float(self.recorder, _original(self._source[name]), tuple(like.const_value.shape.numpy()))

    def _scaled(self, stored: Symbol, origin: Scaled) -> Symbol:
        if origin.shift is not None and origin.shift.any():
            stored = stored - self.recorder.asarray(origin.shift)
        return stored * self.recorder.asarray(np.asarray(origin.gain))

    def _rows(self, base: ir.Value, origin: Stacked) -> Symbol:
        stored, xp = self._stored(base.name or "", base), self.recorder
        matrix = xp.reshape(xp.take(stored, np.array([origin.index]), 0), stored.shape[1:])
        return xp.permute(xp.take(matrix, origin.rows, 0), [1, 0])


def _original(value: ir.Value) -> ir.Value:
    """What Identity nodes hand on: exporters name shared weights by them, and onnxruntime 1.32 loses one that is read
    both in a LayerNormalization and elsewhere."""
    maker = value.producer()
    while maker is not None and maker.op_type == "Identity" and maker.inputs[0] is not None:
        value = maker.inputs[0]
        maker = value.producer()
    return value


def as_float(xp: OnnxBackend, value: ir.Value, shape: SymbolicShape) -> Symbol:
    """A tensor of the source, in float32."""
    symbol = xp.graph.wrap(value, shape)
    if value.dtype == ir.DataType.FLOAT:
        return symbol
    return xp.graph.emit("Cast", [symbol], shape, to=int(ir.DataType.FLOAT))


class Activations(dict[str, Symbol]):
    """The values of a tape, made when they are asked for.

    A summand that follows from the sum is not read, unless it is in ``read``, so that a runtime need not store it. A
    tensor that the canonizers changed does not exist in the source: if a node that only moves values made one of it
    that does, that one is moved back; else its own node is computed once more.
    """

    def __init__(
        self,
        plan: Plan,
        values: Values,
        sizes: Mapping[str, SymbolicShape],
        xp: OnnxBackend,
        read: Collection[str] = (),
    ) -> None:
        super().__init__()
        self._values, self._sizes, self._xp = values, sizes, xp
        self._makers = {output: step for step in plan.steps for output in step.outputs}
        self._derived = {value.name: node for node in plan.derived for value in node.outputs}
        self._movers = {step.inputs[0]: step for step in plan.steps if _is_bijective(step)}
        self._differences = {name: pair for name, pair in plan.differences.items() if name not in read}
        self.repeated: Mapping[str, Repeated] = {}
        self._copied: dict[str, ir.Value] = {}
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
        pending = [name]
        while pending:  # a recurrent layer is as deep as its sequence is long: too deep for recursion
            missing = [other for other in self._reads(pending[-1]) if not self._is_made(other)]
            if missing:
                pending += missing
            elif not self._is_made(last := pending.pop()):
                self._make(last)
        return self[name]

    def _is_made(self, name: str) -> bool:
        return super().__contains__(name)

    def _reads(self, name: str) -> Iterable[str]:
        """The tensors that this one is made of."""
        if name in self._differences:
            return self._differences[name]
        if name in self._values or name in self.repeated:
            return ()
        if self._is_moved(name):
            return (self._movers[name].outputs[0],)
        if name in self._derived:
            return ()
        return [other for other in self._makers[name].inputs if other is not None and other in self._sizes]

    def _make(self, name: str) -> None:
        """Make a tensor of those that it reads."""
        if name in self._differences:
            total, other = self._differences[name]
            self[name] = self[total] - self[other]
        elif name in self._values:
            self[name] = as_float(self._xp, self._values[name], self._sizes[name])
        elif name in self.repeated:
            self[name] = self.repeated[name].on(self._xp)
        elif name in self._derived:  # a canonizer's own: the bound of a mask
            value = next(v for v in self._derived[name].outputs if v.name == name)
            self[name] = as_float(self._xp, self._raw(value), self._sizes[name])
        else:
            self.update(self._again(name))

    def _raw(self, value: ir.Value) -> ir.Value:
        """A tensor of a derived node's own type: the source's, a number that is known, or the node itself once more."""
        name = value.name or ""
        if name in self._values:
            return self._values[name]
        assert self.tape is not None
        number = self.tape.derived[name] if name in self.tape.derived else array(value)
        if number is not None:
            kind = number.dtype if value.dtype is None else value.dtype.numpy()
            return self._xp.graph.constant(number.astype(np.float32 if np.dtype(kind).kind == "f" else kind)).value
        if name not in self._copied:
            node = self._derived[name]
            given = [None if v is None else self._raw(v) for v in node.inputs]
            made = self._xp.graph.again(node, given)
            self._copied.update((v.name or "", copy) for v, copy in zip(node.outputs, made))
        return self._copied[name]

    def _again(self, name: str) -> dict[str, Symbol]:
        assert self.tape is not None
        assert self.weights is not None
        if self._is_moved(name):
            mover = self._movers[name]
            moved = self[mover.outputs[0]]
            assert isinstance(mover.role, Route)
            return {name: mover.role.map.adjoint(self._xp, [moved], StepOperands(mover, self.tape, self.weights))[0]}
        step = self._makers[name]
        results = step.role.forward(self._xp, StepOperands(step, self.tape, self.weights))
        return {output: result for output, result in zip(step.outputs, results) if output not in self._values}

    def _is_moved(self, name: str) -> bool:
        """Whether nodes that only move values make a tensor of the source of it."""
        moved = name in self._movers
        while name in self._movers and name not in self._values:
            name = self._movers[name].outputs[0]
        return moved and name in self._values


def _is_bijective(step: Step) -> bool:
    return isinstance(step.role, Route) and isinstance(step.role.map, PermuteMap | ReshapeMap)


def make_tape(
    plan: Plan, model: ir.Model, values: Values, measured: Tape, xp: OnnxBackend, read: Collection[str] = ()
) -> tuple[Tape, SymbolicWeights]:
    """Tape and weights for the walk on symbols; what is in ``read`` is never taken as a difference."""
    weights = SymbolicWeights(model, xp, values)
    activations = Activations(plan, values, measured.shapes, xp, read)
    tape = Tape(activations, measured.shapes, measured.derived, measured.made_of, measured.source)
    activations.tape, activations.weights = tape, weights
    if isinstance(measured.derived, Derived):
        activations.repeated = measured.derived.repeated
    return tape, weights
