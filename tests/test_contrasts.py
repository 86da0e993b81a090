"""Seeds that compare: their weights by loops, the relevance that the array of the same values gives, and refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp import TargetError
from onnx_lrp.targets import as_seed, runner_up, seed_relevance

RNG = np.random.default_rng(0)
LOGITS = np.array([[1.0, 5.0, 2.0, 5.0], [7.0, 0.0, 3.0, -2.0], [0.0, 0.0, 0.0, 0.0], [80.0, -900.0, 79.0, 2.5]])
TARGETS = np.array([1, 2, 0, 0])
WAYS: list[tuple[str, str]] = [
    ("numpy", "float64"), ("numpy", "float32"), ("torch", "float64"), ("torch", "float32"), ("onnx", "float32"),
]  # fmt: skip
CALLS: list[dict[str, Any]] = [
    {"seed": "odds"}, {"seed": "margin"}, {"seed": "probability"}, {"against": 3}, {"against": [3, 1]},
]  # fmt: skip
X = RNG.normal(size=(6, 2, 5, 5)).astype(np.float32)


def model(text: str, **weights: tuple[int, ...]) -> onnx.ModelProto:
    """With random weights of these sizes, the same ones every time."""
    made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    random = np.random.default_rng(1)
    for name, shape in weights.items():
        made.graph.initializer.append(onnx.numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name))
    return made


CLASSIFIER = model(
    """net (float[N, 2, 5, 5] x) => (float[N, 5] y)
    { h = Conv(x, a)  r = Relu(h)  f = Flatten(r)  y = MatMul(f, w) }""",
    a=(3, 2, 3, 3), w=(27, 5),
)  # fmt: skip
MAPS = model(
    """net (float[N, 2, 5, 5] x) => (float[N, 5, 1, 1] y)
    { h = Conv(x, a)  r = Relu(h)  g = GlobalAveragePool(r)  y = Conv(g, w) }""",
    a=(3, 2, 3, 3), w=(5, 3, 1, 1),
)  # fmt: skip
SEGMENTS = model("net (float[N, 2, 5, 5] x) => (float[N, 3, 3, 3] y) { y = Conv(x, a) }", a=(3, 2, 3, 3))
REGRESSION = model("net (float[N, 4] x) => (float[N, 1] y) { h = MatMul(x, a)  r = Relu(h)  y = MatMul(r, w) }",
                   a=(4, 6), w=(6, 1))  # fmt: skip
VECTOR = model("net (float[4] x) => (float[3] y) { h = MatMul(x, a)  r = Relu(h)  y = MatMul(r, w) }",
               a=(4, 6), w=(6, 3))  # fmt: skip
ROWS = RNG.normal(size=(3, 4)).astype(np.float32)


# --------------------------------------------------------------------------------------------------- weights by loops


def softmax_by_loops(z: list[float]) -> list[float]:
    sizes = [math.exp(value - max(z)) for value in z]
    return [size / sum(sizes) for size in sizes]


def odds_by_loops(z: list[float], c: int) -> list[float]:
    p = iter(softmax_by_loops([value for j, value in enumerate(z) if j != c]))
    return [1.0 if j == c else -next(p) for j in range(len(z))]


def margin_by_loops(z: list[float], c: int) -> list[float]:
    best = sorted((j for j in range(len(z)) if j != c), key=lambda j: -z[j])[0]
    return [1.0 if j == c else -1.0 if j == best else 0.0 for j in range(len(z))]


def against_by_loops(z: list[float], c: int, classes: list[int]) -> list[float]:
    return [1.0 if j == c else -1.0 / len(classes) if j in classes else 0.0 for j in range(len(z))]


def start_by_loops(z: list[float], c: int, call: dict[str, Any]) -> list[float]:
    """One sample's relevance to start with."""
    if call.get("seed") == "probability":
        return [p if j == c else 0.0 for j, p in enumerate(softmax_by_loops(z))]
    if call.get("seed") == "odds":
        w = odds_by_loops(z, c)
    elif call.get("seed") == "margin":
        w = margin_by_loops(z, c)
    else:
        w = against_by_loops(z, c, np.atleast_1d(call["against"]).tolist())
    return [a * b for a, b in zip(w, z)]


def start_of(call: dict[str, Any], logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    samples = zip(logits.astype(np.float64).reshape(len(logits), -1).tolist(), target.tolist())
    return np.array([start_by_loops(z, c, call) for z, c in samples]).reshape(logits.shape)


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_starts_are_those_of_the_loops(call: dict[str, Any], dtype: type) -> None:
    logits, target = LOGITS.astype(dtype), np.array([0, 2, 0, 0])
    found = seed_relevance(as_seed(call.get("seed", "logit"), call.get("against")), target, logits)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, start_of(call, logits, target), rtol=1e-6, atol=1e-300)
    deep = seed_relevance(as_seed(call.get("seed", "logit"), call.get("against")), target, logits[:, :, None, None])
    assert np.array_equal(deep[:, :, 0, 0], found)


