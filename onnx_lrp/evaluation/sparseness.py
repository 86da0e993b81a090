"""How few inputs carry the relevance: the Gini index of |R| (Chalasani et al. 2020, "Concise explanations of neural
networks using adversarial training")."""

from __future__ import annotations

import numpy as np


def gini(relevance: np.ndarray) -> np.ndarray:
    """The Gini index of |R| of each sample: 0 where all elements have the same, towards 1 where one has everything.

    G = Σ_k (2k - d - 1) v_k / (d Σ v), over the d values v of |R| in rising order.

    Args:
        relevance: (n, ...).

    Returns:
        float64 (n,); NaN where there is no relevance.
    """
    values = np.sort(np.abs(relevance.reshape(len(relevance), -1).astype(np.float64)), axis=1)
    size = values.shape[1]
    weights = 2 * np.arange(1, size + 1) - size - 1
    sums = values.sum(1)
    return np.asarray(np.divide(values @ weights, size * sums, out=np.full(len(values), np.nan), where=sums > 0))
