"""What the model itself makes of its logits comes out of the run that explains, where that can give it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnx_lrp as lrp
from onnx_lrp.engines.sessions import SessionCache

MODEL = Path(__file__).resolve().parents[2] / "models" / "mnist_cnn.onnx"
X = np.random.default_rng(0).uniform(0, 1, (5, 1, 28, 28)).astype(np.float32)


def headed(*ops: str) -> onnx.ModelProto:
    model = onnx.load(MODEL)
    value = model.graph.output[0]
    name = value.name
    for i, op in enumerate(ops):
        model.graph.node.append(onnx.helper.make_node(op, [name], [f"head{i}"]))
        name = f"head{i}"
    value.name = name
    return model


def close(found: np.ndarray | None, expected: np.ndarray) -> None:
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passes of the original model for what it makes of its logits."""
    from onnx_lrp.engines.base import original as run

    made: list[str] = []

    def counted(*given: Any) -> np.ndarray:
        made.append(str(given[-1]))
        return run(*given)

    monkeypatch.setattr("onnx_lrp.explaining.results.original", counted)
    return made


@pytest.mark.parametrize("ops", [("Softmax",), ("Sigmoid",), ("Softmax", "Identity"), ("LogSoftmax",)], ids=str)
@pytest.mark.parametrize("parts", [2, 5])
def test_it_costs_no_second_pass(
    ops: tuple[str, ...], parts: int, passes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionCache, "preferred", lambda self, tape: parts)
    explainer = lrp.Explainer(headed(*ops), backend="onnx", threads=1)
    expected = explainer.probability(X)
    assert expected is not None
    for found in (explainer(X), *explainer.several(X, 3), explainer(X, ledger=True), explainer(X, slice(2, 5))):
        close(None if found.context is None else found.context.own, expected)
    assert passes == []


def test_one_sample_s_and_what_travels(passes: list[str]) -> None:
    explainer = lrp.Explainer(headed("Softmax"), backend="onnx", threads=1)
    expected, found = explainer.probability(X), explainer(X)
    assert expected is not None
    for one in (found[2], pickle.loads(pickle.dumps(found))[2]):
        close(one.probabilities, expected[2:3])
    assert passes == []


def test_the_walk_makes_a_second_pass_when_it_is_read(passes: list[str]) -> None:
    explainer = lrp.Explainer(headed("Softmax"), backend="numpy", threads=1)
    found, expected = explainer(X), explainer.probability(X)
    assert expected is not None
    assert passes == []
    close(found.probabilities, expected)
    assert len(passes) == 1


def test_without_a_head_there_is_none(passes: list[str]) -> None:
    explainer = lrp.Explainer(MODEL, backend="onnx", threads=1)
    found = explainer(X)
    assert found.context is not None
    assert found.context.own is None
    assert passes == []


def test_relevance_is_the_same_without_asking() -> None:
    from onnx_lrp.engines.base import Question

    engine = lrp.Explainer(headed("Softmax"), backend="onnx", threads=1).engine
    asked, plain = (engine.run({"input": X}, Question([None], own=own))[0] for own in (True, False))
    assert asked.own is not None
    assert plain.own is None
    np.testing.assert_allclose(asked.relevance["input"], plain.relevance["input"], rtol=1e-5, atol=1e-7)


def test_half_precision_is_the_model_s_own(passes: list[str]) -> None:
    """The compiled model computes in single precision, and so would give more digits than the model has."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]> g (float16[n, 3] x) => (float16[n, 3] y) {
            z = Relu (x)
            y = Softmax (z)
        }""")
    x = np.random.default_rng(0).random((2, 3)).astype(np.float16)
    found = lrp.Explainer(model, backend="onnx", threads=1)(x)
    assert found.context is not None
    assert found.context.own is not None
    assert found.context.own.dtype == np.float16
    assert len(passes) == 1
