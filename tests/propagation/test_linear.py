"""Every rule against the textbook's formula, written out with loops over the full matrix of a linear map.

The matrix W comes from unit vectors pushed through the map's forward pass, so this file knows neither adjoints nor
rule parts. Inputs, weights and outputs are small integers: signed, and with zeros among all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from onnx_lrp import AlphaBeta, Epsilon, Flat, Gamma, Part, Rule, Term, WSquare, ZBox, Zero, ZPlus, backends
from onnx_lrp.ops import Linear
from onnx_lrp.ops.linear import ConvMap, ConvTransposeMap, MatMulMap, PromotedMatMul, ScaleMap
from onnx_lrp.ops.pooling import SumMap, SumPoolMap
from onnx_lrp.ops.roles import LinearMap
from onnx_lrp.ops.windows import Padding
from onnx_lrp.propagation.linear import linear
from onnx_lrp.rules import identity, neg, pos

BACKENDS = [backends.create(backends.Choice(name, "float64")) for name in ("numpy", "torch")]


@dataclass(frozen=True)
class Case:
    """A map with the shapes of its input and weight, and of a bias that broadcasts to the output."""

    map: LinearMap
    x: tuple[int, ...]
    w: tuple[int, ...]
    b: tuple[int, ...] | None = None


CASES = {
    "conv": Case(ConvMap(Padding.of("NOTSET", (1, 0, 0, 1), (1, 2))), (2, 2, 3, 3), (3, 2, 2, 2), (3, 1, 1)),
    "depthwise conv": Case(ConvMap(Padding.of("SAME_UPPER", None, (2,), None, 3)), (1, 3, 5), (6, 1, 3), (6, 1)),
    "dilated conv": Case(ConvMap(Padding.of("NOTSET", (2, 1), None, (2,))), (2, 2, 5), (2, 2, 3)),
    "conv transpose": Case(
        ConvTransposeMap(Padding.of("NOTSET", (1, 0, 0, 1), (2, 1), None, 2), (1, 0), None),
        (1, 4, 2, 3), (4, 2, 3, 2), (4, 1, 1),
    ),
    "gemm": Case(MatMulMap(), (3, 5), (5, 4), (4,)),
    "gemm from the left": Case(MatMulMap(left=True), (4, 3), (5, 4), (5, 3)),
    "matmul of stacks": Case(MatMulMap(), (1, 3, 4), (2, 4, 2), (2,)),
    "matmul of a vector": Case(PromotedMatMul(MatMulMap(), True, False), (5,), (5, 3), (3,)),
    "average pool": Case(
        SumPoolMap(Padding.of("NOTSET", (1, 0, 0, 1), (1, 2)), (2, 2), False), (2, 2, 3, 3), (1, 1, 3, 2)
    ),
    "mean": Case(SumMap((2, 3), False), (2, 3, 2, 3), ()),
    "sum over samples": Case(SumMap((0, 2), True), (2, 3, 2), ()),
    "scale": Case(ScaleMap(), (2, 1, 3), (4, 1), (4, 3)),
}  # fmt: skip


def integers(rng: np.random.Generator, shape: tuple[int, ...], low: int = -2) -> np.ndarray:
    return rng.integers(low, 3, shape).astype(np.float64)


@dataclass(frozen=True)
class Problem:
    """A case with numbers: what the rule sees, and the same flattened, with the full matrix."""

    role: Linear
    x: np.ndarray
    w: np.ndarray
    b: np.ndarray | None
    r: np.ndarray
    matrix: np.ndarray
    connected: np.ndarray
    bias: np.ndarray

    @property
    def z(self) -> np.ndarray:
        return self.matrix @ self.x.ravel() + self.bias


def matrix_of(case: Case, w: np.ndarray) -> np.ndarray:
    """Column j is the map's answer to the j-th unit vector."""
    units = np.eye(int(np.prod(case.x))).reshape(-1, *case.x)
    return np.stack([np.asarray(case.map.forward(BACKENDS[0], unit, w)).ravel() for unit in units], 1)


