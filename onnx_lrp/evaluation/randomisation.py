"""Whether an explanation depends on what the model has learned: cascading randomisation (Adebayo et al. 2018, "Sanity
checks for saliency maps")."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from ..comparison.metrics import rank_correlation
from .methods import Attribute
from .randomising import randomised

DEPTHS = (0.25, 0.5, 1.0)


def similarity_under_noise(
    build: Callable[[onnx.ModelProto], Attribute],
    model: onnx.ModelProto,
    layers: list[tuple[str, ...]],
    x: np.ndarray,
    targets: np.ndarray,
    relevance: np.ndarray,
    seed: int = 0,
) -> np.ndarray:
    """How alike the explanations of the model and of its randomised copies are; small is good, since weights matter.

    Args:
        build: makes what explains a model.
        model: with its weights inside.
        layers: its weights, from the output down (see :func:`onnx_lrp.evaluation.randomising.weights`).
        x: inputs (n, ...).
        targets: int64 (n,), the same for all copies.
        relevance: by the model itself.
        seed: of the noise.

    Returns:
        float64 (n, 3): Spearman's correlation of |R| with 25, 50 and 100 % of the layers randomised, over the elements
        that have relevance in one of the two.

    Raises:
        ModelError: there is no layer to randomise.
    """
    found = []
    for depth in DEPTHS:
        noisy = build(randomised(model, layers, depth, seed))(x, targets)
        pairs = zip(*(np.abs(r).reshape(len(x), -1).astype(np.float64) for r in (relevance, noisy)))
        found.append([_alike(a, b) for a, b in pairs])
    return np.array(found).T


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    """Where a pixel is 0 most methods give it nothing, whatever the weights: that both do so says nothing of them."""
    some = (a != 0) | (b != 0)
    return rank_correlation(a[some], b[some]) if some.any() else 1.0
