"""Record the activations that the walk reads: through onnxruntime, or (float64, devices) through our own maps."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import onnx_ir as ir

from ..backends.base import Backend
from ..model.precision import to_float32
from ..model.runtime import SessionOptions, open_session, run
from ..propagation.forward import floating, opened
from ..propagation.plan import Plan
from ..propagation.tape import Feeds, Tape


class Recorder(Protocol):
    """Runs the model and keeps what is asked for."""

    def record(self, feeds: Feeds, keep: set[str]) -> Tape:
        """One run; ``keep`` are tensors wanted beyond what the plan needs."""


class OnnxruntimeRecorder:
    """onnxruntime, in float32: fetches only what the plan needs, so that its fused kernels stay fused."""

    def __init__(self, model: ir.Model, plan: Plan, xp: Backend, options: SessionOptions, source: str) -> None:
        self.model, self.plan, self.xp, self.options, self.source = model, plan, xp, options, source
        self._sessions: dict[frozenset[str], Any] = {}
        self._lock = threading.Lock()
        self._needs = plan.needs()
        self._derived = {v.name or "" for node in plan.derived for v in node.outputs} & {
            name for step in plan.steps for name in step.inputs if name is not None
        }

    def record(self, feeds: Feeds, keep: set[str]) -> Tape:
        """One run."""
        values, shapes = self._needs
        made = {name for step in self.plan.steps for name in step.outputs}
        fetch = sorted(((values | keep) & made) | self._derived)
        measure = sorted(shapes & made)
        session = self._session(fetch, measure)
        results = run(session, [*fetch, *(f"{n}/onnx_lrp_shape" for n in measure)], feeds, self.source)
        found = dict(zip(fetch, results))
        tape = opened(self.plan, feeds, self.xp)
        tape.derived |= {n: found.pop(n) for n in self._derived}
        tape.values |= {name: self.xp.asarray(floating(a)) for name, a in found.items()}
        tape.shapes = {n: tuple(int(d) for d in shape) for n, shape in zip(measure, results[len(fetch) :])}
        return tape

    def _session(self, fetch: Sequence[str], measure: Sequence[str]) -> Any:
        key = frozenset(fetch)
        with self._lock:
            if key not in self._sessions:
                observed = _observed(self.model, fetch, measure)
                self._sessions[key] = open_session(observed, self.options, self.source)
            return self._sessions[key]


def _observed(model: ir.Model, fetch: Sequence[str], measure: Sequence[str]) -> ir.Model:
    """A float32 copy of the model whose outputs are these tensors and shapes."""
    single = to_float32(model)
    values = {value.name: value for node in single.graph for value in node.outputs}
    outputs = [values[name] for name in fetch]
    for name in measure:
        node = ir.node("Shape", [values[name]])
        node.outputs[0].name = f"{name}/onnx_lrp_shape"
        node.outputs[0].type = ir.TensorType(ir.DataType.INT64)
        single.graph.append(node)
        outputs.append(node.outputs[0])
    single.graph.outputs[:] = outputs
    return single
