"""Seeds that compare, compiled in: converted models on plain onnxruntime start as the array of the same values does."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from small import FUSED, PLAIN, X, answers, feeds_of, parsed, session, small

import onnx_lrp as lrp

RIVALS = [{"against": 3}, {"against": [3, 1]}]
CALLS: list[dict[str, Any]] = [{"seed": "odds"}, {"seed": "margin"}, {"seed": "probability"}, *RIVALS]
REGRESSION = """net (float[N, 2, 6, 6] x) => (float[N, 1] y) <float[72, 8] a, float[8, 1] b>
    { f = Flatten(x)  h = MatMul(f, a)  r = Relu(h)  y = MatMul(r, b) }"""


def start(z: np.ndarray, c: int, call: dict[str, Any]) -> np.ndarray:
    """One sample's, written out in float64."""
    z = z.astype(np.float64)
    others = [j for j in range(len(z)) if j != c]
    w = np.zeros(len(z))
    if call.get("seed") == "probability":
        w[c] = 1 / np.exp(z - z[c]).sum()
        return w
    if call.get("seed") == "odds":
        w[others] = [-1 / np.exp(z[others] - z[j]).sum() for j in others]
    elif call.get("seed") == "margin":
        w[others[int(z[others].argmax())]] = -1
    else:
        for j in np.atleast_1d(call["against"]):
            w[j] -= 1 / np.size(call["against"])
    w[c] = 1
    return w * z


def expected(model: onnx.ModelProto, target: Any, *calls: dict[str, Any], dtype: str = "float32") -> np.ndarray:
    """Relevance by NumPy, of the array seed; the last call is also that of all further samples."""
    explainer = lrp.Explainer(model, backend="numpy", dtype=dtype)
    known = explainer(X, target)
    rows = [start(known.output[i], known.target[i], calls[min(i, len(calls) - 1)]) for i in range(len(X))]
    return np.asarray(explainer(X, target, seed=np.array(rows)).relevance)


