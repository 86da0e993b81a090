"""One Explainer for any number of threads: whichever comes first, all get the same, and everything is made once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx.parser
import pytest

from onnx_lrp import ConversionError, Explainer

MODEL = onnx.parser.parse_model("""
    <ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 4] x) => (float[N, 3] y)
    <float[4, 4] V = {1, -2, 0.5, 1, -1, 2, 3, 0, 1, 1, -1, 0.5, 2, 0, 1, -1},
     float[4, 3] W = {1, 2, -1, 1, 0.5, 0, -1, 1, 2, 1, 1, -2}, float[3] c = {0.1, -0.2, 0.3}>
    { u = MatMul(x, V)  r = Relu(u)  v = MatMul(r, V)  s = Add(v, r)  q = Relu(s)  y = Gemm(q, W, c) }
""")
X = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
THREADS, ROUNDS = 16, 4
BACKENDS = ("numpy", "torch", "onnx", "auto")


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads take turns a hundred times as often, so that they meet where they should not."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 100)
    yield
    sys.setswitchinterval(interval)


def at_once(call: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """What each thread gets, when all start together; what one raises is raised."""
    start, found, errors = threading.Barrier(count), [None] * count, []

    def work(i: int) -> None:
        start.wait()
        try:
            found[i] = call(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_first_calls_of_many_threads(backend: str) -> None:
    expected = Explainer(MODEL, backend=backend, threads=1)(X).inputs["x"]
    for _ in range(ROUNDS):
        explainer = Explainer(MODEL, backend=backend, threads=1)
        for found in at_once(lambda _, explainer=explainer: explainer(X)):
            assert np.array_equal(found.inputs["x"], expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_different_questions_at_once(backend: str) -> None:
    """Batches of other sizes, other targets, layers and ledgers: each thread gets the answer to its own."""
    explainer = Explainer(MODEL, "gamma", backend=backend, threads=1)
    questions: list[dict[str, Any]] = [
        {"x": X}, {"x": X[:2]}, {"x": X[2:], "target": 1}, {"x": X, "seed": "one"}, {"x": X[:1], "layers": ["r", "v"]},
        {"x": X, "ledger": True}, {"x": X[:3], "target": [0, 1, 2]}, {"x": X, "seed": np.ones((5, 3))},
    ]  # fmt: skip
    alone = [Explainer(MODEL, "gamma", backend=backend, threads=1)(**question) for question in questions]
    for i, found in enumerate(at_once(lambda i: explainer(**questions[i % len(questions)]))):
        expected = alone[i % len(questions)]
        tolerance = {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(found.inputs["x"], expected.inputs["x"], **tolerance)
        np.testing.assert_allclose(found.conservation.target, expected.conservation.target, **tolerance)
        assert set(found.layers) == set(expected.layers)
        assert len(found.ledger) == len(expected.ledger)


def test_sessions_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.engines import sessions

    made: list[int] = []
    original = sessions.emit
    monkeypatch.setattr(sessions, "emit", lambda *given, **options: made.append(1) or original(*given, **options))
    explainer = Explainer(MODEL, backend="onnx", threads=1)
    at_once(lambda _: explainer(X))
    assert len(made) == 1


def test_a_recorder_s_session_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.engines import recording

    made: list[int] = []
    original = recording.open_session
    monkeypatch.setattr(recording, "open_session", lambda *given: made.append(1) or original(*given))
    explainer = Explainer(MODEL, backend="numpy", dtype="float32", threads=1, verify=False)
    at_once(lambda _: explainer(X))
    assert len(made) == 1


def test_the_backend_to_fall_back_on_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.explaining import builds as module

    def refuse(*_: object, **options: object) -> None:
        raise ConversionError("cannot be compiled")

    made: list[int] = []
    original = module.first_that_fits
    monkeypatch.setattr("onnx_lrp.engines.sessions.emit", refuse)
    explainer = Explainer(MODEL, threads=1)
    monkeypatch.setattr(module, "first_that_fits", lambda *given: made.append(1) or original(*given))
    found = at_once(lambda _: explainer(X))
    assert len(made) == 1
    assert explainer.engine.name != "onnx"
    assert all(np.array_equal(found[0].inputs["x"], other.inputs["x"]) for other in found)
