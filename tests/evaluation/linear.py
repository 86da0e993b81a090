"""A linear model as the measures see one, and what explains it exactly."""

from __future__ import annotations

import numpy as np

from onnx_lrp.evaluation.methods import Attribute
from onnx_lrp.evaluation.predictor import Predict


def linear(weight: np.ndarray) -> tuple[Predict, Attribute]:
    """Logits of inputs by a weight (C, *sample), and each input's contribution to the target."""

    def predict(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1).astype(np.float64) @ weight.reshape(len(weight), -1).T

    def attribute(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return x * weight[targets]

    return predict, attribute
