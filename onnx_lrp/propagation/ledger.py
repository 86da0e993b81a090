"""The conservation account: where relevance went, as a whole and node by node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..backends.base import Array, Backend
from ..ops import Linear, Merge, Route
from ..ops.attention import SoftmaxMap
from ..ops.norms import CentredMap
from .step import Step

AMPLIFIED = 1e3  # as a factor of Σ|R| at one node


@dataclass(frozen=True)
class Conservation:
    """Sums per sample, float64 of shape (samples,): what the target had, what the inputs got, and the difference.

    ``size`` is Σ|R| of the inputs: relevance of both signs cancels in their sum. None if nobody took it.
    """

    target: np.ndarray
    inputs: np.ndarray
    size: np.ndarray | None = None

    @property
    def absorbed(self) -> np.ndarray:
        """What biases, stabilizers and zero borders kept: target − inputs."""
        return np.asarray(self.target - self.inputs)

    def __str__(self) -> str:
        sums = [np.atleast_1d(a) for a in (self.target, self.inputs, self.absorbed)]
        sizes = [""] * len(sums[0]) if self.size is None else [f" (Σ|R| {n:.6g})" for n in np.atleast_1d(self.size)]
        return "\n".join(
            f"ΣR at the target {t:.6g}, at the inputs {i:.6g}{size}, absorbed on the way {a:.6g}"
            for t, i, a, size in zip(*sums, sizes)
        )


@dataclass(frozen=True)
class LedgerEntry:
    """One node's account: relevance in (from its outputs), out (to its inputs), summed over everything.

    ``amplification`` is Σ|R| out over Σ|R| in: relevance of both signs may cancel in the sums and yet explode. ``kind``
    says what it is that keeps relevance there.
    """

    node: str
    op: str
    rule: str
    relevance_in: float
    relevance_out: float
    amplification: float = 1.0
    kind: str = ""

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
        _kind(step),
    )


def _kind(step: Step) -> str:
    """What keeps relevance at a step."""
    role = step.role
    if isinstance(role, Merge) and role.bias:
        return "biases" if _is_per_channel(step, role.bias[0]) else "constants that are added, such as positions"
    if isinstance(role, Linear):
        named = {SoftmaxMap: "the constant part of Softmax", CentredMap: "shifts of normalisations"}
        return named.get(type(role.map), "biases" if _has_bias(step) else "stabilizers")
    return "borders" if isinstance(role, Route) else "stabilizers"


def _has_bias(step: Step) -> bool:
    """Whether the layer's own node has one, or the constant behind it is taken for one."""
    own = len(step.inputs) > 2 and step.inputs[2] is not None
    return own or (step.node is not None and step.outputs[0] != step.node.outputs[0].name)


def _is_per_channel(step: Step, position: int) -> bool:
    """Whether a constant varies along one axis at most."""
    value = step.node.inputs[position] if step.node is not None else None
    sizes = None if value is None or value.shape is None else [n for n in value.shape if n != 1]
    return sizes is not None and len(sizes) <= 1


def by_kind(entries: Iterable[LedgerEntry]) -> dict[str, float]:
    """What was absorbed, by what keeps it, the largest first; the sum is what the inputs did not get."""
    found: dict[str, float] = {}
    for entry in entries:
        found[entry.kind] = found.get(entry.kind, 0.0) + entry.absorbed
    return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def amplifiers(entries: Iterable[LedgerEntry]) -> list[str]:
    """What to say of nodes that amplify relevance so much that its digits are lost."""
    return [
        f"{e.op} {e.node} amplifies relevance {e.amplification:.3g}-fold: its output nearly cancels; "
        "use a larger epsilon there, or float64"
        for e in entries
        if e.amplification > AMPLIFIED
    ]
