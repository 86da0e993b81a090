"""What the classes' probabilities are, where the explained tensor is a row of classes."""

from __future__ import annotations

import numpy as np

from ..targets import softmaxed


def probabilities_of(output: np.ndarray, own: np.ndarray | None) -> np.ndarray | None:
    """The model's own where it has a head, else the softmax of its logits; None of what is no row of classes.

    Args:
        output: the explained tensor, shape (samples, ...).
        own: what the model makes of it behind the head that was cut off, if there is one.

    Returns:
        float64 of shape (samples, classes).
    """
    logits = output.reshape(len(output), -1).astype(np.float64)
    if own is not None and own.dtype.kind == "f" and own.size == logits.size:
        shares = own.reshape(logits.shape).astype(np.float64)
        return shares if shares.min() >= 0 and shares.max() <= 1 + 1e-6 else None
    if logits.shape[1] < 2 or logits.shape[1] != output.shape[1]:
        return None
    return softmaxed(logits)
