"""Facts are claims: here they are held against the numbers of one run, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..backends.base import Backend
from ..errors import VerificationError
from ..ops import Linear
from ..text import printable
from .plan import Plan
from .step import Step
from .tape import Tape
from .walk import Multiplier, Relevance, plain

TOLERANCE = 1e-3  # of a difference in float32, relative to the largest of the other two tensors
BLOCK = 2**14  # elements that are looked at at once, so that they stay in the processor's cache


def claimed_nonnegative(plan: Plan) -> list[str]:
    """Tensors whose sign a layer takes for granted."""
    layers = [step for step in plan.reached() if isinstance(step.role, Linear) and step.nonnegative]
    return list(dict.fromkeys(name for step in layers for name in step.receivers))


@dataclass
class MaskAudit:
    """Watches a walk (see :func:`.walk.walk`): no relevance may arrive at a masked tensor where its ReLU is 0.

    Relevance a ⊙ c of the ReLU's output a cannot, whatever c is; any other is collected in ``unproven``, with its step,
    to be held against numbers.
    """

    unproven: list[tuple[Step, Relevance]] = field(default_factory=list)

    def __call__(self, step: Step, arriving: list[Relevance | None]) -> None:
        """Look at what arrives at one step."""
        r = arriving[0]
        if step.masked is not None and not (isinstance(r, Multiplier) and r.base == step.masked):
            self.unproven.append((step, r))


def false_claims(plan: Plan, tape: Tape, xp: Backend) -> Iterator[str]:
    """What is claimed of tensors and does not hold, on a tape with their values."""
    for name in claimed_nonnegative(plan):
        yield from below_zero(name, float(xp.to_numpy(tape.values[name]).min(initial=0.0)))
    for name, (total, other) in plan.differences.items():
        if {name, total, other} <= set(tape.values):  # else the walk takes no difference here
            yield from differs(name, *(xp.to_numpy(tape.values[n]) for n in (name, total, other)))


def false_masks(watched: MaskAudit, tape: Tape, xp: Backend) -> Iterator[str]:
    """Masked tensors that relevance arrives at where it should not."""
    for step, r in watched.unproven:
        yield from unmasked(step, xp.to_numpy(plain(r, tape)), xp.to_numpy(tape.values[step.denominator]))


def below_zero(name: str, least: float) -> Iterator[str]:
    """Whether a tensor with this least entry has one below 0."""
    if least < 0:
        yield f"tensor {printable(name)!r} was taken to have no entry below 0, and has {least:.3g}"


def differs(name: str, value: np.ndarray, total: np.ndarray, other: np.ndarray) -> Iterator[str]:
    """Whether a summand is not the difference of two tensors somewhere where their rectified sum is positive."""
    gap = scale = 0.0
    for start in range(0, total.size, BLOCK):
        v, t, o = (a.reshape(-1)[start : start + BLOCK] for a in (value, total, other))
        gap = max(gap, float((np.abs(t - o - v) * (t > 0)).max()))
        scale = max(scale, float(np.abs(t).max()), float(np.abs(o).max()))
    if gap > TOLERANCE * scale:
        yield f"tensor {printable(name)!r} was taken to be the difference of two tensors, and is not"


def unmasked(step: Step, r: np.ndarray, a: np.ndarray) -> Iterator[str]:
    """Whether relevance arrives where the ReLU behind a step is 0."""
    if (np.abs(r) * (a <= 0)).max(initial=0.0) > 0:
        yield f"relevance arrives at tensor {printable(step.outputs[0])!r} where its ReLU is 0, and was taken not to"


def accept(claims: Iterable[str], source: str) -> None:
    """Pass if no claim is false.

    Raises:
        VerificationError: one is; it names the tensor.
    """
    false = next(iter(claims), None)
    if false is not None:
        raise VerificationError(
            f"{source}: a fact does not hold: {false}; please report this model, and use facts=False until then"
        )
