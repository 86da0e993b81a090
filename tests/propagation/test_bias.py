"""bias="ignore" leaves every constant out, of sums and gates, wherever it stands: by hand, facts on and off."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from planning import BACKENDS, close, parsed

from onnx_lrp import AlphaBeta, Composite, Epsilon, Explainer, Gamma, Rule, Selector, ZPlus
from onnx_lrp.composites import WEIGHTED

RNG = np.random.default_rng(0)
EVERY = pytest.mark.parametrize(("backend", "facts"), [(name, facts) for name in BACKENDS for facts in (True, False)])


def ignoring(rule: Rule) -> Composite:
    """The rule on layers, and no bias anywhere."""
    return Composite("", ((Selector(WEIGHTED, strict=False), rule),), Epsilon(rule.epsilon, bias="ignore"))


def relevance(model: onnx.ModelProto, x: Any, composite: Composite, backend: str, facts: bool, **call: Any) -> Any:
    dtype = "float32" if backend == "onnx" else "float64"
    return Explainer(model, composite, backend=backend, dtype=dtype, facts=facts)(np.asarray(x), **call).relevance


def right(found: np.ndarray, expected: Any, backend: str) -> None:
    close(found, np.asarray(expected, float), 1e-5 if backend == "onnx" else 1e-9)


# Sums of l and a constant c
MERGES = {
    "add": "y = Add(l, c)",
    "in front": "y = Add(c, l)",
    "sub": "y = Sub(l, c)",
    "of two": "s = Add(l, l) y = Add(s, c)",
    "of three": "y = Sum(l, c, l)",
    "mean": "y = Mean(l, c, c)",
    "rectified": "s = Add(l, c) y = LeakyRelu(s)",
    "a constant less it": "y = Sub(c, l)",
}


@EVERY
@pytest.mark.parametrize("what", MERGES)
def test_constants_in_sums(what: str, backend: str, facts: bool) -> None:
    """Without them, all of the relevance goes to what there is."""
    model = parsed(f"g (float[N, 3] x) => (float[N, 3] y) {{ l = LeakyRelu(x) {MERGES[what]} }}", c=[8.0, -1.0, 4.0])
    x = [[1.0, 2.0, -300.0]]
    found = relevance(model, x, ignoring(Epsilon(1e-9, bias="ignore")), backend, facts, seed=np.ones((1, 3)))
    right(found, np.ones((1, 3)), "onnx")
    absorbed = relevance(model, x, Composite("", (), Epsilon(1e-9)), backend, facts, seed=np.ones((1, 3)))
    assert np.abs(absorbed - 1).min() > 0.1


BIASES = {"per channel": (2, 1, 1), "per position": (2, 3), "per entry": (2, 2, 3), "one": (1,)}


@EVERY
@pytest.mark.parametrize("shape", BIASES)
@pytest.mark.parametrize("rule", [Epsilon, ZPlus, Gamma, AlphaBeta])
def test_biases_of_layers(rule: Any, shape: str, backend: str, facts: bool) -> None:
    """A layer with a bias is as if it had none: all of what it gets goes on, and in the same proportion."""
    rng = np.random.default_rng(1)
    kernel, bias = rng.standard_normal((2, 2, 1, 1)), rng.standard_normal(BIASES[shape])
    x, seed = rng.standard_normal((2, 2, 2, 3)), rng.standard_normal((2, 2, 2, 3))
    text = "g (float[N, 2, 2, 3] x) => (float[N, 2, 2, 3] y) { p = Relu(x) a = Conv(p, K) %s }"
    with_it = parsed(text % "y = Add(a, b)", K=kernel, b=bias)
    without = parsed(text % "y = Identity(a)", K=kernel)
    composite = ignoring(rule(bias="ignore"))
    found = relevance(with_it, x, composite, backend, facts, seed=seed)
    right(found, relevance(without, x, composite, "numpy", False, seed=seed), backend)


ENDS = ("y = Identity(a)", "r = Relu(a) y = MatMul(r, I)", "r = LeakyRelu(a) y = MatMul(r, I)")


@EVERY
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("start", ["p = Relu(x)", "p = LeakyRelu(x)"])
def test_gamma_gates_without_the_bias(start: str, end: str, backend: str, facts: bool) -> None:
    """z = 2 - 3 = -1, though the output is 4: by W + γ W⁻, 2 and -3.75 of -1.75."""
    text = f"g (float[N, 2] x) => (float[N, 1] y) {{ {start} a = Gemm(p, W, b) {end} }}"
    model = parsed(text, W=[[2.0], [-3.0]], b=[5.0], I=[[1.0]])
    composite = Composite("", ((Selector(("Gemm",)), Gamma(0.25, epsilon=0.0, bias="ignore")),), Epsilon(0.0))
    found = relevance(model, [[1.0, 1.0]], composite, backend, facts, seed="one")
    right(found, [[2 / -1.75, -3.75 / -1.75]], backend)


@EVERY
def test_gamma_gates_with_the_bias_otherwise(backend: str, facts: bool) -> None:
    """z = 4: by W + γ W⁺ and b + γ b⁺, 2.5 and -3 of 5.75."""
    model = parsed("g (float[N, 2] x) => (float[N, 1] y) { p = Relu(x) y = Gemm(p, W, b) }", W=[[2.0], [-3.0]], b=[5.0])
    composite = Composite("", ((Selector(("Gemm",)), Gamma(0.25, epsilon=0.0)),))
    found = relevance(model, [[1.0, 1.0]], composite, backend, facts, seed="one")
    right(found, [[2.5 / 5.75, -3 / 5.75]], backend)


@EVERY
@pytest.mark.parametrize("rule", [Epsilon(1e-9, bias="ignore"), ZPlus(epsilon=1e-9, bias="ignore")], ids=str)
def test_without_biases_nothing_is_lost(rule: Rule, backend: str, facts: bool) -> None:
    """Weights are positive somewhere in every column, so that z⁺ has something to share by."""
    rng = np.random.default_rng(3)
    weights = {"W": rng.uniform(-0.2, 1, (4, 4)), "V": rng.uniform(-0.2, 1, (4, 4)), "b": rng.standard_normal(4)}
    text = """g (float[N, 4] x) => (float[N, 4] y) {
        p = Relu(x) a = Gemm(p, W, b) s = Add(a, p) t = Add(s, b) r = Relu(t) y = Gemm(r, V, b) }"""
    x = rng.uniform(0.5, 1, (3, 4))
    found = relevance(parsed(text, **weights), x, ignoring(rule), backend, facts, seed=np.ones((3, 4)))
    right(found.sum(1), [4, 4, 4], "onnx")