def agree(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize(("opset", "level"), [(9, FUSED), (11, FUSED), (17, FUSED), (17, PLAIN)], ids=str)
def test_starts_as_the_array_does(call: dict[str, Any], opset: int, level: ort.GraphOptimizationLevel) -> None:
    model = small("chain", opset)
    taken = lrp.convert(model, seed="input")
    explained = session(lrp.convert(model, **call), level)
    for given in ([0], [0, 2, 0, 0, 2]):
        logits = answers(model, {"x": X})["y"]
        rows = [start(z, c, call) for z, c in zip(logits, np.resize(given, 5))]
        by_array = answers(session(taken, level), {"x": X, "seed": np.array(rows, np.float32)})["relevance"]
        found = answers(explained, {"x": X, "target": np.array(given)})["relevance"]
        agree(found, by_array)
        near = np.abs(found - expected(model, given if len(given) > 1 else given[0], call)).max()
        assert near <= 1e-5 * np.abs(found).max()


@pytest.mark.parametrize("call", CALLS[:3], ids=str)
def test_several_targets_and_the_largest(call: dict[str, Any]) -> None:
    model = small("residual")
    made = answers(lrp.convert(model, targets=2, **call), {"x": X})["relevance"]
    order = np.argsort(-answers(model, {"x": X})["y"], 1, kind="stable")
    for rank in range(2):
        agree(made[:, rank], expected(model, order[:, rank], call))
    agree(answers(lrp.convert(model, **call), {"x": X})["relevance"], expected(model, None, call))


@pytest.mark.parametrize("opset", [9, 17])
def test_the_rival_as_an_input(opset: int) -> None:
    model = small("residual", opset)
    converted = lrp.convert(model, against="input")
    assert [i.name for i in converted.graph.input] == ["x", "target", "against"]
    explained, target = session(converted), {"x": X, "target": np.array([0])}
    margin = {"seed": "margin"}
    agree(answers(explained, {"x": X})["relevance"], expected(model, None, margin))
    agree(answers(explained, target)["relevance"], expected(model, 0, margin))
    agree(answers(explained, target | {"against": np.array([2])})["relevance"], expected(model, 0, {"against": 2}))
    given = np.array([1, -1, 3, 2, -1])
    each = [margin if j < 0 else {"against": int(j)} for j in given]
    agree(answers(explained, target | {"against": given})["relevance"], expected(model, 0, *each))


def test_several_targets_against_one() -> None:
    model = small("residual")
    explained = session(lrp.convert(model, targets=2, against="input"))
    made = answers(explained, {"x": X, "target": np.array([[0, 2]]), "against": np.array([3])})["relevance"]
    for rank, target in enumerate([0, 2]):
        agree(made[:, rank], expected(model, target, {"against": 3}))


@pytest.mark.parametrize("opset", [9, 17])
@pytest.mark.parametrize("level", [PLAIN, FUSED], ids=str)
def test_a_class_against_itself_fails_at_run_time(opset: int, level: ort.GraphOptimizationLevel) -> None:
    model = small("residual", opset)
    options = {"x": X, "target": np.array([0, 1, 1, 0, 3])}
    compiled, fed = (session(lrp.convert(model, against=how), level) for how in ([2, 3], "input"))
    for explained, feeds in ((compiled, {}), (fed, {"against": np.array([3])}), (fed, {"against": np.array([4])}),
                             (fed, {"against": np.array([-2])})):  # fmt: skip
        with pytest.raises(Exception, match=r"out of (data )?bounds"):
            answers(explained, options | feeds)
    last = {"target": np.array([0, 1, 1, 0, 0])}
    agree(answers(compiled, options | last)["relevance"], expected(model, [0, 1, 1, 0, 0], {"against": [2, 3]}))


def test_a_baseline() -> None:
    model = parsed(REGRESSION)
    explainer = lrp.Explainer(model, backend="numpy", dtype="float32")
    output = explainer(X).output
    made = answers(lrp.convert(model, baseline=0.75), feeds_of(model))["relevance"]
    agree(made, np.asarray(explainer(X, seed=output.astype(np.float64) - 0.75).relevance))


def test_a_name_that_is_taken() -> None:
    text = (
        "net (float[N, 2, 6, 6] x) => (float[N, 4] against) <float[72, 4] a> { f = Flatten(x) against = MatMul(f, a) }"
    )
    converted = lrp.convert(parsed(text), against="input")
    assert [i.name for i in converted.graph.input] == ["x", "target", "lrp_against"]


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ({"seed": "odds"}, {"seed": "odds"}),
        ({"against": [3, 1]}, {"seed": "logit", "against": "3,1"}),
        ({"against": "input"}, {"seed": "logit", "against": "input"}),
        ({"seed": "one"}, {"seed": "one"}),
    ],
    ids=str,
)
def test_metadata(call: dict[str, Any], wanted: dict[str, str]) -> None:
    found = {p.key.partition(".")[2]: p.value for p in lrp.convert(small("chain"), **call).metadata_props}
    assert {key: found[key] for key in ("seed", "against", "baseline") if key in found} == wanted
    made = lrp.convert(parsed(REGRESSION), baseline=-0.1).metadata_props
    assert {p.key: p.value for p in made}["onnx_lrp.baseline"] == "-0.1"


@pytest.mark.parametrize(
    ("name", "call", "message"),
    [
        ("chain", {"seed": "softmax"}, "vanishes where the model is sure"),
        ("chain", {"seed": "two"}, "unknown seed 'two'; choose one of logit, one, odds, margin, probability, input"),
        ("chain", {"seed": np.ones((1, 4))}, "unknown seed array"),
        ("chain", {"against": "cat"}, "against is the index of a class, a list of them, or 'input', not 'cat'"),
        ("chain", {"against": 4}, "against names class 4: the output has 4 classes"),
        ("chain", {"against": [1, 1]}, "class 1 more than once"),
        ("chain", {"against": "input", "seed": "odds"}, "against goes with the seed 'logit', not with 'odds'"),
        ("chain", {"against": 1, "seed": "input"}, "against goes with the seed 'logit', not with 'input'"),
        ("chain", {"against": "input", "baseline": 1.0}, "give one of them"),
        ("chain", {"baseline": 1.0}, "one element, and this one has 4"),
        ("norm", {"seed": "odds"}, r"compares classes: .* not of \(samples, 6, 6, 4\)"),
        ("norm", {"against": "input"}, "against compares classes"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_refused(name: str, call: dict[str, Any], message: str) -> None:
    with pytest.raises(lrp.TargetError, match=message):
        lrp.convert(small(name), **call)


def test_a_regression_has_no_classes() -> None:
    with pytest.raises(lrp.TargetError, match=r"one element; .*baseline=VALUE"):
        lrp.convert(parsed(REGRESSION), seed="margin")
