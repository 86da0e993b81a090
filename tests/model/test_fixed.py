"""Inputs held fixed: constants of the question, by the user's word or because they only weigh the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

import onnx_lrp as lrp
from onnx_lrp.errors import ConversionError, InputError, UnsupportedModelError
from onnx_lrp.model.preparation import prepare

RNG = np.random.default_rng(0)
W = ", ".join(f"{n:.3f}" for n in RNG.normal(size=15))
HEAD = '<ir_version: 8, opset_import: ["" : 17]> g '
GRAPH = f"""(float[n,4,5] x, float[n,4,4] adj) => (float[n,4,3] y)
<float[5,3] w = {{{W}}}, float[1] one = {{1.0}}, int64[1] last = {{-1}}, float low = {{0.0}}>
{{
    degree = ReduceSum <keepdims = 1> (adj, last)
    safe = Add (degree, one)
    walk = Div (adj, safe)
    h = MatMul (x, w)
    q = MatMul (walk, h)
    y = Relu (q)
}}"""
MASK = f"""(float[n,5] x, bool[n,3] keep) => (float[n,3] y)
<float[5,3] w = {{{W}}}, float[1] b = {{0.5}}> {{ h = MatMul (x, w)  z = Add (h, b)  y = Where (keep, z, b) }}"""
SCALES = f"""(float[n,5] x, float[3] gain, float[3] shift) => (float[n,3] y)
<float[5,3] w = {{{W}}}>
{{ h = MatMul (x, w)  d = Div (h, gain)  z = Gemm <beta = 2.0> (d, eye, shift)  y = Relu (z) }}"""
ROWS = f"""(float[6,5] x, int64[4] rows) => (float[4,3] y)
<float[5,3] w = {{{W}}}> {{ h = Gather (x, rows)  y = MatMul (h, w) }}"""
BACKENDS = ["numpy", "torch", "onnx"]


def parsed(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(HEAD + text)
    if "eye" in text:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(3, dtype=np.float32), "eye"))
    return model


def weights(model: onnx.ModelProto) -> np.ndarray:
    return onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)


def explained(model: onnx.ModelProto, backend: str, feeds: dict[str, Any], fixed: Any) -> lrp.Explanation:
    explainer = lrp.Explainer(model, "epsilon:epsilon=1e-9", backend=backend, fixed=fixed)
    return explainer(feeds, target=1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("valued", [False, True])
def test_a_graph_network_takes_its_adjacency_as_it_is(backend: str, valued: bool) -> None:
    model = parsed(GRAPH)
    x, adj = RNG.normal(size=(2, 4, 5)).astype(np.float32), RNG.random((2, 4, 4)).astype(np.float32)
    walk = adj / (adj.sum(-1, keepdims=True) + 1)
    z = np.einsum("nj,njc,ck->nk", walk[:, 0], x, weights(model))
    expected = np.einsum("nj,njc,c->njc", walk[:, 0], x, weights(model)[:, 1]) * (z[:, 1, None, None] > 0)
    if valued:
        found = explained(model, backend, {"x": x}, {"adj": adj})
        assert set(found.inputs) == {"x"}
    else:
        found = explained(model, backend, {"x": x, "adj": adj}, ["adj"])
        assert not found.inputs["adj"].any()
    np.testing.assert_allclose(found.inputs["x"], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.conservation.inputs, found.conservation.target, rtol=1e-4, atol=1e-6)


def test_it_is_taken_so_unasked_and_said() -> None:
    prepared = prepare(parsed(GRAPH))
    assert [value.name for value in prepared.explaining] == ["x"]
    assert "input 'adj' is held fixed, as it only weighs" in prepared.assumptions()[0]
    assert "input 'adj' is held fixed, as it only weighs" in str(lrp.check(parsed(GRAPH)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mask_decides_and_gets_nothing(backend: str) -> None:
    model = parsed(MASK)
    x, keep = RNG.normal(size=(3, 5)).astype(np.float32), np.array([[True, i > 0, False] for i in range(3)])
    found = explained(model, backend, {"x": x, "keep": keep}, "keep").inputs
    contributions = x * weights(model)[:, 1]
    share = contributions * keep[:, 1:2]  # the bias keeps its own
    np.testing.assert_allclose(found["x"], share, rtol=1e-4, atol=1e-6)
    assert not found["keep"].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_factors_and_shifts_are_read_while_running(backend: str) -> None:
    model = parsed(SCALES)
    x = np.abs(RNG.normal(size=(2, 5))).astype(np.float32)
    feeds = {"x": x, "gain": np.array([1, 2, 4], np.float32), "shift": np.array([9, 8, 7], np.float32)}
    found = explained(model, backend, feeds, ["gain", "shift"]).inputs["x"]
    np.testing.assert_allclose(found, x * weights(model)[:, 1] / 2, rtol=1e-4, atol=1e-6)


def test_a_converted_model_reads_them_while_running() -> None:
    model = parsed(GRAPH)
    converted = lrp.convert(model, "epsilon:epsilon=1e-9", fixed=["adj"])
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_outputs()] == ["y", "relevance_x", "relevance_adj"]
    explainer = lrp.Explainer(model, "epsilon:epsilon=1e-9", fixed=["adj"], backend="numpy")
    for seed in range(2):
        rng = np.random.default_rng(seed)
        feeds = {"x": rng.normal(size=(1, 4, 5)).astype(np.float32), "adj": rng.random((1, 4, 4)).astype(np.float32)}
        _, x, adj = session.run(None, {**feeds})
        np.testing.assert_allclose(x, explainer(feeds).inputs["x"], rtol=1e-4, atol=1e-6)
        assert not adj.any()


def test_indices_have_to_be_known_to_be_compiled() -> None:
    model, rows = parsed(ROWS), np.array([0, 2, 2, 5])
    with pytest.raises(ConversionError, match=r"--fixed rows=FILE.npy"):
        lrp.convert(model, fixed=["rows"])
    x = RNG.normal(size=(6, 5)).astype(np.float32)
    found = explained(model, "numpy", {"x": x, "rows": rows}, ["rows"]).inputs["x"]
    known = lrp.convert(model, "epsilon:epsilon=1e-9", fixed={"rows": rows})
    session = onnxruntime.InferenceSession(known.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["x"]
    np.testing.assert_allclose(
        session.run(["relevance"], {"x": x, "target": np.array([1])})[0], found, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ("nope", "no input 'nope' to hold fixed; it has x, adj"),
        (["x", "adj"], "every input is held fixed"),
        ({"adj": np.zeros((1, 3, 3), np.float32)}, "declares the shape"),
        ({"adj": np.zeros((1, 4, 4), np.int64)}, "dtype int64"),
        (3, "fixed inputs must be names, not 3"),
    ],
)
def test_what_cannot_be_held(fixed: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        lrp.Explainer(parsed(GRAPH), fixed=fixed)


def test_a_fixed_input_without_a_value() -> None:
    explainer = lrp.Explainer(parsed(GRAPH), fixed=["adj"])
    with pytest.raises(InputError, match="missing input 'adj'"):
        explainer({"x": np.zeros((1, 4, 5), np.float32)})


@pytest.mark.parametrize(
    "body",
    [
        "y = Mul (x, m)",  # which one weighs?
        "h = MatMul (x, w)  p = Mul (h, m)  y = Add (p, m)",  # it is a summand, too
        "h = MatMul (x, w)  k = MatMul (m, w)  y = Mul (h, k)",  # of both something is learned
    ],
)
def test_a_product_of_signals_stays_refused(body: str) -> None:
    nine = ", ".join("0.5" for _ in range(9))
    model = parsed(f"(float[n,3] x, float[n,3] m) => (float[n,3] y) <float[3,3] w = {{{nine}}}> {{ {body} }}")
    with pytest.raises(UnsupportedModelError, match="two variables") as caught:
        lrp.Explainer(model)
    assert f"--fixed {'m' if 'p =' in body else 'x'})" in str(caught.value)  # the one that less is made of
