"""What is evaluated: a model, inputs that it gets right, and the class that is explained of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..explainer import Explainer
from ..inputs import check_inputs
from ..model.graph import dims
from ..propagation.unbounded import unknown_bounds
from .forms import Form
from .predictor import Parts, Predict, predictor, single_input

ENOUGH = 16  # inputs: below, intervals are wider than what there is to see


@dataclass(frozen=True)
class Subject:
    """A model with its inputs.

    Attributes:
        explainer: of the model.
        predict: its logits.
        x: inputs (n, ...).
        targets: what is explained, int64 (n,): the model's own prediction.
        logits: float64 (n, C).
        form: what the inputs are.
        warnings: what is to be said of them.
    """

    explainer: Explainer
    predict: Predict
    x: np.ndarray
    targets: np.ndarray
    logits: np.ndarray
    form: Form
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, explainer: Explainer, inputs: Any, labels: Any = None, limit: int | None = None) -> Subject:
        """Check the inputs and keep those that the model gets right.

        Args:
            explainer: of the model.
            inputs: as for the explainer.
            labels: the true class of each input; None if they are not known.
            limit: how many inputs are taken, evenly spread, since many sets are sorted by class; None for all.

        Raises:
            InputError: the inputs or labels do not fit, or the model gets all of them wrong.
        """
        prepared = explainer.prepared
        value = single_input(prepared)
        if limit is not None and limit < 1:
            raise InputError(f"limit={limit}: at least one input has to be evaluated")
        x = _checked(inputs, value, prepared.source)
        truth = None if labels is None else _classes(labels, len(x))
        taken = np.linspace(0, len(x), min(limit or len(x), len(x)), endpoint=False).astype(int)
        x, form = x[taken], Form.of(dims(value), x)
        predict = predictor(explainer)
        logits = predict(x)
        kept = _kept(logits, None if truth is None else truth[taken])
        warnings = []
        if len(kept) < len(x):
            warnings.append(f"{len(x) - len(kept)} of {len(x)} inputs are left out: the model gets them wrong")
        if len(kept) < ENOUGH:
            warnings.append(f"{len(kept)} inputs prove nothing; give at least {ENOUGH}")
        warnings += unknown_bounds(explainer.plan)
        targets = logits[kept].argmax(1).astype(np.int64)
        return cls(explainer, predict, x[kept], targets, logits[kept], form, tuple(warnings))


def _checked(inputs: Any, value: ir.Value, source: str) -> np.ndarray:
    """The inputs as one array; a model of a fixed batch gets them part by part."""
    name, parts = value.name or "", Parts.of(value)
    if parts.declared is None:
        return check_inputs(inputs, [value], source)[name]
    given = np.asarray(inputs[name] if isinstance(inputs, Mapping) and name in inputs else inputs)
    if not given.ndim or not len(given):
        raise InputError(f"{source}: {given.shape} is no batch of inputs; give an array with an axis of samples")
    return parts.run(lambda part: check_inputs(part, [value], source)[name], given)


def _classes(labels: Any, count: int) -> np.ndarray:
    truth = np.asarray(labels)
    if truth.dtype.kind not in "iu" or truth.shape != (count,):
        raise InputError(f"labels are {count} integers, one class for each input, not {truth.dtype} {truth.shape}")
    return truth


def _kept(logits: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """The indices of the inputs that the model gets right."""
    if truth is None:
        return np.arange(len(logits))
    classes = logits.shape[1]
    if classes == 1:
        raise InputError("the model has one output, so there are no classes; leave the labels out")
    if truth.min() < 0 or truth.max() >= classes:
        raise InputError(f"labels go from {truth.min()} to {truth.max()}, the model's classes from 0 to {classes - 1}")
    kept = np.flatnonzero(logits.argmax(1) == truth)
    if not len(kept):
        raise InputError(
            f"the model gets all {len(truth)} inputs wrong, and pixel flipping proves nothing there; check the labels "
            "and how inputs are prepared"
        )
    return kept
