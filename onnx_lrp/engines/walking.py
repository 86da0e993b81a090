"""The reverse walk on NumPy or Torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.base import Array, Backend
from ..errors import BackendError
from ..model.prepared import Prepared
from ..model.runtime import SessionOptions
from ..propagation.audit import MaskAudit, accept, false_claims, false_masks
from ..propagation.forward import ForwardRecorder
from ..propagation.ledger import Ledger
from ..propagation.plan import Plan
from ..propagation.tape import Feeds, Tape, Weights
from ..propagation.walk import walk
from ..targets import seed_relevance
from .base import Question, Result, indices, original, per_sample, reshaped, sums, weighed
from .recording import OnnxruntimeRecorder, Recorder


class WalkEngine:
    """The reverse walk on NumPy or Torch."""

    def __init__(
        self, prepared: Prepared, plan: Plan, xp: Backend, options: SessionOptions, device: str | None
    ) -> None:
        self.prepared, self.plan, self.xp, self.options = prepared, plan, xp, options
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

    def expects(self, samples: int | None) -> None:
        """Nothing: the walk is the same for any number of samples."""

    def answers(self, feeds: Feeds, result: Result) -> tuple[np.ndarray, np.ndarray]:
        """The original's by onnxruntime, the canonized model's as it was recorded."""
        return original(self.prepared, feeds, self.options), result.recorded

    def run(self, feeds: Feeds, question: Question) -> list[Result]:
        """One recording, and one walk per target.

        Raises:
            BackendError: memory runs out.
        """
        try:
            return self._run(feeds, question)
        except self.xp.out_of_memory:
            raise BackendError(
                f"{self.prepared.source}: the {self.name} backend has not enough memory for this batch; "
                "explain fewer samples at a time, or on another device"
            ) from None

    def _run(self, feeds: Feeds, question: Question) -> list[Result]:
        tape = self._recorder.record(feeds, set())
        if question.audit:
            accept(false_claims(self.plan, tape, self.xp), self.prepared.source)
        logits = self.xp.to_numpy(tape.values[self.plan.target])
        samples = per_sample(logits, self.prepared, feeds)
        seed, targets = reshaped(question.seed, logits, samples), question.targets
        if question.region is not None:
            seed, index = weighed(question.region, question.seed, samples)
            targets = [index]
        results = []
        for index in indices(targets, samples):
            start = seed_relevance(seed, index, samples)
            book = Ledger(self.xp) if question.ledger else None
            found = self._walk(tape, start.reshape(logits.shape), question, book)
            relevance = {name: np.array(self.xp.to_numpy(r)) for name, r in found.items()}
            entries = tuple(book.entries) if book else ()
            results.append(Result(samples, index, sums(start), relevance, logits, entries))
        return results

    def _walk(self, tape: Tape, seed: np.ndarray, question: Question, book: Ledger | None) -> dict[str, Array]:
        masks = MaskAudit() if question.audit else None
        keep = set(question.layers.values())
        found = walk(self.plan, tape, self._weights, self.xp.asarray(seed), keep, book, masks)
        if masks is not None:
            accept(false_masks(masks, tape, self.xp), self.prepared.source)
        return found
