"""The conservation account: where relevance went, as a whole and node by node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..backends.base import Array, Backend
from .step import Step

AMPLIFIED = 1e3  # as a factor of Σ|R| at one node


@dataclass(frozen=True)
class Conservation:
    """Sums per sample, float64 of shape (samples,): what the target had, what the inputs got, and the difference."""

    target: np.ndarray
    inputs: np.ndarray

    @property
    def absorbed(self) -> np.ndarray:
        """What biases, stabilizers and zero borders kept: target − inputs."""
        return np.asarray(self.target - self.inputs)

    def __str__(self) -> str:
        rows = zip(np.atleast_1d(self.target), np.atleast_1d(self.inputs), np.atleast_1d(self.absorbed))
        return "\n".join(
            f"ΣR at the target {t:.6g}, at the inputs {i:.6g}, absorbed on the way {a:.6g}" for t, i, a in rows
        )


@dataclass(frozen=True)
class LedgerEntry:
    """One node's account: relevance in (from its outputs), out (to its inputs), summed over everything.

    ``amplification`` is Σ|R| out over Σ|R| in: relevance of both signs may cancel in the sums and yet explode.
    """

    node: str
    op: str
    rule: str
    relevance_in: float
    relevance_out: float
    amplification: float = 1.0

    @property
    def absorbed(self) -> float:
        """What the node kept."""
        return self.relevance_in - self.relevance_out


@dataclass
class Ledger:
    """Node by node, from the output to the input; what all nodes absorbed is what the inputs did not get."""

    xp: Backend
    entries: list[LedgerEntry] = field(default_factory=list)

    def __call__(self, step: Step, arriving: list[Array | None], shares: list[tuple[str, Array]]) -> None:
        """Book one step (an observer of :func:`onnx_lrp.propagation.walk`)."""
        sums = [self._sums([r for r in arriving if r is not None]), self._sums([r for _, r in shares])]
        self.entries.append(entry(step, *(total for pair in zip(*sums) for total in pair)))

    def _sums(self, relevances: list[Array]) -> tuple[float, float]:
        """ΣR and Σ|R|."""
        return sum(map(self._total, relevances)), sum(self._total(self.xp.abs(r)) for r in relevances)

    def _total(self, r: Array) -> float:
        axes = range(len(self.xp.shape(r)))
        return float(self.xp.to_numpy(self.xp.sum(r, list(axes))))


def entry(step: Step, relevance_in: float, relevance_out: float, size_in: float, size_out: float) -> LedgerEntry:
    """A step's account from ΣR and Σ|R| of what arrived and of what was handed on."""
    return LedgerEntry(
        step.name,
        step.op,
        str(step.rule or ""),
        relevance_in,
        relevance_out,
        size_out / size_in if size_in > 0 else 1.0,
    )


def amplifiers(entries: Iterable[LedgerEntry]) -> list[str]:
    """What to say of nodes that amplify relevance so much that its digits are lost."""
    return [
        f"{e.op} {e.node} amplifies relevance {e.amplification:.3g}-fold: its output nearly cancels; "
        "use a larger epsilon there, or float64"
        for e in entries
        if e.amplification > AMPLIFIED
    ]
