"""The symbolic twin of :class:`onnx_lrp.targets.Contrast`: the same starts as nodes on the explained tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backends.onnx import OnnxBackend
from ..backends.symbols import Symbol
from ..targets import Contrast

LOWEST_LOGIT = float(np.finfo(np.float32).min)  # no class with this logit is the largest, or has a share


@dataclass(frozen=True)
class SymbolicContrast:
    """What a walk starts with at targets that a run knows.

    Args:
        xp: the backend.
        contrast: which one.
        flat: the explained tensor, (samples, classes).
        given: what the converted model takes as an input of this name, (samples or 1, n): classes of ``against``, -1
            for the runner-up; or the ``baseline``. None: the contrast's own are compiled in.
    """

    xp: OnnxBackend
    contrast: Contrast
    flat: Symbol
    given: Symbol | None = None

    def start(self, one_hot: Symbol) -> Symbol:
        """Relevance (samples, classes) for targets as one-hot rows."""
        if self.contrast.kind == "baseline":  # of the one element that there is
            return (self.flat - (self.contrast.baseline if self.given is None else self.given)) * one_hot
        if self.contrast.kind == "probability":
            return self.xp.softmax(self.flat, 1) * one_hot
        return self._weights(one_hot) * self.flat

    def _weights(self, one_hot: Symbol) -> Symbol:
        others = self.xp.where(one_hot > 0.5, LOWEST_LOGIT, self.flat)
        if self.contrast.kind == "odds":
            return one_hot - self.xp.softmax(others, 1)
        best = self.xp.argmax(others)
        if self.contrast.kind == "margin":
            return one_hot - self._one_hot(best)
        chosen, count = self._chosen(best)
        return self._apart(one_hot, chosen) - chosen * (1 / count)

    def _chosen(self, best: Symbol) -> tuple[Symbol, int]:
        """1 for the classes of ``against``, else 0; and how many there are."""
        if self.given is None:
            rows = np.zeros((1, self.flat.shape[1]), np.float32)
            rows[0, list(self.contrast.classes)] = 1
            return self.xp.asarray(rows), len(self.contrast.classes)
        classes = self.xp.where(self.given < self.xp.graph.ints([0]), best, self.given)
        count = self.given.shape[1]
        first, *others = [self._one_hot(self.xp.take(classes, np.array([i]), 1)) for i in range(count)]
        for other in others:
            first = first + other
        return first, count

    def _apart(self, one_hot: Symbol, chosen: Symbol) -> Symbol:
        """The targets, plus zeros that are looked up at a place which does not exist for a target that is chosen."""
        place = self.xp.whole(self.xp.sum(one_hot * chosen, [1], keepdims=True))
        zeros = self.xp.asarray(np.zeros(1, np.float32))
        return one_hot + self.xp.graph.emit("Gather", [zeros, place], place.shape, axis=0)

    def _one_hot(self, column: Symbol) -> Symbol:
        return self.xp.one_hot(column, self.flat.shape[1])
