"""For the package Quantus (Hedström et al. 2023): relevance as its metrics ask for it, and a model that they take.

>>> import onnx_lrp as lrp, quantus  # doctest: +SKIP
>>> model = lrp.quantus.QuantusModel("model.onnx", composite="epsilon_plus")  # doctest: +SKIP
>>> metric = quantus.Sparseness()  # doctest: +SKIP
>>> metric(model=model, x_batch=x, y_batch=y, explain_func=lrp.quantus.explain_func)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .backends.torch_module import FunctionModule
from .errors import InputError
from .evaluation.methods import Method, method
from .evaluation.predictor import predictor
from .explainer import Explainer
from .model.loading import Source

LRP = "lrp"


class QuantusModel(FunctionModule):
    """A model with one input as the Torch module that Quantus's metrics want; onnxruntime computes the logits.

    It answers (n, C) for inputs (n, ...) as the model takes them. Metrics that draw layers anew (MPRT and its kin) or
    differentiate raise: it has no parameters and no gradient.

    Args:
        model: path, bytes, ``onnx.ModelProto``, or an :class:`onnx_lrp.Explainer`.
        options: those of the :class:`onnx_lrp.Explainer`, if the model is not one.

    Raises:
        OnnxLrpError: as for the Explainer; InputError: the model has several inputs.
    """

    def __init__(self, model: Source | Explainer, **options: Any) -> None:
        if isinstance(model, Explainer) and options:
            raise InputError(f"an Explainer has its options already; leave out {', '.join(map(repr, options))}")
        self.explainer = model if isinstance(model, Explainer) else Explainer(model, **options)
        super().__init__(predictor(self.explainer))
        self._methods: dict[str, Method] = {}

    def attributions(self, name: str, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Those of one of the methods that LRP is held against, made ready once."""
        if name not in self._methods:
            self._methods[name] = method(name, self.explainer, self.function)
        return self._methods[name].attribute(inputs, targets)


def explain_func(model: QuantusModel, inputs: Any, targets: Any, **kwargs: Any) -> np.ndarray:
    """Attributions of a batch, as Quantus calls for them.

    Args:
        model: a :class:`QuantusModel`.
        inputs: (n, ...).
        targets: flat indices into a sample's output, (n,).
        kwargs: ``method``: ``"lrp"``, the default, or one of those that LRP is held against, such as
            ``"gradient-input"``; for ``"lrp"`` also the options of a call of the Explainer (``seed``, ...). ``device``,
            which Quantus adds, says nothing here.

    Returns:
        Attributions of the inputs' shape.

    Raises:
        InputError: the model is no QuantusModel.
        OnnxLrpError: as for a call of the Explainer.
    """
    if not isinstance(model, QuantusModel):
        raise InputError(f"explain_func takes a QuantusModel, not a {type(model).__name__}: QuantusModel('model.onnx')")
    name = kwargs.pop("method", LRP)
    kwargs.pop("device", None)
    index = np.asarray(targets).astype(np.int64).reshape(-1)
    if name != LRP:
        return model.attributions(name, np.asarray(inputs), index)
    return np.asarray(model.explainer.attribute(inputs, index, **kwargs))
