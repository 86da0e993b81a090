"""The conservation account: where relevance went, as a whole and node by node."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .backends.base import Array, Backend
from .planning import Step


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
class Entry:
    """One node's account: relevance in (from its outputs), out (to its inputs), summed over everything."""

    node: str
    op: str
    rule: str
    arrived: float
    handed_on: float

    @property
    def absorbed(self) -> float:
        """What the node kept."""
        return self.arrived - self.handed_on


@dataclass
class Ledger:
    """Node by node, from the output to the input; what all nodes absorbed is what the inputs did not get."""

    xp: Backend
    entries: list[Entry] = field(default_factory=list)

    def __call__(self, step: Step, arriving: list[Array | None], shares: list[tuple[str, Array]]) -> None:
        """Book one step (an observer of :func:`onnx_lrp.propagation.walk`)."""
        arrived = sum(self._total(r) for r in arriving if r is not None)
        handed_on = sum(self._total(r) for _, r in shares)
        self.entries.append(Entry(step.name, step.op, str(step.rule or ""), arrived, handed_on))

    def _total(self, r: Array) -> float:
        axes = range(len(self.xp.shape(r)))
        return float(self.xp.to_numpy(self.xp.sum(r, list(axes))))
