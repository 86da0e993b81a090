"""What ``tune`` reports: the composite, whether it is the default, and what speaks for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..composites import Composite
from ..evaluation.report import ABOUT, Standing
from ..text import printable, table
from .search import Trial

DEFAULT, TUNED = "default", "tuned"


@dataclass(frozen=True)
class Tuning:
    """What was found.

    Attributes:
        composite: the one to use, with its seed; :meth:`Composite.save` writes it with the evidence.
        kept: whether that is the default.
        trail: every candidate, with its scores on the tuning inputs.
        rows: the default and the best candidate on the held-out inputs, by measure; the default alone, where the
            search found nothing better.
        source: what the model is called.
        settings: one line each on what was measured, and how.
        reason: for what is taken.
        warnings: what speaks against believing the numbers, and what could not be measured.
    """

    composite: Composite
    kept: bool
    trail: tuple[Trial, ...]
    rows: tuple[Standing, ...]
    source: str
    settings: tuple[str, ...]
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def evidence(self) -> Mapping[str, Any]:
        """The same in short, as it is written beside the composite."""
        return self.composite.evidence

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "source": self.source,
            "kept": self.kept,
            "reason": self.reason,
            "composite": self.composite.toml(),
            "seed": self.composite.seed,
            "evidence": dict(self.evidence),
            "settings": list(self.settings),
            "trail": [asdict(trial) for trial in self.trail],
            "rows": [asdict(row) for row in self.rows],
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.source}: a composite tuned"
        yield from (f"  {line}" for line in self.settings)
        measures = list(dict.fromkeys(row.measure for row in self.rows))
        yield "candidates, one stage after the other, means over the first tuning inputs, gain over the best so far:"
        titles = ("stage", "choice", "inputs", *measures, "gain", "")
        yield from (f"  {line}" for line in table(titles, [_cells(trial, measures) for trial in self.trail]))
        yield "on the held-out inputs:"
        for measure in measures:
            yield f"{measure}: {ABOUT[measure]}"
            titles = ("composite", "mean", "95 % interval", f"less {DEFAULT}", "95 % interval", "")
            cells = [row.cells() for row in self.rows if row.measure == measure]
            yield from (f"  {line}" for line in table(titles, [row + ("",) * (6 - len(row)) for row in cells]))
        yield "* the interval of the paired difference leaves 0 out"
        yield from (f"warning: {warning}" for warning in self.warnings)
        yield self.reason
        yield str(self.composite)


def _cells(trial: Trial, measures: list[str]) -> tuple[str, ...]:
    scores = [f"{trial.scores[m]:.4g}" if m in trial.scores else "" for m in measures]
    gain = "" if trial.gain is None else f"{trial.gain:+.4g}"
    return trial.stage, trial.choice, str(trial.inputs or ""), *scores, gain, printable(trial.note)
