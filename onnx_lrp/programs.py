"""Converted models in onnxruntime sessions, and how large the parts of a batch should be that they run on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir

from .backends.symbols import Batch
from .emission.conversion import Answer, Compiled, emit
from .model.graph import dims
from .model.preparation import Prepared
from .planning import Plan
from .recording import Tape
from .session import SessionOptions, make_session

WORKING_SET = 2**24  # bytes of activations that a run should have at least, or calling costs more than computing
BATCH = "onnx_lrp_batch"  # what the first axis is called where the model does not say


@dataclass(frozen=True)
class Program:
    """A session, and the names of what it takes and gives."""

    session: Any
    compiled: Compiled


class Programs:
    """One session for each question that is asked of a model.

    The first number of samples that is met is compiled in, because runtimes fuse more where they know all shapes; all
    other numbers share a session that takes any.
    """

    def __init__(self, prepared: Prepared, plan: Plan, options: SessionOptions) -> None:
        self.prepared, self.plan, self.options = prepared, plan, options
        self._made: dict[Any, Program] = {}
        self._fixed: int | None = None

    def get(self, tape: Tape, wanted: Answer, samples: int | None) -> Program:
        """The program for inputs of these sizes and this many samples (None: as many as the model says)."""
        if self._fixed is None:
            self._fixed = samples
        size = samples if samples == self._fixed else None
        key = (id(tape), str(wanted), size)
        if key not in self._made:
            compiled = emit(self.prepared, self.plan, wanted, tape)
            self._made[key] = Program(self._session(compiled.proto, size), compiled)
            compiled.proto.Clear()  # the session has its own copy
        return self._made[key]

    def _session(self, proto: onnx.ModelProto, samples: int | None) -> Any:
        sizes: dict[str, int] = {}
        for value in proto.graph.input[: len(self.plan.inputs)] if samples is not None else ():
            first = value.type.tensor_type.shape.dim[0]
            first.dim_param = first.dim_param or BATCH
            sizes[first.dim_param] = samples  # type: ignore[assignment]
        return make_session(proto.SerializeToString(), self.options, self.prepared.source, sizes)

    def preferred(self, tape: Tape) -> int:
        """As many samples as make activations outweigh the weights, and a call worth its while."""
        shapes = tape.shapes.values()
        each = sum(4 * math.prod(n.times if isinstance(n, Batch) else n for n in shape) for shape in shapes)
        tensors = [value.const_value for value in self.prepared.model.graph.initializers.values()]
        weights = sum(tensor.nbytes for tensor in tensors if tensor is not None)
        return max(-(-weights // each), WORKING_SET // each, 1)


def is_open(value: ir.Value) -> bool:
    """Whether the model leaves the number of samples open."""
    shape = dims(value)
    return bool(shape) and not isinstance(shape[0], int)  # type: ignore[index]
