"""The forward pass through our own maps, in the backend's dtype: for double precision, devices and symbols."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..backends.base import Array, Backend
from ..errors import InvalidModelError, OnnxLrpError
from ..model.evaluation import evaluate_node, opset_of
from ..model.graph import array
from ..ops.columns import VOCABULARY
from ..text import printable
from .plan import Plan
from .step import Step
from .tape import Feeds, StepOperands, Tape, Weights


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
        return self.complete(opened(self.plan, feeds, self.xp))

    def complete(self, tape: Tape) -> Tape:
        """The same, from a tape that holds the inputs.

        Raises:
            InvalidModelError: a node's operands do not fit it.
        """
        try:
            return self.run(tape)
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
        except self.xp.out_of_memory:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
            reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__, 200)
            raise StepError(f"node {step.name} ({printable(step.op)}) cannot be computed: {reason}") from None

    def _derive(self, pending: Sequence[ir.Node], tape: Tape) -> list[ir.Node]:
        """Evaluate the shape arithmetic whose inputs are there by now."""
        waiting = []
        for node in pending:
            inputs = [None if v is None else self._known(v, tape) for v in node.inputs]
            if any(a is None and v is not None for a, v in zip(inputs, node.inputs)):
                waiting.append(node)
                continue
            for value, result in zip(node.outputs, evaluate_node(node, inputs, self.opset)):
                tape.derived[value.name or ""] = result
        return waiting

    def _known(self, value: ir.Value, tape: Tape) -> np.ndarray | None:
        name = value.name or ""
        if name in tape.derived:
            return tape.derived[name]
        if name in tape.values:  # only its shape and type are read
            return np.broadcast_to(np.zeros((), self.xp.dtype), self.xp.shape(tape.values[name]))
        return array(value)


def opened(plan: Plan, feeds: Feeds, xp: Backend) -> Tape:
    """A tape that holds the inputs; a fixed one is known, in double precision, as whatever is made of it."""
    fixed = {name: feeds[name] for name in plan.fixed}
    return Tape(
        values={name: xp.asarray(floating(a)) for name, a in feeds.items() if name not in fixed},
        derived={name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in fixed.items()},
    )


def floating(a: np.ndarray) -> np.ndarray:
    """Integers as float64, words as their numbers; floats as they are."""
    if a.dtype.kind in "OU":
        return VOCABULARY.numbers(a)
    return a if a.dtype.kind == "f" else a.astype(np.float64)
