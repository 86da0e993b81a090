"""The reverse walk on NumPy or Torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.base import Backend
from ..model.preparation import Prepared
from ..propagation.forward import ForwardRecorder
from ..propagation.ledger import Ledger
from ..propagation.plan import Plan
from ..propagation.tape import Feeds, Weights
from ..propagation.walk import walk
from ..targets import seed_relevance
from .base import Request, Result, indices, original, per_sample, reshaped, sums
from .recording import OnnxruntimeRecorder, Recorder
from .runtime import SessionOptions


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
