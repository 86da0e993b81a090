"""What an explanation itself gives reason to doubt: one line each, with a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from ..composites import Composite
from ..explanation import Explanation
from ..propagation.ledger import Conservation, LedgerEntry, amplifiers, by_kind
from ..propagation.plan import Plan
from ..propagation.unbounded import reads_input_under_plus
from ..text import printable
from .lattice import lattices

ALIKE = 0.98  # cosine of two classes' maps
FAINT = 0.1  # of the target, at the inputs
CANCELLED = 1e-3  # of the largest output: a difference this small is no yardstick
MANY_ZEROS = 0.25  # exact zeros among an input's elements
Ask = Callable[[], Sequence[LedgerEntry]]


def seen(explanation: Explanation, plan: Plan, feeds: Mapping[str, np.ndarray], ask: Ask) -> tuple[str, ...]:
    """The doubts that one explanation gives.

    Args:
        explanation: what was computed.
        plan: by which rules.
        feeds: of what.
        ask: gives the account of every node, where a doubt needs it and the explanation has none.
    """
    return (
        *_borrowed(explanation, plan.composite), *_faint(explanation, plan.composite.name, ask), *_dark(plan, feeds),
        *amplifiers(explanation.ledger), *lattices(explanation, plan),
    )  # fmt: skip


def _borrowed(explanation: Explanation, composite: Composite) -> Iterator[str]:
    """A composite that was tuned on another model."""
    tuned, context = composite.evidence.get("model_sha256"), explanation.context
    if tuned and context is not None and tuned != context.sha256:
        yield (
            f"the composite {composite.name!r} was tuned on another model (SHA-256 {str(tuned)[:16]}…), whose bounds "
            "and layers it may name; tune one for this model (onnx-lrp tune)"
        )


def alike(explanations: Sequence[Explanation]) -> tuple[str, ...]:
    """Maps of different targets that are almost the same picture, whatever their sign."""
    maps = [np.concatenate([_rows(r, len(e.target)) for r in e.inputs.values()], 1) for e in explanations]
    for (i, a), (j, b) in combinations(enumerate(maps), 2):
        cosine = float(np.median(np.abs(_cosines(a, b))))
        if cosine > ALIKE:
            names = _targets(explanations[i], i), _targets(explanations[j], j)
            context = explanations[i].context
            by_default = context is not None and context.composite == "default"
            return (
                f"the maps of {names[0]} and {names[1]} are almost alike (cosine {cosine:.3f}): they show what both "
                "classes have in common; ask what speaks for one rather than the others (--seed odds)"
                f"{'' if by_default else ', or put ε on the head (--composite default)'}",
            )
    return ()


def _targets(explanation: Explanation, rank: int) -> str:
    """The class, where it is the same for all samples."""
    classes = set(explanation.target.tolist())
    return f"class {explanation.describe(classes.pop())}" if len(classes) == 1 else f"rank {rank + 1}"


def _rows(relevance: np.ndarray, samples: int) -> np.ndarray:
    """One row per sample; all in one where the input has no axis of samples."""
    return relevance.reshape(samples if relevance.shape[:1] == (samples,) else 1, -1).astype(np.float64)


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(1) / np.where(sizes > 0, sizes, 1.0))


def _faint(explanation: Explanation, composite: str, ask: Ask) -> Iterator[str]:
    """Less than a tenth arrives."""
    share = _arrived(explanation.conservation, float(np.abs(explanation.output).max(initial=0)))
    if share is None or share >= FAINT:
        return
    entries = explanation.ledger or ask()
    kept = by_kind(entries)
    absorbers = sorted(entries, key=lambda entry: -abs(entry.absorbed))
    where = f", most of it at {absorbers[0].op} {printable(absorbers[0].node)}" if absorbers else ""
    kind = next(iter(kept), "stabilizers")
    remedy = f"leave them out (--composite {composite}:bias=ignore)" if kind == "biases" else "--ledger says where"
    yield (
        f"only {100 * share:.2g} % of the target arrives at the inputs: {kind} keep the largest part{where}; {remedy}"
    )


def _arrived(account: Conservation, scale: float) -> float | None:
    """The median share of what started; None where that is next to nothing itself."""
    counts = np.abs(account.target) > CANCELLED * scale
    if not counts.any() or len(account.inputs) != len(account.target):
        return None
    return float(np.median(np.abs(account.inputs[counts] / account.target[counts])))


def _dark(plan: Plan, feeds: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Many zeros under z⁺ on the first layer, which gives them nothing."""
    read = {name for step in plan.steps if reads_input_under_plus(step, plan) for name in step.receivers}
    for name in plan.inputs:
        x = feeds.get(name)
        if name not in read or x is None or x.dtype.kind != "f" or not x.size:
            continue
        zeros = float((x == 0).mean())
        if zeros > MANY_ZEROS:
            yield (
                f"{100 * zeros:.0f} % of the input {printable(name)!r} is exactly 0, and z⁺ on the first layer gives "
                f"that nothing; say what bounds the input has, for z^B (--composite default:low={x.min():g},"
                f"high={x.max():g}, if they are these)"
            )
