"""The end of a tuning: what the held-out inputs say, as a decision, a report, and evidence for the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import __version__
from ..composites import Composite
from ..evaluation.report import Standing
from ..evaluation.statistics import Estimate, estimate
from ..evaluation.subject import ENOUGH
from .ground import POINTING, Ground, SampleScores
from .judging import decided, judged
from .report import DEFAULT, TUNED, Tuning
from .search import Search


def concluded(
    search: Search, judges: Ground, best: Composite, default: Composite, held: dict[str, SampleScores]
) -> Tuning:
    """Decide, and put it together.

    Args:
        search: that is over.
        judges: the held-out inputs.
        best: what the search found.
        default: what it started from.
        held: scores of the default on the held-out inputs, and of the best where it is another one.
    """
    found = judged(held[TUNED], held[DEFAULT]) if TUNED in held else None
    better, reason = decided(found) if found else (False, "keep the default: no candidate gains on the tuning inputs")
    rows = tuple(
        Standing(name, measure, estimate(values), found.differences[measure] if found and name == TUNED else None)
        for name, scores in held.items() for measure, values in scores.items()
    )  # fmt: skip
    evidence = _evidence(search, judges, rows, better)
    composite = replace(best if better else default, evidence=evidence)
    inputs, others = len(search.ground.subject.x), len(judges.subject.x)
    settings = (
        f"{inputs} inputs to choose by, {others} held out to judge by; explained is the model's own prediction",
        *judges.about,
    )
    return Tuning(
        composite, not better, tuple(search.trail), rows, judges.subject.explainer.prepared.source, settings, reason,
        _warnings(judges),
    )  # fmt: skip


def _evidence(search: Search, judges: Ground, rows: tuple[Standing, ...], better: bool) -> dict[str, Any]:
    """Numbers and words only: a composite's file holds them."""
    subject = judges.subject
    found: dict[str, Any] = {
        "kept_default": not better,
        "model_sha256": subject.explainer.prepared.sha256,
        "version": __version__,
        "inputs": len(search.ground.subject.x),
        "held_out": len(subject.x),
        "random_seed": judges.choices.random_seed,
        "measured": list(judges.about),
        "intervals": "mean, and the ends of its 95 % interval, on the held-out inputs",
    }
    for row in rows:
        found[f"{row.measure}_{row.method}"] = _numbers(row.value)
        found |= {} if row.difference is None else {f"{row.measure}_difference": _numbers(row.difference)}
    return found


def _numbers(value: Estimate) -> list[float]:
    return [round(number, 6) for number in (value.mean, value.low, value.high)]


def _warnings(judges: Ground) -> tuple[str, ...]:
    found = list(judges.subject.warnings)
    if isinstance(judges.mosaics, str):
        found.append(f"{POINTING} is not measured, and flipping alone can be gamed: {judges.mosaics}")
    if len(judges.subject.x) < ENOUGH:
        found.append(
            f"{len(judges.subject.x)} held-out inputs prove little; give at least {ENOUGH} more than to choose by"
        )
    return tuple(found)