@functools.cache
def problem(name: str, seed: int, nonnegative: bool = False) -> Problem:
    case = CASES[name]
    rng = np.random.default_rng(seed)
    x, w = integers(rng, case.x, 0 if nonnegative else -2), integers(rng, case.w)
    x.flat[:: max(x.size // 3, 1)] = 0
    b = None if case.b is None else integers(rng, case.b)
    shape = np.shape(case.map.forward(BACKENDS[0], x, w))
    bias = np.broadcast_to(0.0 if b is None else b, shape).ravel()
    connected = matrix_of(case, np.ones(case.w)) != 0
    role = Linear(case.map, 0, lambda xp, operands: (w, b))
    return Problem(role, x, w, b, integers(rng, shape), matrix_of(case, w), connected, bias)


def share(numerators: np.ndarray, denominator: float, r: float, epsilon: float) -> np.ndarray:
    """One output's relevance in proportion to the numerators."""
    if denominator == 0 and epsilon == 0:
        return np.zeros_like(numerators)
    return numerators * r / (denominator + epsilon * (1 if denominator >= 0 else -1))


def plus(a: Any) -> Any:
    return np.maximum(a, 0)


def minus(a: Any) -> Any:
    return np.minimum(a, 0)


Numerators = tuple[np.ndarray, float, float]  # numerators, what the bias adds to the denominator, factor
Formula = Callable[[np.ndarray, np.ndarray, np.ndarray, float, float], list[Numerators]]


def epsilon(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(x * w, b, 1)]


def gamma(g: float) -> Formula:
    def formula(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
        if z > 0:
            return [(plus(x) * (w + g * plus(w)) + minus(x) * (w + g * minus(w)), b + g * plus(b), 1)]
        return [(plus(x) * (w + g * minus(w)) + minus(x) * (w + g * plus(w)), b + g * minus(b), 1)] if z < 0 else []

    return formula


def alpha_beta(alpha: float, beta: float) -> Formula:
    def formula(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
        return [(plus(x * w), plus(b), alpha), (minus(x * w), minus(b), -beta)]

    return formula


def z_box(low: np.ndarray, high: np.ndarray) -> Formula:
    def formula(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
        return [(x * w - low.ravel() * plus(w) - high.ravel() * minus(w), 0, 1)]

    return formula


def w_square(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(w**2, 0, 1)]


def w_square_with_bias(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(w**2, b**2, 1)]


def flat(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(c.astype(float), 0, 1)]


def textbook(p: Problem, formula: Formula, epsilon: float, ignore_bias: bool) -> np.ndarray:
    """Output by output, input by input; a numerator is zero where nothing connects the two."""
    total = np.zeros(p.x.size)
    for k, r in enumerate(p.r.ravel()):
        for numerators, bias, factor in formula(p.x.ravel(), p.matrix[k], p.connected[k], p.bias[k], p.z[k]):
            denominator = numerators.sum() + (0 if ignore_bias else bias)
            total += factor * share(numerators, denominator, r, epsilon)
    return total.reshape(p.x.shape)


@dataclass(frozen=True)
class Quarter(Rule):
    """A user's own rule: a quarter of the negative weights."""

    def parts(self) -> tuple[Part, ...]:
        return (Part((Term(identity, lambda xp, w: pos(xp, w) + 0.25 * neg(xp, w)),)),)


@dataclass(frozen=True)
class Helpful(Rule):
    """A user's own rule: positive contributions, over a sum with the whole bias, of either sign."""

    def parts(self) -> tuple[Part, ...]:
        return (Part((Term(pos, pos), Term(neg, neg)), bias=identity),)


def quarter(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(x * (plus(w) + 0.25 * minus(w)), 0, 1)]


def helpful(x: np.ndarray, w: np.ndarray, c: np.ndarray, b: float, z: float) -> list[Numerators]:
    return [(plus(x * w), b, 1)]


RULES: list[tuple[Rule, Formula]] = [
    (Epsilon(0.25), epsilon), (Epsilon(), epsilon), (Zero(), epsilon),
    (Gamma(), gamma(0.25)), (Gamma(gamma=1.5, epsilon=0.1), gamma(1.5)), (Gamma(gamma=0.0, epsilon=0.0), gamma(0.0)),
    (AlphaBeta(), alpha_beta(2, 1)), (AlphaBeta(3.0, 2.0, epsilon=0.0), alpha_beta(3, 2)),
    (AlphaBeta(1.0, 0.0, epsilon=0.1), alpha_beta(1, 0)), (ZPlus(epsilon=0.0), alpha_beta(1, 0)),
    (WSquare(), w_square), (WSquare(epsilon=0.1, square_bias=True), w_square_with_bias), (Flat(epsilon=0.0), flat),
    (Flat(epsilon=0.5), flat), (Gamma(gamma=1.0, epsilon=1.0), gamma(1.0)), (Quarter(epsilon=0.1), quarter),
    (Helpful(epsilon=0.1), helpful),
]  # fmt: skip


def applied(p: Problem, rule: Rule, xp: Any, **known: Any) -> np.ndarray:
    b = None if p.b is None else xp.asarray(p.b)
    arrays = {key: xp.asarray(a) if isinstance(a, np.ndarray) else a for key, a in known.items()}
    r = arrays.pop("r", xp.asarray(p.r))
    return xp.to_numpy(linear(xp, p.role, rule, xp.asarray(p.x), (xp.asarray(p.w), b), r, **arrays))


def close(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-10) -> None:
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(np.abs(b).max(), 1))


by_case = pytest.mark.parametrize("name", CASES)


@by_case
@pytest.mark.parametrize("bias", ["absorb", "ignore"])
@pytest.mark.parametrize(("rule", "formula"), RULES, ids=lambda v: str(v) if isinstance(v, Rule) else "")
def test_a_rule_is_the_textbook_s_formula(rule: Rule, formula: Formula, bias: str, name: str) -> None:
    rule = replace(rule, bias=bias)
    for seed in range(3):
        p = problem(name, seed)
        expected = textbook(p, formula, rule.epsilon, bias == "ignore")
        for xp in BACKENDS:
            close(applied(p, rule, xp), expected)
            close(applied(p, rule, xp, z=p.z.reshape(p.r.shape)), expected)


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
    for seed in range(3):
        p = problem(name, seed)
        expected = textbook(p, z_box(full_low, full_high), 0.01, True)
        for xp in BACKENDS:
            close(applied(p, ZBox(low, high, epsilon=0.01), xp), expected)


def test_the_cases_hold_zeros_everywhere() -> None:
    found = [problem(name, seed) for name in CASES for seed in range(3)]
    for values in ([p.x for p in found], [p.w for p in found], [p.z for p in found], [p.r for p in found]):
        joined = np.concatenate([v.ravel() for v in values])
        assert min((joined > 0).sum(), (joined < 0).sum(), (joined == 0).sum()) > 20


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.name)
@by_case
@pytest.mark.parametrize("rule", [*(rule for rule, _ in RULES), ZBox(-1.0, 2.0)], ids=str)
def test_facts_change_nothing_where_they_hold(rule: Rule, name: str, xp: Any) -> None:
    for seed in range(3):
        p = problem(name, seed, nonnegative=True)
        z = p.z.reshape(p.r.shape)
        r = np.where(z > 0, p.r, 0.0)  # what a ReLU behind it hands back
        plain = applied(p, rule, xp, r=r)
        assert (p.x >= 0).all()
        for given in ({"z": z}, {"z": np.maximum(z, 0), "masked": True}, {"masked": True}):
            close(applied(p, rule, xp, r=r, **given), plain, 1e-12)
            close(applied(p, rule, xp, r=r, nonnegative=True, **given), plain, 1e-12)
        close(applied(p, rule, xp, nonnegative=True), applied(p, rule, xp), 1e-12)
