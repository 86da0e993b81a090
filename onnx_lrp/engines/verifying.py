"""The canonized model must answer like the original: a difference is an error, never a shrug."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import NumericalError, OnnxLrpError, VerificationError
from ..model.precision import to_float64
from ..model.prepared import Prepared
from ..model.rounding import tolerance
from ..propagation.tape import Feeds
from .base import Result
from .building import Build


def verify(built: Build, feeds: Feeds, result: Result) -> None:
    """Compare the canonized model's answer with the original's.

    Where single precision is too coarse to tell (large numbers that cancel), the original in double precision decides.

    Raises:
        VerificationError: they differ, or a fact about the model does not hold.
        NumericalError: the original's answer is not finite.
    """
    prepared = built.prepared
    expected, logits = (np.asarray(a, np.float64) for a in built.engine.answers(feeds, result))
    if not np.isfinite(expected).all():  # beside an infinite logit, every difference would be small
        raise NumericalError(f"{prepared.source}: the model's own answer is not finite on this input")
    error = _distance(expected, logits)
    largest = np.abs(expected).max(initial=0.0)
    bound = tolerance(prepared.model, largest)
    if error <= bound:
        return
    exact = _in_double(prepared, feeds)
    if exact is None or not _distance(exact, logits) <= max(bound, 2 * _distance(exact, expected)):
        raise VerificationError(
            f"{prepared.source}: the canonized model's answer differs from the original's by {error:.3g} "
            f"(largest logit {largest:.3g}); please report this model, or pass verify=False to go on regardless"
        )


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max(initial=0.0)) if a.shape == b.shape else np.inf


def _in_double(prepared: Prepared, feeds: Feeds) -> np.ndarray | None:
    """The original's answer in double precision by onnx's reference implementation; None if that lacks an op of it."""
    from onnx.reference import ReferenceEvaluator

    try:
        model = to_float64(prepared.reference())
    except OnnxLrpError:
        return None
    types = {value.name or "": value.dtype.numpy() for value in model.graph.inputs if value.dtype is not None}
    cast = {name: a.astype(types.get(name, a.dtype)) for name, a in feeds.items()}
    try:
        answers: Any = ReferenceEvaluator(ir.to_proto(model)).run(None, cast)
        return np.asarray(answers[0], np.float64)
    except Exception:  # it raises whatever NumPy raises
        return None
