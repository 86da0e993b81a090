"""Loop and Scan with a known number of turns are their bodies, once for each turn."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.errors import UnsupportedModelError

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g '
LOOP = """(float[n,3] x) => (float[n,3] y) <int64 count = {COUNT}, bool on = {1},
 float[3,3] w = {0.5, 1.0, -1.0, 0.25, -0.5, 2.0, 1.0, 0.5, -0.25}>
{
    y, rows = Loop (count, on, x) <body = body (int64 i, bool c, float[n,3] h) => (bool go, float[n,3] k, float[n,3] r)
        { go = Identity (c)  z = MatMul (h, w)  r = Relu (z)  k = Add (r, x) }>
}"""
SCAN = """(float[n,4,3] x) => (float[n,3] y) <float[1,3] start = {0.0, 0.0, 0.0},
 float[3,3] w = {0.5, 1.0, -1.0, 0.25, -0.5, 2.0, 1.0, 0.5, -0.25}>
{
    y, rows = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [BACK],
        body = body (float[n,3] h, float[n,3] t) => (float[n,3] k, float[n,3] r)
        { z = MatMul (h, w)  r = Add (z, t)  k = Relu (r) }> (start, x)
}"""
W = np.array([[0.5, 1.0, -1.0], [0.25, -0.5, 2.0], [1.0, 0.5, -0.25]])
RNG = np.random.default_rng(1)


def model(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(HEAD + text)


def numeric(function, x: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Gradient × input of a piecewise linear function."""
    found = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = 1e-7
        found[i] = x[i] * (function(x + step) - function(x - step)) / 2e-7
    return found


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_a_loop(backend: str) -> None:
    def own(x: np.ndarray) -> float:
        h = x
        for _ in range(3):
            h = np.maximum(h @ W, 0) + x
        return float(h[0, 1])

    x = RNG.normal(size=(1, 3))
    explainer = lrp.Explainer(model(LOOP.replace("COUNT", "3")), "epsilon:epsilon=1e-9", backend=backend)
    found = explainer(x.astype(np.float32), target=1)
    np.testing.assert_allclose(found.output[0, 1], own(x), rtol=1e-5)
    np.testing.assert_allclose(found.inputs["x"], numeric(own, x), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
@pytest.mark.parametrize("back", [0, 1])
def test_a_scan(backend: str, back: int) -> None:
    def own(x: np.ndarray) -> float:
        h = np.zeros((1, 3))
        for t in reversed(range(4)) if back else range(4):
            h = np.maximum(h @ W + x[:, t], 0)
        return float(h[0, 2])

    x = RNG.normal(size=(1, 4, 3)) + 0.5
    text = SCAN.replace("BACK", str(back))
    found = lrp.Explainer(model(text), "epsilon:epsilon=1e-9", backend=backend)(x.astype(np.float32), target=2)
    np.testing.assert_allclose(found.output[0, 2], own(x), rtol=1e-4)
    np.testing.assert_allclose(found.inputs["x"], numeric(own, x), rtol=2e-3, atol=1e-4)


def test_a_loop_that_is_too_long() -> None:
    with pytest.raises(UnsupportedModelError, match="too many nodes"):
        lrp.Explainer(model(LOOP.replace("COUNT", "100000")))


def test_a_loop_that_never_runs() -> None:
    with pytest.raises(UnsupportedModelError, match="never runs"):
        lrp.Explainer(model(LOOP.replace("COUNT", "0")))


def test_the_number_of_turns_may_be_fixed() -> None:
    text = LOOP.replace("(float[n,3] x)", "(float[n,3] x, int64 count)").replace("int64 count = {COUNT}, ", "")
    with pytest.raises(UnsupportedModelError, match="control flow"):
        lrp.Explainer(model(text), fixed=["count"])
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    found = lrp.Explainer(model(text), "epsilon", backend="numpy", fixed={"count": np.array(3)})(x)
    expected = lrp.Explainer(model(LOOP.replace("COUNT", "3")), "epsilon", backend="numpy")(x)
    np.testing.assert_allclose(found.inputs["x"], expected.inputs["x"])
