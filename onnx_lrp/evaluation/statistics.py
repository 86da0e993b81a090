"""Means with bootstrap intervals, and paired differences (Efron 1979; the percentile method)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES, LEVEL = 2000, 0.95
AT_ONCE = 2**22  # drawn numbers


@dataclass(frozen=True)
class Estimate:
    """A mean over samples, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float
    samples: int

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def estimate(scores: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of scores (n,), with the percentile interval of 2,000 bootstrap resamples.

    Scores that are NaN (there was nothing to measure) do not count; without any other the mean is NaN.
    """
    return summed([scores], seed)


def summed(groups: Sequence[np.ndarray], seed: int = 0) -> Estimate:
    """The sum of the means of several groups of scores, (n,) each, which are resampled on their own.

    ``samples`` are those of the smallest group; scores that are NaN are left out, as in :func:`estimate`.
    """
    known = [scores[np.isfinite(scores)] for scores in groups]
    if not all(map(len, known)):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    random = np.random.default_rng(seed)
    means = np.sum([_resampled(scores, random) for scores in known], axis=0)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(sum(scores.mean() for scores in known)), float(low), float(high), min(map(len, known)))


def paired(scores: np.ndarray, reference: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of the samples' own differences to the reference, each (n,), with its interval."""
    return estimate(scores - reference, seed)


def _resampled(known: np.ndarray, random: np.random.Generator) -> np.ndarray:
    rounds = max(1, AT_ONCE // len(known))
    counts = [min(rounds, RESAMPLES - start) for start in range(0, RESAMPLES, rounds)]
    return np.concatenate([known[random.integers(len(known), size=(n, len(known)))].mean(1) for n in counts])
