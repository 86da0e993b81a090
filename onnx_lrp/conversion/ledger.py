"""The account of every node as one output of the converted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backends.onnx import OnnxBackend
from ..backends.symbols import Symbol
from ..propagation.step import Step


class SymbolicLedger:
    """Books sums as nodes (an observer of :func:`onnx_lrp.propagation.walk`); only steps that relevance meets count."""

    def __init__(self, xp: OnnxBackend) -> None:
        self.xp = xp
        self.steps: list[Step] = []
        self._sums: list[Symbol] = []

    def __call__(self, step: Step, arriving: list[Symbol | None], shares: list[tuple[str, Symbol]]) -> None:
        """Book one step."""
        self.steps.append(step)
        both = [r for r in arriving if r is not None], [r for _, r in shares]
        self._sums += [self._total(relevances) for relevances in both]
        self._sums += [self._total([self.xp.abs(r) for r in relevances]) for relevances in both]

    def _total(self, relevances: Sequence[Symbol]) -> Symbol:
        sums = [self.xp.reshape(self.xp.sum(r, range(len(r.shape))), (1,)) for r in relevances]
        return sum(sums[1:], sums[0]) if sums else self.xp.asarray(np.zeros(1))

    def page(self) -> Symbol:
        """(4 × steps,): what arrived at each step and what it handed on, as ΣR and then as Σ|R|."""
        return self.xp.concat(self._sums, 0)
