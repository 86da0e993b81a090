"""Explainers and explanations travel: pickled, copied, or handed to another process, they answer the same."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest

from onnx_lrp import Composite, ConversionError, Epsilon, Explainer, Explanation, Selector, ZPlus

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 4] x) => (float[N, 3] y, float[N, 4] z)
<float[4, 4] V = {1, -2, 0.5, 1, -1, 2, 3, 0, 1, 1, -1, 0.5, 2, 0, 1, -1},
 float[4, 3] W = {1, 2, -1, 1, 0.5, 0, -1, 1, 2, 1, 1, -2}, float[3] c = {0.1, -0.2, 0.3}>
{ u = MatMul(x, V)  r = Relu(u)  v = MatMul(r, V)  z = Tanh(v)  s = Add(v, r)  q = Relu(s)  y = Gemm(q, W, c) }
"""
MODEL = onnx.parser.parse_model(TEXT)
X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
BACKENDS = ("numpy", "torch", "onnx", "auto")
WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda a: pickle.loads(pickle.dumps(a)),
    "the oldest protocol": lambda a: pickle.loads(pickle.dumps(a, 2)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def same(a: Explanation, b: Explanation) -> None:
    """Everything, to the last bit."""
    for name in a.inputs:
        assert np.array_equal(a.inputs[name], b.inputs[name])
        assert a.inputs[name].dtype == b.inputs[name].dtype
    assert np.array_equal(a.output, b.output)
    assert np.array_equal(a.target, b.target)
    assert all(np.array_equal(r, b.layers[name]) for name, r in a.layers.items())
    assert str(a.conservation) == str(b.conservation)
    assert a.ledger == b.ledger


@pytest.fixture(params=["path", "text path", "bytes", "message"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    path = tmp_path / "model.onnx"
    onnx.save(MODEL, path)
    return {"path": path, "text path": str(path), "bytes": path.read_bytes(), "message": MODEL}[request.param]


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("way", WAYS)
def test_an_explainer_answers_the_same(way: str, backend: str, used: bool, source: Any) -> None:
    explainer = Explainer(source, "gamma", backend=backend, threads=1)
    if used:
        explainer(X)
    other = WAYS[way](explainer)
    assert other.engine.name == explainer.engine.name
    same(other(X, layers=["v"], ledger=True), explainer(X, layers=["v"], ledger=True))


@pytest.mark.parametrize("way", WAYS)
def test_all_that_was_asked_for_travels(way: str) -> None:
    composite = Composite("own", ((Selector(name="*v"), ZPlus()),), Epsilon(0.25))
    options: dict[str, Any] = {
        "output": "z", "backend": "torch", "dtype": "float64", "pass_ops": ("Tanh",), "facts": False, "verify": False,
        "threads": 1, "batchnorm": "pass",
    }  # fmt: skip
    explainer = Explainer(MODEL, composite, **options)
    other = WAYS[way](explainer)
    assert other.composite == composite
    assert other.options == explainer.options
    assert other.prepared.output == explainer.prepared.output
    assert other.plan.facts is False
    assert other.engine.dtype == np.float64
    assert other._builds.unverified is False
    same(other(X), explainer(X))


def test_what_travels_is_the_model_itself(tmp_path: Path) -> None:
    """The file may be gone where it arrives, or be another one by then."""
    onnx.save(MODEL, tmp_path / "model.onnx")
    explainer = Explainer(tmp_path / "model.onnx", backend="numpy")
    sent = pickle.dumps(explainer)
    (tmp_path / "model.onnx").unlink()
    same(pickle.loads(sent)(X), explainer(X))


def test_a_model_with_weights_aside_travels(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(TEXT)
    for tensor in model.graph.initializer:  # only raw bytes are put aside
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    options = {"save_as_external_data": True, "location": "weights", "size_threshold": 0}
    onnx.save(model, tmp_path / "model.onnx", **options)
    assert (tmp_path / "weights").exists()
    explainer = Explainer(tmp_path / "model.onnx", backend="numpy")
    sent, expected = pickle.dumps(explainer), explainer(X)
    for path in tmp_path.iterdir():
        path.unlink()
    same(pickle.loads(sent)(X), expected)


def test_whether_it_was_verified_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr("onnx_lrp.explaining.batches.verify", lambda *_: calls.append(1))
    explainer = Explainer(MODEL, backend="numpy")
    pickle.loads(pickle.dumps(explainer))(X)
    explainer(X)
    assert len(calls) == 2
    pickle.loads(pickle.dumps(explainer))(X)
    assert len(calls) == 2


def test_what_it_fell_back_to_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **options: object) -> None:
        raise ConversionError("cannot be compiled")

    explainer = Explainer(MODEL)
    with monkeypatch.context() as patched:
        patched.setattr("onnx_lrp.engines.sessions.emit", refuse)
        explainer(X)
    assert explainer.engine.name != "onnx"
    assert pickle.loads(pickle.dumps(explainer)).engine.name == explainer.engine.name


@pytest.mark.parametrize("way", WAYS)
def test_an_explanation(way: str) -> None:
    found = Explainer(MODEL, backend="numpy")(X, layers=["r", "v"], ledger=True)
    other = WAYS[way](found)
    same(other, found)
    assert {field.name for field in fields(other)} == {field.name for field in fields(found)}
    assert np.array_equal(other.relevance, found.relevance)


def explained(explainer: Explainer, x: np.ndarray) -> Explanation:
    return explainer(x)


def test_another_process() -> None:
    """As a pool does it: the explainer goes there, the explanation comes back."""
    explainers = [Explainer(MODEL, backend=backend, threads=1) for backend in ("numpy", "torch", "onnx")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.starmap(explained, [(explainer, X) for explainer in explainers])
    for explainer, other in zip(explainers, found):
        same(other, explainer(X))
