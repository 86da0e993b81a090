"""How far an explanation moves under noise that hardly moves the input (in the way of Alvarez-Melis and Jaakkola 2018,
"On the robustness of interpretability methods")."""

from __future__ import annotations

import numpy as np

from .methods import Attribute

COPIES, AMOUNT = 8, 0.05


def instability(
    attribute: Attribute,
    x: np.ndarray,
    targets: np.ndarray,
    relevance: np.ndarray,
    copies: int = COPIES,
    amount: float = AMOUNT,
    seed: int = 0,
) -> np.ndarray:
    """The largest of ``copies`` relative changes, max ‖R(x + δ) - R(x)‖ / ‖R(x)‖, with the target kept; small is good.

    Args:
        attribute: what explains.
        x: floating-point inputs (n, ...).
        targets: int64 (n,).
        relevance: that of ``x``.
        copies: how many.
        amount: the standard deviation of the normal noise δ, in standard deviations of all inputs together.
        seed: of the noise.

    Returns:
        float64 (n,); NaN where there is no relevance.
    """
    random, spread = np.random.default_rng(seed), amount * float(x.std())
    length = _norms(relevance)
    largest = np.zeros(len(x))
    for _ in range(copies):
        noisy = x + (spread * random.standard_normal(x.shape)).astype(x.dtype)
        largest = np.maximum(largest, _norms(attribute(noisy, targets) - relevance))
    return np.asarray(np.divide(largest, length, out=np.full(len(x), np.nan), where=length > 0))


def _norms(relevance: np.ndarray) -> np.ndarray:
    return np.asarray(np.linalg.norm(relevance.reshape(len(relevance), -1).astype(np.float64), axis=1))
