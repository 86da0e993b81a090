"""How much of the target's relevance arrives at the inputs (Bach et al. 2015, equation 2)."""

from __future__ import annotations

import numpy as np

from ..propagation.ledger import Conservation


def arrived(account: Conservation) -> np.ndarray:
    """ΣR at the inputs over ΣR at the target, float64 (n,): 1 where all of it arrives; NaN where it starts with 0."""
    target, inputs = (np.asarray(sums, np.float64) for sums in (account.target, account.inputs))
    return np.asarray(np.divide(inputs, target, out=np.full(target.shape, np.nan), where=target != 0))
