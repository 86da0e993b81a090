"""Two ways to an explanation behind one interface: walk on a backend, or run the compiled model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from .backends.base import Backend
from .ledger import Entry, Ledger
from .model.preparation import Prepared
from .planning import Plan
from .propagation import walk
from .recording import ForwardRecorder, OnnxruntimeRecorder, Recorder, Weights
from .session import Feeds, SessionOptions, make_session, run, to_float32
from .targets import Seed, Target, largest, resolve, seed_relevance

Targets = int | Sequence[Target]


@dataclass(frozen=True)
class Request:
    """What is asked of one batch: targets (or how many of the largest), the seed, tensors inside, the ledger."""

    targets: Targets
    seed: Seed = "logit"
    layers: Mapping[str, str] = field(default_factory=dict)
    ledger: bool = False


@dataclass(frozen=True)
class Result:
    """One target's answer: logits (samples, ...), flat index per sample, ΣR at the start, relevance by tensor."""

    logits: np.ndarray
    index: np.ndarray
    start: np.ndarray
    relevance: dict[str, np.ndarray]
    entries: tuple[Entry, ...] = ()


class Engine(Protocol):
    """Explains batches of one model under one composite."""

    @property
    def name(self) -> str:
        """The backend's name."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """What it computes in."""

    def run(self, feeds: Feeds, request: Request) -> list[Result]:
        """One result per target; they share the forward pass."""

    def answers(self, feeds: Feeds) -> tuple[np.ndarray, np.ndarray]:
        """The explained tensor by the original and by the canonized model, on the batch that was run last."""


def original(prepared: Prepared, feeds: Feeds, options: SessionOptions) -> np.ndarray:
    """The original model's answer, by onnxruntime."""
    reference = prepared.reference()
    if any(v.dtype == ir.DataType.DOUBLE for v in reference.graph.inputs):
        reference = to_float32(reference)  # onnxruntime has no float64 convolution
    return answer(reference, feeds, options, prepared.source)


def answer(model: ir.Model, feeds: Feeds, options: SessionOptions, source: str) -> np.ndarray:
    """A model's first output, by onnxruntime."""
    session = make_session(ir.to_proto(model).SerializeToString(), options, source)
    return np.asarray(run(session, [model.graph.outputs[0].name or ""], feeds, source)[0])


class WalkEngine:
    """The reverse walk on NumPy or Torch."""

    def __init__(
        self, prepared: Prepared, plan: Plan, xp: Backend, options: SessionOptions, device: str | None
    ) -> None:
        self.prepared, self.plan, self.xp, self.options = prepared, plan, xp, options
        self._last = np.zeros(0)
        self._weights = Weights(prepared.model, xp)
        self._recorder: Recorder
        if xp.dtype == np.float64 or device not in (None, "cpu"):  # onnxruntime lacks the precision, or the device
            self._recorder = ForwardRecorder(prepared.model, plan, self._weights, prepared.source)
        else:
            self._recorder = OnnxruntimeRecorder(prepared.model, plan, xp, options, prepared.source)

    @property
    def name(self) -> str:
        """The backend's name."""
        return self.xp.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The backend's dtype."""
        return self.xp.dtype

    def answers(self, feeds: Feeds) -> tuple[np.ndarray, np.ndarray]:
        """The original's by onnxruntime, the canonized model's as it was recorded."""
        return original(self.prepared, feeds, self.options), self._last

    def run(self, feeds: Feeds, request: Request) -> list[Result]:
        """One recording, and one walk per target."""
        tape = self._recorder.record(feeds, set())
        self._last = logits = self.xp.to_numpy(tape.values[self.plan.target])
        samples = per_sample(logits, self.prepared)
        seed = reshaped(request.seed, logits, samples)
        results = []
        for index in indices(request.targets, samples):
            start = seed_relevance(seed, index, samples)
            book = Ledger(self.xp) if request.ledger else None
            keep = set(request.layers.values())
            found = walk(self.plan, tape, self._weights, self.xp.asarray(start.reshape(logits.shape)), keep, book)
            relevance = {name: np.array(self.xp.to_numpy(r)) for name, r in found.items()}
            results.append(Result(samples, index, sums(start), relevance, tuple(book.entries) if book else ()))
        return results


def indices(targets: Targets, samples: np.ndarray) -> list[np.ndarray]:
    """Flat index per sample, of each target."""
    if isinstance(targets, int):
        return largest(samples, targets)
    return [resolve(target, samples) for target in targets]


def sums(relevance: np.ndarray) -> np.ndarray:
    """ΣR per sample, in float64."""
    return np.asarray(relevance.reshape(len(relevance), -1).sum(1, dtype=np.float64))


def per_sample(logits: np.ndarray, prepared: Prepared) -> np.ndarray:
    """The explained tensor with samples first: as it is, or as one sample if its first axis is not the batch."""
    return logits if prepared.batched(logits.shape) else logits[None]


def reshaped(seed: Seed, logits: np.ndarray, samples: np.ndarray) -> Seed:
    """An array seed in the per-sample shape."""
    if isinstance(seed, str) or np.shape(seed) != logits.shape:
        return seed
    return np.asarray(seed).reshape(samples.shape)
