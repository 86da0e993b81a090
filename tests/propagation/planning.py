"""What the tests of this folder share: models written as text, and what is claimed of them, by tensor name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir

from onnx_lrp import Composite, Explainer, Explanation
from onnx_lrp.backends import Choice, create
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.assignment import assign
from onnx_lrp.propagation.facts import derive
from onnx_lrp.propagation.forward import ForwardRecorder
from onnx_lrp.propagation.plan import Plan, make_plan
from onnx_lrp.propagation.step import Step
from onnx_lrp.propagation.tape import StepOperands, Tape, Weights

BACKENDS = ("numpy", "torch", "onnx")


def parsed(text: str, opset: int = 17, **weights: Any) -> onnx.ModelProto:
    """A model from text, with floats and integers as initializers."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')
    for name, value in weights.items():
        a = np.asarray(value)
        kept = {"f": np.float32, "b": np.bool_}.get(a.dtype.kind, np.int64)
        model.graph.initializer.append(onnx.numpy_helper.from_array(a.astype(kept), name))
    return model


@dataclass(frozen=True)
class Named:
    """Facts by the names of their tensors."""

    nonnegative: set[str]
    masked: dict[str, str]
    differences: dict[str, tuple[str, str]]


def facts_of(model: onnx.ModelProto, composite: str | Composite = "epsilon_plus", pass_ops: Any = ()) -> Named:
    """What is derived for a model under a composite."""
    ready = prepare(model, pass_ops=pass_ops)
    target = ready.model.graph.outputs[0]
    rules = assign(ready.verdict, Composite.parse(composite), "affine", target)
    found = derive(ready.verdict.roles, rules, target)
    masked = {_name(z): _name(a) for z, a in found.masked.items()}
    differences = {_name(v): (_name(a), _name(b)) for v, (a, b) in found.differences.items()}
    return Named(set(map(_name, found.nonnegative)), masked, differences)


def _name(value: ir.Value) -> str:
    return value.name or ""


def planned(model: onnx.ModelProto, composite: str | Composite = "epsilon_plus", **options: Any) -> Plan:
    """The plan of a model under a composite."""
    ready = prepare(model)
    return make_plan(ready.verdict, ready.model, Composite.parse(composite), **options)


def everywhere(
    model: onnx.ModelProto, x: Any, composite: str | Composite, single: float = 1e-5, **call: Any
) -> list[Explanation]:
    """NumPy and Torch in float64, onnxruntime in float32; all of them agree, the last one up to ``single``."""
    found = []
    for backend in BACKENDS:
        dtype = None if backend == "onnx" else "float64"
        found.append(Explainer(model, composite, backend=backend, dtype=dtype)(x, **call))
    for other, tolerance in zip(found[1:], (1e-9, single)):
        for name, r in found[0].inputs.items():
            close(other.inputs[name], r, tolerance)
    return found


def without_facts(model: onnx.ModelProto, x: Any, composite: str | Composite, **call: Any) -> Explanation:
    """The formula in float64."""
    return Explainer(model, composite, backend="numpy", facts=False)(x, **call)


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-9) -> None:
    """Equal up to a part of the largest entry."""
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@dataclass(frozen=True)
class Ready:
    """A model that has run forward: everything that a walk takes, in float64 on NumPy."""

    plan: Plan
    tape: Tape
    weights: Weights

    @staticmethod
    def of(model: onnx.ModelProto, x: np.ndarray, composite: str | Composite = "epsilon", facts: bool = True) -> Ready:
        """The forward pass of one batch."""
        ready = prepare(model)
        plan = make_plan(ready.verdict, ready.model, Composite.parse(composite), facts=facts)
        weights = Weights(ready.model, create(Choice("numpy", "float64")))
        tape = ForwardRecorder(ready.model, plan, weights, "m").record({plan.inputs[0]: x}, set())
        return Ready(plan, tape, weights)

    def step(self, output: str) -> Step:
        """The step that makes a tensor."""
        return next(step for step in self.plan.steps if output in step.outputs)

    def operands(self, output: str) -> StepOperands:
        """What that step sees."""
        return StepOperands(self.step(output), self.tape, self.weights)
