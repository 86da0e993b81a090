"""A user's own rules are the formula's, with facts and without: scales, gates, denominators of either sign, bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from planning import close, everywhere, parsed, without_facts

from onnx_lrp import Composite, Epsilon, Gamma, Part, Rule, Selector, Term
from onnx_lrp.backends.base import Array, Backend
from onnx_lrp.composites import WEIGHTED
from onnx_lrp.rules import Signed, identity, neg, pos, square

RNG = np.random.default_rng(2)
W, V, K = RNG.standard_normal((7, 7)), RNG.standard_normal((7, 7)), RNG.standard_normal((3, 3, 2))
X = RNG.standard_normal((6, 7)).astype(np.float32)
B = [0.5, -0.25, 0.0, 1.0, 0.75, -0.5, -1.0]
NET = parsed(
    """g (float[N, 7] x) => (float[N, 7] y) {
        a = Gemm(x, W, b) p = Relu(a) [c] c = Gemm(p, V, b) s = Add(c, p) r = Relu(s)
        [d] d = MatMul(r, W) l = LeakyRelu(d) [y] y = Gemm(l, V, b) }""",
    W=W, V=V, b=B,
)  # fmt: skip
TOLERANCES = (1e-9, 1e-9, 1e-5)  # of NumPy and Torch in float64, of onnxruntime in float32


def everywhere_but_merges(rule: Rule) -> Composite:
    return Composite("own", ((Selector(WEIGHTED), rule),), Epsilon(rule.epsilon))


@dataclass(frozen=True)
class Scaled(Rule):
    """A part of what the layer's own terms give."""

    scale: float = 0.5

    def parts(self) -> tuple[Part, ...]:
        return (Part((Term(identity, identity),), bias=identity, scale=self.scale),)


@dataclass(frozen=True)
class Gated(Rule):
    """Outputs of one sign, over a sum of whatever sign."""

    gate: Any = "positive"
    up: float = 1.0
    down: float = 2.0

    def parts(self) -> tuple[Part, ...]:
        slopes = Signed(self.up, self.down)
        return (Part((Term(identity, slopes),), bias=slopes, gate=self.gate),)


@dataclass(frozen=True)
class Switched(Rule):
    """The layer's own terms twice, gated by its sign."""

    def parts(self) -> tuple[Part, ...]:
        own = Part((Term(identity, identity),), bias=identity)
        return (replace(own, gate="positive"), replace(own, gate="negative", scale=0.25))


@dataclass(frozen=True)
class Squared(Rule):
    """A modifier of the input that the library does not know, and one of the weight."""

    def parts(self) -> tuple[Part, ...]:
        return (Part((Term(square, _halved), Term(pos, neg)), bias=square, scale=-1.5),)


def _halved(_: Backend, a: Array) -> Array:
    return 0.5 * a


@pytest.mark.parametrize("scale", [0.5, -2.0])
def test_a_scale_scales_exactly(scale: float) -> None:
    model = parsed("g (float[N, 7] x) => (float[N, 7] y) { a = Gemm(x, W, b) y = Relu(a) }", W=W, b=B)
    whole = everywhere(model, X, everywhere_but_merges(Epsilon()))
    part = everywhere(model, X, everywhere_but_merges(Scaled(scale=scale)))
    plain = without_facts(model, X, everywhere_but_merges(Scaled(scale=scale))).inputs["x"]
    close(plain, scale * without_facts(model, X, everywhere_but_merges(Epsilon())).inputs["x"])
    for a, b, tolerance in zip(part, whole, (1e-12, 1e-12, 1e-6)):
        close(a.inputs["x"], scale * b.inputs["x"], tolerance)
        close(a.inputs["x"], plain, max(tolerance, 1e-9) * 10)


