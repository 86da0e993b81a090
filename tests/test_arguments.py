"""Arguments of another kind than is meant: one clear error that says what to give instead."""

from __future__ import annotations

import inspect
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


class Model:
    """As Keras calls it."""

    __module__ = "keras.src.models.model"


class Dense(Model):
    pass


@pytest.mark.parametrize("use", [lrp.Explainer, lrp.check, lrp.convert, lambda model: lrp.compare(MODEL, model, X)])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.nn.Linear(3, 2), r"not Linear; export it: torch\.onnx\.export\(model, \(x,\), 'model\.onnx'\)"),
        (session, "not InferenceSession; give the path of the file that the session was made of: '.*mnist_cnn.onnx'$"),
        (lambda: onnxruntime.InferenceSession(MODEL.read_bytes()), "the file that the session was made of$"),
        (lambda: Dense(), r"not Dense; export it: model.export\('model.onnx', format='onnx'\), and give 'model.onnx'"),
        (lambda: X, "not ndarray; that is data: the model comes first, then x"),
        (lambda: torch.zeros(2), "not Tensor; that is data: the model comes first, then x"),
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


def test_explain_is_an_explainer_and_its_call_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """All options of both, with their types and defaults; and each arrives where it belongs."""
    own, made, called = (
        {name: p for name, p in inspect.signature(f).parameters.items() if name != "self"}
        for f in (lrp.explain, lrp.Explainer.__init__, lrp.Explainer.__call__)
    )
    both = {**made, **called}
    assert set(own) == set(both)
    assert all((own[name].default, own[name].annotation) == (p.default, p.annotation) for name, p in both.items())
    assert [name for name, p in own.items() if p.kind is p.POSITIONAL_OR_KEYWORD] == ["model", "x", "target"]
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in own.values())
    met: dict[str, Any] = {}

    class Spy:
        def __init__(self, model: Any, composite: Any, **options: Any) -> None:
            met.update(model=model, composite=composite, **options)

        def __call__(self, x: Any, target: Any, **options: Any) -> None:
            met.update(x=x, target=target, **options)

    monkeypatch.setattr("onnx_lrp.explaining.once.Explainer", Spy)
    given: dict[str, Any] = {name: object() for name in own}
    lrp.explain(**given)
    assert met == given
