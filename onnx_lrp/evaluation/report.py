"""What ``evaluate`` reports: how good each method is by each measure, with intervals and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..text import table
from .statistics import Estimate, estimate, paired

ScoresByMethod = dict[str, dict[str, np.ndarray]]

# What a table has, with what there is to know of it; what else is measured is in `rows` and in JSON
ABOUT = {
    "p": "pixel flipping, area between LeRF and MoRF on the target's probability: more is better, 0 knows nothing",
    "logit": "the same on the target's logit",
    "accuracy": "the same on the share of inputs that keep their prediction, times 4",
    "pointing": "grid pointing game, share of positive relevance in the right quarter: more is better, chance is 0.25",
    "randomisation": "likeness to explanations of models with random weights, Spearman's of |R|: less is better",
    "instability": "largest relative change of relevance under noise: less is better",
    "gini": "sparseness, the Gini index of |R|: 0 is even, towards 1 a few inputs have it all",
    "conservation": "share of the target's relevance that arrives at the inputs: 1 is all of it",
}


@dataclass(frozen=True)
class Standing:
    """One method by one measure.

    Attributes:
        method: its name.
        measure: a name of :data:`ABOUT`, or a part of one (``p MoRF``).
        value: the mean, its 95 % interval, and of how many samples (of the pointing game: mosaics).
        difference: the mean of the samples' own differences to the first method; None for that one, and where they
            cannot be paired.
    """

    method: str
    measure: str
    value: Estimate
    difference: Estimate | None

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        if self.difference is None:
            return self.method, f"{self.value.mean:.4g}", _interval(self.value)
        mark = "*" if self.difference.significant else ""
        change = (f"{self.difference.mean:+.4g}", _interval(self.difference), mark)
        return self.method, f"{self.value.mean:.4g}", _interval(self.value), *change


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Methods side by side.

    Attributes:
        source: what the model is called.
        methods: their names, the first is what the others are compared with; each with a note on its cost, or "".
        settings: one line each on what was measured, and how.
        scores: by method and measure, one number per sample, float64 (n,); of the pointing game one per mosaic and
            quarter, (m, 4).
        curves: by method, of pixel flipping: ``share`` of the pieces that are taken away, and the mean ``p MoRF``,
            ``p LeRF``, ``logit MoRF``, ... there.
        seconds: per input that each method takes.
        warnings: what speaks against believing the numbers, and what could not be measured.
    """

    source: str
    methods: Mapping[str, str]
    settings: tuple[str, ...]
    scores: ScoresByMethod
    curves: Mapping[str, Mapping[str, list[float]]]
    seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[Standing, ...]:
        """Each method by each measure, in the order of the measures."""
        measures = dict.fromkeys(name for found in self.scores.values() for name in found)
        return tuple(
            self._standing(method, name) for name in measures for method in self.methods if name in self.scores[method]
        )

    def _standing(self, method: str, measure: str) -> Standing:
        reference = self.scores[next(iter(self.methods))].get(measure)
        scores = per_sample_means(self.scores[method][measure])
        first = method == next(iter(self.methods))
        difference = None if first or reference is None else paired(scores, per_sample_means(reference))
        return Standing(method, measure, estimate(scores), difference)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what is not a number there becomes None."""
        return {
            "source": self.source,
            "methods": dict(self.methods),
            "settings": list(self.settings),
            "rows": [_plain(asdict(row)) for row in self.rows],
            "seconds_per_input": dict(self.seconds),
            "curves": {method: dict(found) for method, found in self.curves.items()},
            "scores": {m: {k: _plain(v.tolist()) for k, v in found.items()} for m, found in self.scores.items()},
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        """The tables, as a prompt shows them."""
        return str(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.source}: explanations evaluated"
        yield from (f"  {line}" for line in self.settings)
        first, rows = next(iter(self.methods)), self.rows
        for measure, about in ABOUT.items():
            cells = [row.cells() for row in rows if row.measure == measure]
            if cells:
                yield f"{measure}: {about}"
                titles = ("method", "mean", "95 % interval", f"less {first}", "95 % interval", "")
                yield from (f"  {line}" for line in table(titles, [_filled(row, len(titles)) for row in cells]))
        yield "* the interval of the paired difference leaves 0 out"
        yield "cost:"
        costs = [(m, f"{self.seconds[m]:.3g}", note) for m, note in self.methods.items()]
        yield from (f"  {line}" for line in table(("method", "seconds per input", ""), costs))
        yield from (f"warning: {warning}" for warning in self.warnings)


def per_sample_means(scores: np.ndarray) -> np.ndarray:
    """One number per sample: scores of one sample's parts, such as a mosaic's quarters, depend on each other."""
    return scores.reshape(len(scores), -1).mean(1) if len(scores) else scores


def _filled(cells: tuple[str, ...], columns: int) -> tuple[str, ...]:
    return cells + ("",) * (columns - len(cells))


def _interval(value: Estimate) -> str:
    return f"{value.low:.4g} .. {value.high:.4g}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
