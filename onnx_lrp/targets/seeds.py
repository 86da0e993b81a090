"""What relevance starts with, as it was asked for: a word, an array, classes to compare with, or a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from ..errors import TargetError
from .contrasts import SEED_WORDS, Contrast, ContrastKind

Seed = str | np.ndarray | Contrast
Rivals = int | Sequence[int] | np.ndarray | None  # the classes of ``against``
SOFTMAX = (
    "the seed 'softmax' is refused: softmax's own gradient vanishes where the model is sure, and the explanation with "
    "it; use 'odds', the same over p (1 - p)"
)


def as_seed(seed: Seed, against: Rivals = None, baseline: float | None = None) -> Seed:
    """One seed of what was asked: ``"logit"``, ``"one"``, an array as it is, or a :class:`Contrast`.

    Args:
        seed: a word, an array, or a contrast.
        against: the index of a class, or several, for all samples.
        baseline: a number.

    Raises:
        TargetError: an unknown word, what does not go together, or no such class or number.
    """
    if against is not None and baseline is not None:
        raise TargetError("against compares classes, and baseline one number with another; give one of them")
    if against is None and baseline is None:
        return _named(seed) if isinstance(seed, str) else seed
    if not isinstance(seed, str) or seed != "logit":
        given = repr(seed) if isinstance(seed, str) else "an array"
        raise TargetError(
            f"{'baseline' if against is None else 'against'} goes with the seed 'logit', not with {given}"
        )
    return Contrast("baseline", (), _number(baseline)) if against is None else Contrast("against", _classes(against))


def _named(word: str) -> str | Contrast:
    if word == "softmax":
        raise TargetError(SOFTMAX)
    if word not in SEED_WORDS:
        raise TargetError(f"unknown seed {word!r}; choose {', '.join(map(repr, SEED_WORDS))}, or give an array")
    return word if word in ("logit", "one") else Contrast(cast(ContrastKind, word))


def _classes(given: Any) -> tuple[int, ...]:
    try:
        classes = np.atleast_1d(np.asarray(given))
    except ValueError:  # lists of several lengths
        classes = np.array([])
    if classes.dtype.kind not in "iu" or classes.ndim != 1 or not classes.size:
        raise TargetError(f"against is the index of a class or a list of them, not {given!r:.80}")
    found = tuple(int(j) for j in classes)
    for twice in [j for j in found if found.count(j) > 1]:
        raise TargetError(f"against names class {twice} more than once")
    return found


def _number(given: Any) -> float:
    if np.ndim(given) or np.asarray(given).dtype.kind not in "fiu" or not np.isfinite(given):
        raise TargetError(f"baseline is a finite number, not {given!r:.80}")
    return float(given)
