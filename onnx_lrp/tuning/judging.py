"""Whether one composite is better than another, sample by sample: on the way of a search, and in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..evaluation.statistics import Estimate, paired, summed
from .ground import SampleScores


@dataclass(frozen=True)
class Judgement:
    """Paired differences, the one less the other.

    Attributes:
        differences: by measure; more is better in all of them.
        gain: the sum of all measures' differences, since either measure alone can be gamed.
    """

    differences: Mapping[str, Estimate]
    gain: Estimate

    @property
    def worse(self) -> list[str]:
        """Measures whose interval lies below 0."""
        return [name for name, found in self.differences.items() if found.high < 0]

    @property
    def better(self) -> list[str]:
        """Measures whose interval lies above 0."""
        return [name for name, found in self.differences.items() if found.low > 0]


def judged(candidate: SampleScores, other: SampleScores) -> Judgement:
    """Compare two by scores of the same samples: by measure (n,)."""
    differences = {name: paired(scores, other[name]) for name, scores in candidate.items()}
    return Judgement(differences, summed([scores - other[name] for name, scores in candidate.items()]))


def decided(found: Judgement) -> tuple[bool, str]:
    """Whether to take the candidate instead of the default, and why.

    It is taken where it is significantly better in one measure, and significantly worse in none.
    """
    if found.worse:
        gained = f", though better in {' and '.join(found.better)}" * bool(found.better)
        return False, f"keep the default: the best candidate is worse in {' and '.join(found.worse)}{gained}"
    if not found.better:
        return False, "keep the default: the intervals of the differences hold 0, so nothing is shown to be better"
    others = [name for name in found.differences if name not in found.better]
    return True, f"take the candidate: better in {' and '.join(found.better)}" + (
        f", not shown to be worse in {' or '.join(others)}" * bool(others)
    )
