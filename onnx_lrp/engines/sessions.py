"""Converted models in onnxruntime sessions, and how large the parts of a batch should be that they run on."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ..backends.symbols import BatchSize
from ..conversion.convert import ConversionSpec, ConvertedModel, emit
from ..model.graph import dims
from ..model.prepared import Prepared
from ..model.runtime import SessionOptions, open_session
from ..propagation.plan import Plan
from ..propagation.tape import Tape

WORKING_SET = 2**24  # bytes of activations that a run should have at least, or calling costs more than computing
BATCH = "onnx_lrp_batch"  # what the first axis is called where the model does not say


@dataclass(frozen=True)
class Program:
    """A session, and the names of what it takes and gives; ``own`` is the output behind the head, if there is one."""

    session: Any
    compiled: ConvertedModel
    own: str = ""


class SessionCache:
    """One session for each question that is asked of a model, made when it is first asked and kept.

    A question is what the converted model has to answer: how many targets, which seed, which layers inside, a ledger
    or none; and the sizes of its inputs. One number of samples is compiled in, because runtimes fuse more where they
    know all shapes; all other numbers share a session that takes any. It is the number that is expected, or else the
    first that is met. For example, batches of 8, 8, 3 and 5 samples need two: one for 8, one for the rest.
    """

    def __init__(self, prepared: Prepared, plan: Plan, options: SessionOptions) -> None:
        self.prepared, self.plan, self.options = prepared, plan, options
        self._made: dict[Any, tuple[Tape, Program]] = {}  # with the tape, or its id could become another one's
        self._fixed: int | None = None
        self._lock = threading.Lock()  # what two threads ask for at once is made once

    def get(
        self, tape: Tape, wanted: ConversionSpec, samples: int | None, expected: int | None = None, own: bool = False
    ) -> Program:
        """The program for inputs of these sizes and this many samples (None: as many as the model says).

        With a number that is ``expected``, which program answers does not depend on what was asked before.
        """
        with self._lock:
            if self._fixed is None and expected is None:
                self._fixed = samples
            size = samples if samples == (expected or self._fixed) else None
            own = own and self.prepared.probability is not None
            key = (id(tape), str(wanted), size, own)
            if key not in self._made:
                compiled = emit(self.prepared, self.plan, wanted, tape, narrow=False)
                behind = _behind_head(compiled, self.prepared) if own else None
                session = self._session(compiled, size, [behind] if behind is not None else [])
                self._made[key] = tape, Program(session, compiled, "" if behind is None else behind.name or "")
            return self._made[key][1]

    def forget(self, tape: Tape | None) -> None:
        """Let go of the sessions for these sizes; those that run finish."""
        with self._lock:
            for key in [key for key, (known, _) in self._made.items() if known is tape]:
                del self._made[key]

    @property
    def unproven(self) -> set[str]:
        """Masked tensors at which relevance arrives in a form that does not prove the mask."""
        return {name for _, program in list(self._made.values()) for name in program.compiled.unproven}

    def _session(self, compiled: ConvertedModel, samples: int | None, more: Sequence[ir.Value]) -> Any:
        # for one sample, packed copies of large weights cost more memory than they save time
        config = {"session_disable_prepacking": "1"} if samples == 1 else {}
        sizes = self._fix(compiled, samples)
        compiled.model.graph.outputs.extend(more)
        return open_session(compiled.model, self.options, self.prepared.source, sizes, **config)

    def _fix(self, compiled: ConvertedModel, samples: int | None) -> dict[str, int]:
        """Leave the outputs that are asked for; returns the size of each open first axis, if known."""
        graph = compiled.model.graph
        graph.outputs[:] = [value for value in graph.outputs if value.name in compiled.outputs]
        sizes: dict[str, int] = {}
        for value in graph.inputs:
            if samples is not None and value.name in self.plan.inputs and value.shape is not None:
                name = value.shape[0].value if isinstance(value.shape[0], ir.SymbolicDim) else None
                value.shape = ir.Shape([name or BATCH, *list(value.shape)[1:]])
                sizes[name or BATCH] = samples
        return sizes

    def preferred(self, tape: Tape) -> int:
        """As many samples as make activations outweigh the weights, and a call worth its while."""
        shapes = tape.shapes.values()
        each = sum(4 * math.prod(n.times if isinstance(n, BatchSize) else n for n in shape) for shape in shapes)
        tensors = [value.const_value for value in self.prepared.source_model.graph.initializers.values()]
        weights = sum(tensor.nbytes for tensor in tensors if tensor is not None)
        return max(-(-weights // each), WORKING_SET // each, 1)


def _behind_head(compiled: ConvertedModel, prepared: Prepared) -> ir.Value | None:
    """What the model makes of its logits, where the compiled one has that in single precision, too."""
    made = {value.name: value for node in compiled.model.graph for value in node.outputs}
    declared = {value.name: value for node in prepared.source_model.graph for value in node.outputs}
    value, source = made.get(prepared.probability), declared.get(prepared.probability)
    if value is None or source is None or source.dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        return None
    value.type = ir.TensorType(ir.DataType.FLOAT)
    return value


def is_open(value: ir.Value) -> bool:
    """Whether the model leaves the number of samples open."""
    shape = dims(value)
    return bool(shape) and not isinstance(shape[0], int)  # type: ignore[index]
