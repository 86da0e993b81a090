"""Every rule, as the formula computes it, against the textbook's loops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from layers import CASES, NUMPY, TORCH, close, integers
from own_rules import OWN_RULES
from textbook import (
    Formula,
    Problem,
    alpha_beta,
    epsilon,
    flat,
    gamma,
    problem,
    textbook,
    w_square,
    w_square_with_bias,
    z_box,
)

from onnx_lrp import AlphaBeta, Epsilon, Flat, Gamma, Rule, WSquare, ZBox, Zero, ZPlus
from onnx_lrp.propagation.linear import LinearRelevance

BACKENDS = (NUMPY, TORCH)
SEEDS = range(3)

RULES: list[tuple[Rule, Formula]] = [
    (Epsilon(0.25), epsilon), (Epsilon(), epsilon), (Zero(), epsilon),
    (Gamma(), gamma(0.25)), (Gamma(gamma=1.5, epsilon=0.1), gamma(1.5)), (Gamma(gamma=0.0, epsilon=0.0), gamma(0.0)),
    (AlphaBeta(), alpha_beta(2, 1)), (AlphaBeta(3.0, 2.0, epsilon=0.0), alpha_beta(3, 2)),
    (AlphaBeta(1.0, 0.0, epsilon=0.1), alpha_beta(1, 0)), (ZPlus(epsilon=0.0), alpha_beta(1, 0)),
    (WSquare(), w_square), (WSquare(epsilon=0.1, square_bias=True), w_square_with_bias), (Flat(epsilon=0.0), flat),
    (Flat(epsilon=0.5), flat), (Gamma(gamma=1.0, epsilon=1.0), gamma(1.0)), *OWN_RULES,
]  # fmt: skip


def applied(p: Problem, rule: Rule, xp: Any) -> np.ndarray:
    b = None if p.b is None else xp.asarray(p.b)
    layer = LinearRelevance(xp, p.map, rule, xp.asarray(p.x), xp.asarray(p.w), b)
    return xp.to_numpy(layer.relevance(xp.asarray(p.r)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bias", ["absorb", "ignore"])
@pytest.mark.parametrize(("rule", "formula"), RULES, ids=lambda v: str(v) if isinstance(v, Rule) else "")
def test_a_rule_is_the_textbook_s_formula(rule: Rule, formula: Formula, bias: str, name: str) -> None:
    rule = replace(rule, bias=bias)
    for p in (problem(name, seed) for seed in SEEDS):
        expected = textbook(p, formula, rule.epsilon, bias == "ignore")
        for xp in BACKENDS:
            close(applied(p, rule, xp), expected, 1e-10)


def bounds(kind: str, shape: tuple[int, ...]) -> list[tuple[Any, np.ndarray]]:
    """Low and high, as the rule takes them and as arrays."""
    rng = np.random.default_rng(7)
    if kind == "numbers":
        return [(v, np.full(shape, v)) for v in (-2.0, 3.0)]
    if kind == "arrays":
        return [(a, a) for a in (integers(rng, shape) - 4, integers(rng, shape) + 4)]
    channels = [tuple(v + s * np.arange(shape[1])) for v, s in ((-2.0, -1), (3.0, 1))]
    per_channel = (1, -1, *(1,) * (len(shape) - 2))
    return [(v, np.broadcast_to(np.reshape(v, per_channel), shape)) for v in channels]


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n in CASES for k in ("numbers", "arrays", "channels") if k != "channels" or len(CASES[n].x) > 1],
)
def test_z_box_is_the_textbook_s_formula(name: str, kind: str) -> None:
    (low, full_low), (high, full_high) = bounds(kind, CASES[name].x)
    for p in (problem(name, seed) for seed in SEEDS):
        expected = textbook(p, z_box(full_low, full_high), 0.01, True)
        for xp in BACKENDS:
            close(applied(p, ZBox(low, high, epsilon=0.01), xp), expected, 1e-10)


def test_the_cases_hold_zeros_everywhere() -> None:
    found = [problem(name, seed) for name in CASES for seed in SEEDS]
    for values in ([p.x for p in found], [p.w for p in found], [p.z(p.bias) for p in found], [p.r for p in found]):
        joined = np.concatenate([v.ravel() for v in values])
        assert min((joined > 0).sum(), (joined < 0).sum(), (joined == 0).sum()) > 20


def test_a_bias_that_is_ignored_changes_the_gate() -> None:
    """Else no case above would tell whether a gate looks at the output with or without it."""
    found = [problem(name, seed) for name in CASES for seed in SEEDS]
    moved = [np.sign(p.z(p.bias)) != np.sign(p.z(0 * p.bias)) for p in found]
    assert sum(signs.sum() for signs in moved) > 20


def test_a_gated_denominator_has_either_sign() -> None:
    """Else no case above would tell by which sign it is stabilized."""
    either = next(formula for rule, formula in OWN_RULES if str(rule).startswith("either sign"))
    signs = [
        np.sign(z) * np.sign(numerators.sum() + above)
        for p in (problem(name, seed) for name in CASES for seed in SEEDS)
        for k, z in enumerate(p.z(p.bias))
        for numerators, above, _ in either(p.x.ravel(), p.matrix[k], p.connected[k], p.bias[k], z)
    ]
    assert min(signs.count(1), signs.count(0), signs.count(-1)) > 5
