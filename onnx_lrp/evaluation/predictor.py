"""A model as a function from inputs to logits, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..engines.base import per_sample
from ..errors import InputError
from ..explainer import Explainer
from ..inputs import check_inputs
from ..model.graph import FLOATS, dims
from ..model.precision import to_float32
from ..model.prepared import Prepared
from ..model.runtime import open_session, run
from ..text import printable

Predict = Callable[[np.ndarray], np.ndarray]

MOST_NUMBERS = 2**21  # of the input that one run gets: what is computed of them has to stay in memory
MOST_SAMPLES = 256


def predictor(explainer: Explainer) -> Predict:
    """What the original model answers, by one onnxruntime session that is kept.

    Args:
        explainer: of a model with one input.

    Returns:
        A function of inputs (n, ...) as the model takes them, any n >= 1, that gives the explained tensor (the logits
        before a head that was cut off), float64 of shape (n, C), where C counts the elements of one sample's output.

    Raises:
        InputError: the model has several inputs; from the function: the inputs do not fit, or the answer does not have
            one row per sample.
    """
    prepared = explainer.prepared
    value = single_input(prepared)
    reference = prepared.reference()
    if any(v.dtype == ir.DataType.DOUBLE for v in reference.graph.inputs):
        reference = to_float32(reference)  # onnxruntime has no float64 convolution
    session = open_session(reference, explainer.options, prepared.source)
    name = reference.graph.outputs[0].name or ""

    def answer(x: np.ndarray) -> np.ndarray:
        feeds = check_inputs(x, [value], prepared.source)
        samples = rows_of(run(session, [name], feeds, prepared.source)[0], prepared, feeds)
        return samples.reshape(len(samples), -1).astype(np.float64)

    parts = Parts.of(value)
    return lambda inputs: parts.run(answer, np.asarray(inputs))


def single_input(prepared: Prepared) -> ir.Value:
    """The one input of a model.

    Raises:
        InputError: it has several.
    """
    first, *others = prepared.inputs
    if others:
        names = ", ".join(repr(printable(value.name or "")) for value in (first, *others))
        raise InputError(
            f"{prepared.source}: the model has {len(others) + 1} inputs ({names}), and only models with one can be "
            f"evaluated; give the others as constants (--fixed {printable(others[0].name or '')}=FILE.npy)"
        )
    return first


def is_float(value: ir.Value) -> bool:
    """Whether a model's input takes floats (as it does where nothing is declared)."""
    return value.dtype is None or value.dtype in FLOATS


def rows_of(answer: np.ndarray, prepared: Prepared, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """The explained tensor with samples first.

    Raises:
        InputError: it does not have one row per sample.
    """
    (x,) = feeds.values()
    samples = per_sample(np.asarray(answer), prepared, feeds)
    if len(samples) != len(x):
        raise InputError(
            f"{prepared.source}: {printable(prepared.output)!r} has the shape {np.shape(answer)} for {len(x)} samples; "
            "only models whose answer has one row per sample can be evaluated"
        )
    return samples


@dataclass(frozen=True)
class Parts:
    """How many samples a model is given at once: as many as fit the bounds, or exactly as many as it declares."""

    declared: int | None = None

    @classmethod
    def of(cls, value: ir.Value) -> Parts:
        """Those of a model with this input."""
        first = (dims(value) or [None])[0]
        return cls(first if isinstance(first, int) else None)

    def run(self, function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
        """A function of arrays with one row per sample, part by part; what a last part lacks is made of its last row.

        Args:
            function: takes arrays (m, ...), and gives one (m, ...).
            arrays: (n, ...) each, with one n; the first is the model's input.
        """
        first = arrays[0]
        count = len(first) if first.ndim else 1
        size = self.declared or max(1, min(MOST_SAMPLES, MOST_NUMBERS * count // max(first.size, 1)))
        found = []
        for start in range(0, max(count, 1), size):
            part = [array[start : start + size] for array in arrays]
            have = len(part[0])
            lacking = (self.declared or have) - have
            part = [np.concatenate([array, np.repeat(array[-1:], lacking, 0)]) if lacking else array for array in part]
            found.append(function(*part)[:have])
        return np.concatenate(found)
