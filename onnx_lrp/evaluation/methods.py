"""The attribution methods that LRP is held against, on any model that can be explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import CompositeError
from ..explainer import Explainer
from ..text import nearest, printable
from .averaging import COPIES, STEPS, integrated_gradients, smoothgrad
from .gradcam import grad_cam
from .gradients import Gradient
from .occluding import occlusion, random_attribution
from .predictor import Predict

Attribute = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Method:
    """An attribution method made ready for one model.

    Attributes:
        name: one of ``METHODS``.
        attribute: inputs (n, ...) and targets, int64 (n,), flat indices into a sample's output -> attributions of the
            inputs' shape, float64.
        note: what its cost is made of, or empty.
    """

    name: str
    attribute: Attribute
    note: str = ""


def method(
    name: str, explainer: Explainer, predict: Predict, seed: int = 0, baseline: np.ndarray | float = 0.0
) -> Method:
    """Make a method ready for a model.

    Args:
        name: one of ``METHODS``.
        explainer: of a model with one input; only the model counts, not the composite.
        predict: its logits, see :func:`onnx_lrp.evaluation.predictor.predictor`.
        seed: of the noise of ``smoothgrad``, and of ``random``.
        baseline: where the path of ``integrated-gradients`` begins: a number, or an array that broadcasts to a sample.

    Raises:
        CompositeError: there is no method of that name.
        InputError: the method has no meaning for this model; the message says why.
    """
    if name not in METHODS:
        raise CompositeError(f"no method {printable(name)!r}{nearest(name, METHODS)}; there are {', '.join(METHODS)}")
    return Method(name, _made(name, explainer, predict, seed, baseline), NOTES.get(name, ""))


def _made(name: str, explainer: Explainer, predict: Predict, seed: int, baseline: np.ndarray | float) -> Attribute:
    if name == "grad-cam":
        return grad_cam(Gradient(explainer))
    if name == "occlusion":
        return occlusion(explainer.prepared, predict)
    if name == "random":
        return random_attribution(seed)
    gradient = Gradient(explainer)
    if name == "smoothgrad":
        return smoothgrad(gradient, seed)
    if name == "integrated-gradients":
        return integrated_gradients(gradient, baseline)
    if name == "saliency":
        return lambda inputs, targets: np.abs(gradient(inputs, targets))
    return lambda inputs, targets: inputs * gradient(inputs, targets)


METHODS = (
    "gradient-input", "saliency", "smoothgrad", "integrated-gradients", "grad-cam", "occlusion", "random",
)  # fmt: skip
NOTES = {
    "smoothgrad": f"{COPIES} gradients per input",
    "integrated-gradients": f"{STEPS} gradients per input",
    "occlusion": "one forward pass per patch",
}