def test_scales_multiply_from_layer_to_layer() -> None:
    """Halved at each of three layers, on a path without merges."""
    text = """g (float[N, 7] x) => (float[N, 7] y) {
        a = MatMul(x, W) p = Relu(a) c = Gemm(p, V, b) q = Relu(c) y = MatMul(q, W) }"""
    model = parsed(text, W=W, V=V, b=B)
    whole, half = (everywhere(model, X, everywhere_but_merges(r))[0].inputs["x"] for r in (Epsilon(), Scaled()))
    close(half, whole / 8)


SLOPES = ((1, 2), (2, 1), (1, 0), (0, 1), (1, -1))
RULES: list[Rule] = [
    Scaled(), Scaled(scale=-3.0, bias="ignore"), Scaled(epsilon=0.1), Switched(), Switched(bias="ignore"), Squared(),
    *(Gated(gate="positive", up=up, down=down) for up, down in SLOPES),
    *(Gated(gate="negative", up=up, down=down) for up, down in SLOPES),
    Gated(gate="all", up=0.5, down=1.5), Gated(bias="ignore"), Gated(epsilon=0.25),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_facts_change_nothing(rule: Rule) -> None:
    """On a summand of a rectified sum, a layer whose outputs of either sign hand relevance on, and signed inputs."""
    rule = replace(rule, epsilon=max(rule.epsilon, 1e-3))
    composite = Composite("own", ((Selector(name="[cdy]"), rule),), Epsilon(1e-3))
    seed = RNG.standard_normal((6, 7))
    plain = without_facts(NET, X, composite, seed=seed).inputs["x"]
    assert np.abs(plain).max() > 0
    near = 3e-4  # a denominator near 0 magnifies what float32 rounds, as it does without facts
    for found, tolerance in zip(everywhere(NET, X, composite, near, seed=seed), (1e-9, 1e-9, near)):
        close(found.inputs["x"], plain, tolerance)


def test_a_gated_part_is_stabilised_by_the_sign_that_its_denominator_has() -> None:
    """z = 1 - 0.75 > 0 is served; but 1 - 2 · 0.75 = -0.5, and neither 0.5 nor ε, is what is divided by."""
    model = parsed("g (float[N, 2] x) => (float[N, 1] y) { p = Relu(x) y = MatMul(p, W) }", W=[[1.0], [-0.75]])
    found = everywhere(model, np.ones((1, 2)), everywhere_but_merges(Gated()), seed="one")
    for explanation, tolerance in zip(found, TOLERANCES):
        close(explanation.inputs["x"], np.array([[1.0, -1.5]]) / (-0.5 - 1e-6), tolerance)


def test_a_gate_serves_only_its_sign() -> None:
    model = parsed("g (float[N, 2] x) => (float[N, 2] y) { p = Relu(x) y = MatMul(p, W) }", W=[[1.0, 1.0], [-2.0, 2.0]])
    x, seed = np.ones((1, 2)), np.array([[3.0, 5.0]])  # z = (-1, 3)
    for gate, expected in (("negative", [[-3.0, 6.0]]), ("positive", [[5 / 3, 10 / 3]])):
        rule = everywhere_but_merges(Gated(gate=gate, up=1, down=1, epsilon=0.0))
        for found, tolerance in zip(everywhere(model, x, rule, seed=seed), TOLERANCES):
            close(found.inputs["x"], np.array(expected), tolerance)


@pytest.mark.parametrize("rule", [Gated(), Gamma(), Scaled(), Switched()], ids=str)
def test_convolutions_too(rule: Rule) -> None:
    text = """g (float[N, 3, 5] x) => (float[N, 3, 2] y) {
        a = Conv(x, K, b) p = Relu(a) c = Conv(p, K, b) l = LeakyRelu(c) y = Conv(l, K) }"""
    model = parsed(text, K=K, b=B[:3])
    x, composite = RNG.standard_normal((2, 3, 5)).astype(np.float32), everywhere_but_merges(replace(rule, epsilon=1e-3))
    close(everywhere(model, x, composite)[0].inputs["x"], without_facts(model, x, composite).inputs["x"])