def test_odds_are_the_gradient_of_the_log_odds() -> None:
    def log_odds(z: np.ndarray) -> float:
        p = softmax_by_loops(z.tolist())
        return math.log(p[2] / (1 - p[2]))

    z, step = np.array([0.3, -1.0, 0.9, 2.0]), 1e-6
    w = as_seed("odds").weights(z[None], np.array([2]))[0]  # type: ignore[union-attr]
    slopes = [(log_odds(z + step * e) - log_odds(z - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(w, slopes, atol=1e-8)
    entropy = -sum(share * math.log(share) for share in -w if share > 0)
    assert (w * z).sum() == pytest.approx(log_odds(z) + entropy, abs=1e-12)


def test_odds_do_not_change_with_a_shift() -> None:
    weigh = as_seed("odds").weights  # type: ignore[union-attr]
    for shift in (-40.0, 0.5, 1e4):
        np.testing.assert_allclose(weigh(LOGITS + shift, TARGETS), weigh(LOGITS, TARGETS), rtol=1e-9)


def test_odds_where_the_model_is_sure() -> None:
    w = as_seed("odds").weights(np.array([[2000.0, 3.0, 3.0, -2000.0]]), np.array([0]))  # type: ignore[union-attr]
    assert w.tolist() == [[1.0, -0.5, -0.5, 0.0]]


@pytest.mark.parametrize("seed", ["odds", "margin"])
def test_two_classes_are_each_other_s_rival(seed: str) -> None:
    z = np.array([[3.0, -1.0], [0.5, 400.0]])
    assert seed_relevance(seed, np.array([0, 0]), z).tolist() == [[3.0, 1.0], [0.5, -400.0]]


def test_the_runner_up_is_the_first_of_equals() -> None:
    assert runner_up(LOGITS, TARGETS).tolist() == [3, 0, 1, 2]


# ----------------------------------------------------------------------------------------------- all engines agree


@pytest.mark.parametrize(("backend", "dtype"), WAYS)
@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("net", [CLASSIFIER, MAPS], ids=["dense", "maps"])
def test_relevance_is_that_of_the_array(net: onnx.ModelProto, call: dict[str, Any], backend: str, dtype: str) -> None:
    explainer = lrp.Explainer(net, "epsilon_plus", backend=backend, dtype=dtype)
    for target in [0, [0, 2, 4, 0, 2, 4]]:
        found = explainer(X, target, **call)
        start = start_of(call, found.output, found.target)
        expected = explainer(X, target, seed=start)
        assert found.relevance.dtype == dtype
        near = 1e-6 * np.abs(expected.relevance).max()
        np.testing.assert_allclose(found.relevance, expected.relevance, rtol=0, atol=near)
        np.testing.assert_allclose(found.conservation.target, start.reshape(6, -1).sum(1), rtol=1e-5, atol=1e-6)
        assert found.target.tolist() == expected.target.tolist()


@pytest.mark.parametrize(("backend", "dtype"), [WAYS[0], WAYS[3], WAYS[4]])
@pytest.mark.parametrize("call", CALLS[:3], ids=str)
def test_several_and_the_argmax(call: dict[str, Any], backend: str, dtype: str) -> None:
    explainer = lrp.Explainer(CLASSIFIER, "epsilon", backend=backend, dtype=dtype)
    for found in [explainer(X, **call), *explainer.several(X, 3, **call), *explainer.several(X, [None, 1], **call)]:
        expected = explainer(X, found.target, seed=start_of(call, found.output, found.target))
        near = 1e-6 * np.abs(expected.relevance).max()
        np.testing.assert_allclose(found.relevance, expected.relevance, rtol=0, atol=near)


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_a_model_of_one_sample(backend: str) -> None:
    explainer, x = lrp.Explainer(VECTOR, backend=backend), ROWS[0]
    found = explainer(x, 1, seed="odds")
    expected = explainer(x, 1, seed=start_of({"seed": "odds"}, found.output, found.target)[0])
    np.testing.assert_allclose(found.relevance, expected.relevance, rtol=1e-5)


def test_a_ledger_starts_with_what_is_explained() -> None:
    found = lrp.explain(CLASSIFIER, X, 0, against=3, ledger=True)
    assert found.ledger[0].relevance_in == pytest.approx(found.conservation.target.sum(), rel=1e-5)


@pytest.mark.parametrize(("backend", "dtype"), WAYS)
def test_a_baseline_is_taken_off(backend: str, dtype: str) -> None:
    explainer = lrp.Explainer(REGRESSION, backend=backend, dtype=dtype)
    found = explainer(ROWS, baseline=0.25)
    np.testing.assert_allclose(found.conservation.target, found.output[:, 0] - 0.25, rtol=1e-5)
    expected = explainer(ROWS, seed=found.output - 0.25)
    np.testing.assert_allclose(found.relevance, expected.relevance, atol=1e-6 * np.abs(expected.relevance).max())
    other = explainer(ROWS, baseline=-1.0)
    np.testing.assert_allclose(other.conservation.target, found.output[:, 0] + 1, rtol=1e-5)


def test_one_session_answers_for_all_rivals() -> None:
    explainer = lrp.Explainer(CLASSIFIER, backend="onnx", verify=False)
    for against in (1, 2, 3):
        explainer(X, 0, against=against)
    assert len(explainer.engine._sessions._made) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_compare_takes_them(call: dict[str, Any]) -> None:
    report = lrp.compare(CLASSIFIER, CLASSIFIER, X, target=0, backend="numpy", **call)
    assert max(sample.drift for sample in report.samples) < 1e-9
    with pytest.raises(TargetError, match="1 more than once"):
        lrp.compare(CLASSIFIER, CLASSIFIER, X, against=[1, 1])


# -------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_a_class_against_itself_names_the_sample(backend: str) -> None:
    explainer = lrp.Explainer(CLASSIFIER, backend=backend)
    best = explainer(X).target
    sample = 3
    rival = int(best[sample])
    first = best.tolist().index(rival)
    asked: list[Any] = [{}, {"target": [int(i) for i in best]}, {"target": rival}]
    for call, where in zip(asked, (first, first, 0)):
        with pytest.raises(TargetError, match=f"class {rival} cannot be held against itself: .* sample {where};"):
            explainer(X, against=rival, **call)
    with pytest.raises(TargetError, match=f"class {rival} cannot .* sample {first};"):
        explainer.several(X, 2, against=[rival])


@pytest.mark.parametrize("backend", ["numpy", "onnx"])
@pytest.mark.parametrize(
    ("net", "call", "message"),
    [
        (CLASSIFIER, {"seed": "softmax"}, "vanishes where the model is sure.* use 'odds'"),
        (CLASSIFIER, {"seed": "two"}, "unknown seed 'two'; choose 'logit', 'one', 'odds', 'margin', 'probability', or"),
        (CLASSIFIER, {"against": 5}, "against names class 5: the output has 5 classes, 0 to 4"),
        (CLASSIFIER, {"against": [0, -1]}, "against names class -1: the output"),
        (CLASSIFIER, {"against": [2, 3, 2]}, "class 2 more than once"),
        (CLASSIFIER, {"against": "cat"}, "against is the index of a class or a list of them, not 'cat'"),
        (CLASSIFIER, {"against": "input"}, "not 'input'"),
        (CLASSIFIER, {"against": []}, "against is the index"),
        (CLASSIFIER, {"against": np.array([], np.int64)}, "against is the index"),
        (CLASSIFIER, {"against": [[1], [2]]}, "against is the index"),
        (CLASSIFIER, {"against": [[1], [2, 3]]}, "against is the index"),
        (CLASSIFIER, {"against": 1.0}, "against is the index"),
        (CLASSIFIER, {"against": True}, "against is the index"),
        (CLASSIFIER, {"against": 1, "seed": "odds"}, "against goes with the seed 'logit', not with 'odds'"),
        (CLASSIFIER, {"against": 1, "seed": np.ones((6, 5))}, "against goes with .* not with an array"),
        (CLASSIFIER, {"against": 1, "baseline": 0.0}, "give one of them"),
        (CLASSIFIER, {"baseline": 0.0}, r"one element, and this one has 5; .* against=CLASS \(--against CLASS\)"),
        (CLASSIFIER, {"seed": "odds", "target": (slice(1, 3),)}, "a region starts .* not with seed 'odds'"),
        (CLASSIFIER, {"against": 1, "target": (slice(1, 3),)}, "a region starts .* not with against"),
        (CLASSIFIER, {"seed": "two", "target": (slice(1, 3),)}, "unknown seed 'two'"),
        (SEGMENTS, {"seed": "odds"}, r"seed 'odds' compares classes: .* not of \(samples, 3, 3, 3\)"),
        (SEGMENTS, {"seed": "margin"}, "seed 'margin' compares classes"),
        (SEGMENTS, {"seed": "probability"}, "seed 'probability' compares classes"),
        (SEGMENTS, {"against": 1}, "against compares classes"),
        (REGRESSION, {"seed": "odds"}, r"one element; .* baseline=VALUE \(--baseline VALUE\)"),
        (REGRESSION, {"against": 0}, "one element; .* baseline=VALUE"),
        (REGRESSION, {"baseline": math.nan}, "baseline is a finite number, not nan"),
        (REGRESSION, {"baseline": "0"}, "baseline is a finite number, not '0'"),
        (REGRESSION, {"baseline": [1.0]}, "baseline is a finite number"),
        (REGRESSION, {"baseline": 1.0, "seed": "one"}, "baseline goes with the seed 'logit', not with 'one'"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_refused(net: onnx.ModelProto, call: dict[str, Any], message: str, backend: str) -> None:
    x = ROWS if net is REGRESSION else X
    with pytest.raises(TargetError, match=message) as raised:
        lrp.explain(net, x, backend=backend, **call)
    assert "\n" not in str(raised.value)
