"""In float32, shortcuts lose no more digits than the formula does: its error against float64 is the yardstick."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from planning import BACKENDS, parsed

from onnx_lrp import Explainer

COMPOSITES = ("epsilon", "epsilon_plus", "alpha_beta", "alpha_beta:alpha=3,beta=2", "gamma", "gamma:gamma=10", "zplus")
WORSE = 10.0  # times the formula's error
ROUNDING = 2.0**-23


def residual(seed: int, sums: str) -> onnx.ModelProto:
    """Two blocks whose sums are rectified, with weights that cancel."""
    rng = np.random.default_rng(seed)
    names = {n: rng.standard_normal((16, 16)) / 4 for n in "ABCDE"} | {"b": rng.standard_normal(16)}
    return parsed(
        f"""g (float[N, 16] x) => (float[N, 16] y) {{ [a] a = Gemm(x, A, b) p = Relu(a)
            [c] c = Gemm(p, B, b) s = Add({sums}) r = Relu(s) [d] d = Gemm(r, C, b) t = Add(d, r) q = Relu(t)
            [e] e = Gemm(q, D) l = LeakyRelu(e) y = MatMul(l, E) }}""",
        **names,
    )


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def errors(model: onnx.ModelProto, x: np.ndarray, composite: str, backend: str, part: Any, **call: Any) -> list[float]:
    """Without facts, and with them."""
    exact = part(Explainer(model, composite, backend="numpy", facts=False)(x, **call))
    found = []
    for facts in (False, True):
        explainer = Explainer(model, composite, backend=backend, dtype="float32", facts=facts)
        found.append(error(part(explainer(x, **call)), exact))
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("composite", COMPOSITES)
def test_relevance_of_the_input(composite: str, backend: str) -> None:
    for seed in range(3):
        model = residual(seed, "c, p")
        x = np.random.default_rng(seed).standard_normal((16, 16)).astype(np.float32)
        plain, fast = errors(model, x, composite, backend, lambda found: found.inputs["x"], seed="one", target=3)
        assert fast <= WORSE * max(plain, ROUNDING), (plain, fast)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sums", ["c, p", "p, c"])
@pytest.mark.parametrize("composite", COMPOSITES)
def test_relevance_of_a_summand_of_a_rectified_sum(composite: str, sums: str, backend: str) -> None:
    """It may be known as the sum less the other summand, which has fewer digits than its relevance should have."""
    for seed in range(2):
        model = residual(seed, sums)
        x = np.random.default_rng(seed).standard_normal((16, 16)).astype(np.float32) * np.float32(30)
        for layer in ("c", "d"):
            call = {"layers": [layer], "seed": "one", "target": 3}
            plain, fast = errors(model, x, composite, backend, lambda found, n=layer: found.layers[n], **call)
            assert fast <= WORSE * max(plain, ROUNDING), (layer, plain, fast)


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_small_summand_beside_a_large_one(composite: str) -> None:
    """c of 1e-3 beside p of 1: of c = r - p only four digits are left, which must do for its layer's inputs."""
    rng = np.random.default_rng(0)
    small = {n: size * rng.standard_normal((16, 16)) for n, size in (("A", 1), ("B", 1e-3), ("E", 1))}
    text = """g (float[N, 16] x) => (float[N, 16] y) {
        a = MatMul(x, A) p = Relu(a) [c] c = MatMul(p, B) s = Add(c, p) r = Relu(s) y = MatMul(r, E) }"""
    model, x = parsed(text, **small), rng.standard_normal((16, 16)).astype(np.float32)
    asked = {"layers": ["c"], "seed": "one", "target": 3}
    for part in (lambda found: found.inputs["x"], lambda found: found.layers["c"]):
        plain, fast = errors(model, x, composite, "onnx", part, **asked)
        assert fast <= WORSE * max(plain, ROUNDING), (plain, fast)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ratio", [1e-5, 1.0, 1e5])
def test_one_sign_s_contributions_are_not_the_difference_of_two_sums(ratio: float, backend: str) -> None:
    """αβ divides by z⁺ and by z⁻: one may be 1e-5 of the other, or their sum z 1e-5 of either."""
    rng = np.random.default_rng(0)
    half, off = rng.uniform(0.5, 1, (16, 8)), 1 + 1e-5 * rng.standard_normal((16, 8))
    weights = {"A": np.concatenate([half, -ratio * half * off]), "E": rng.standard_normal((8, 2)), "b": [1.0, 2.0]}
    text = "g (float[N, 32] x) => (float[N, 2] y) { p = Relu(x) [c] c = MatMul(p, A) y = Gemm(c, E, b) }"
    model, x = parsed(text, **weights), np.tile(rng.uniform(0.5, 1, (4, 16)), 2).astype(np.float32)
    for composite in ("alpha_beta", "gamma:gamma=100"):
        asked = {"seed": np.ones((4, 2))}
        plain, fast = errors(model, x, composite, backend, lambda found: found.inputs["x"], **asked)
        assert fast <= WORSE * max(plain, ROUNDING), (composite, plain, fast)
