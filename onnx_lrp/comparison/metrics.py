"""How alike two relevance maps are: the cosine, the correlation of ranks, and what they share at the top.

All three are 1 for equal maps, exactly. Maps without any relevance have no direction and no order: two of them count as
equal (1), one of them beside one with relevance as unlike (0).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
SHARE, MOST = 0.05, 100


def default_top(size: int) -> int:
    """How many elements count as the top: 5 %, but at least 1 and at most 100.

    That is what a heatmap shows in strong colours. In large tensors the later ones of 5 % are thousands of nearly equal
    values whose order says nothing, hence the limit.
    """
    return max(1, min(MOST, round(SHARE * size)))


def cosine(a: Vector, b: Vector) -> float:
    """⟨a, b⟩ / (‖a‖ ‖b‖) of two vectors of one length, within -1 and 1; it sees the sign, but not the scale."""
    a, b = _scaled(a), _scaled(b)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    # One root of the product is exact where a = b, a product of roots is not
    return float(np.clip((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()), -1, 1))


def rank_correlation(a: Vector, b: Vector) -> float:
    """Spearman's ρ of two vectors of one length: the correlation of their ranks, ties sharing their mean rank.

    Where all values of a vector are equal there is no order, which counts as above.
    """
    return cosine(_centred_ranks(a), _centred_ranks(b))


def overlap(a: Vector, b: Vector, k: int) -> float:
    """The share of the ``k`` elements with the largest |R| that two vectors of one length have in common.

    Zeros are never among them: where both have fewer than ``k`` others, the share is of the larger number. Of equal
    values the earlier ones come first.
    """
    top_a, top_b = _top(a, k), _top(b, k)
    most = max(len(top_a), len(top_b))
    return len(top_a & top_b) / most if most else 1.0


def _scaled(a: Vector) -> Vector:
    """To a largest magnitude of 1, so that no square overflows or vanishes."""
    return a / (np.abs(a).max(initial=0.0) or 1.0)


def _centred_ranks(a: Vector) -> Vector:
    _, place, counts = np.unique(a, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = last - (counts - 1) / 2
    return np.asarray(ranks[place.reshape(-1)] - (len(a) + 1) / 2, np.float64)


def _top(a: Vector, k: int) -> set[int]:
    order = np.argsort(-np.abs(a), kind="stable")[:k]
    return set(order[a[order] != 0].tolist())
