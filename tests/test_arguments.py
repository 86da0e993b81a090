"""Arguments of another kind than is meant: one clear error that says what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import onnx_lrp as lrp

MODEL: Any = Path(__file__).resolve().parents[1] / "models" / "mnist_cnn.onnx"
X = np.zeros((1, 1, 28, 28), np.float32)


def session() -> Any:
    return onnxruntime.InferenceSession(MODEL)


@pytest.mark.parametrize("use", [lrp.Explainer, lrp.check, lrp.convert, lambda model: lrp.compare(MODEL, model, X)])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.nn.Linear(3, 2), r"not Linear; export it: torch\.onnx\.export\(model, \(x,\), 'model\.onnx'\)"),
        (session, "not InferenceSession; give the path of the file that the session was made of"),
        (lambda: None, "not NoneType; give the path of an .onnx file"),
        (lambda: 3, "not int; give the path"),
    ],
)
def test_what_is_no_model(make: Callable[[], Any], said: str, use: Callable[[Any], object]) -> None:
    with pytest.raises(lrp.LoadError, match=said):
        use(make())


@pytest.mark.parametrize(
    ("use", "error", "said"),
    [
        (lambda: lrp.Explainer(MODEL, output=3), lrp.TargetError, "named, not 3; the outputs are logits"),
        (lambda: lrp.check(MODEL, output=0), lrp.TargetError, "named, not 0"),
        (lambda: lrp.Explainer(MODEL)(X, layers=3), lrp.TargetError, "layers must be names, not 3"),
        (lambda: lrp.Explainer(MODEL)(X, layers=[3]), lrp.TargetError, "layers must be names, not 3"),
        (lambda: lrp.Explainer(MODEL, pass_ops=3), lrp.CompositeError, "pass_ops must be names, not 3"),
        (lambda: lrp.check(MODEL, pass_ops=3), lrp.CompositeError, "pass_ops must be names, not 3"),
        (lambda: lrp.Explainer(MODEL, threads="a"), lrp.BackendError, "threads must be a whole number"),
        (lambda: lrp.convert(MODEL, targets="a"), lrp.TargetError, "as a whole number, not 'a'"),
    ],
)
def test_what_is_no_name_and_no_number(use: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        use()
