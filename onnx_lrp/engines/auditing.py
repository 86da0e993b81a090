"""The canonized model's own answer by onnxruntime, and in the same run what its facts claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from ..model.precision import to_float32
from ..model.prepared import Prepared
from ..model.runtime import SessionOptions, open_session, run
from ..propagation.audit import TOLERANCE, below_zero, claimed_nonnegative
from ..propagation.plan import Plan
from ..propagation.tape import Feeds
from ..text import printable


class AuditedModel:
    """The canonized model in float32 with one number for each claim about its tensors.

    ``tensors`` are fetched as they are, beside the explained one.
    """

    def __init__(self, prepared: Prepared, plan: Plan, tensors: Sequence[str] = ()) -> None:
        self.plan, self.source, self.model = plan, prepared.source, to_float32(prepared.model)
        self._values = {value.name: value for node in self.model.graph for value in node.outputs}
        for value in self._values.values():
            value.shape = (
                None  # an exporter may have written a wrong one, of which only what is added here would suffer
            )
        self._values |= {value.name: value for value in self.model.graph.inputs}
        self.tensors = list(tensors)
        self.least = [self._add("ReduceMin", self._values[name]) for name in claimed_nonnegative(plan)]
        self.gaps = [self._gap(name, *pair) for name, pair in plan.differences.items()]
        self.model.graph.outputs.extend([*self.least, *self.gaps, *(self._values[name] for name in self.tensors)])

    def run(self, feeds: Feeds, options: SessionOptions) -> tuple[np.ndarray, list[str], dict[str, np.ndarray]]:
        """The explained tensor, what is claimed and does not hold, and the tensors that were asked for."""
        session = open_session(self.model, options, self.source, session_disable_prepacking="1")  # it runs once
        names = [value.name or "" for value in self.model.graph.outputs]
        first, *others = run(session, names, feeds, self.source)
        numbers, count = others[: len(self.least) + len(self.gaps)], len(self.least)
        found = list(self._false([float(n) for n in numbers[:count]], [float(n) for n in numbers[count:]]))
        return np.asarray(first), found, dict(zip(self.tensors, others[len(numbers) :]))

    def _false(self, least: Sequence[float], gaps: Sequence[float]) -> Iterator[str]:
        for name, number in zip(claimed_nonnegative(self.plan), least):
            yield from below_zero(name, number)
        for name, gap in zip(self.plan.differences, gaps):
            if gap > TOLERANCE:
                yield f"tensor {printable(name)!r} was taken to be the difference of two tensors, and is not"

    def _gap(self, name: str, total: str, other: str) -> ir.Value:
        """max |total - other - value| where total > 0, relative to the largest total."""
        rectified, value = self._values[total], self._values[name]
        rest = self._node("Sub", self._node("Sub", rectified, self._values[other]), value)
        gap = self._node("ReduceMax", self._node("Abs", self._node("Mul", rest, self._node("Sign", rectified))))
        scale = self._node("ReduceMax", self._node("Add", rectified, self._node("Abs", value)))
        return self._add("Div", gap, self._node("Add", scale, self._tiny()))

    def _tiny(self) -> ir.Value:
        if "audit/tiny" not in self.model.graph.initializers:
            tensor = ir.Tensor(np.asarray(1e-30, np.float32), name="audit/tiny")
            self.model.graph.register_initializer(ir.val("audit/tiny", const_value=tensor))
        return self.model.graph.initializers["audit/tiny"]

    def _node(self, op: str, *inputs: ir.Value) -> ir.Value:
        attributes = {"keepdims": 0} if op.startswith("Reduce") else {}
        node = ir.node(op, list(inputs), attributes)
        node.outputs[0].name = f"audit/{len(self.model.graph)}"
        self.model.graph.append(node)
        return node.outputs[0]

    def _add(self, op: str, *inputs: ir.Value) -> ir.Value:
        """A node whose output is the model's, a number in float32."""
        made = self._node(op, *inputs)
        made.type, made.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
        return made
