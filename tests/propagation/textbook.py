"""The textbook's formula of every rule, written out with loops over the full matrix of a linear map.

The matrix W comes from unit vectors pushed through the map's forward pass, so this file knows neither adjoints nor
rule parts. Inputs, weights and outputs are small integers: signed, and with zeros among all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from layers import CASES, NUMPY, Case, integers

from onnx_lrp.ops.maps import LinearMap


@dataclass(frozen=True)
class Problem:
    """A case with numbers: what the rule sees, and the same flattened, with the full matrix."""

    map: LinearMap
    x: np.ndarray
    w: np.ndarray
    b: np.ndarray | None
    r: np.ndarray
    matrix: np.ndarray
    connected: np.ndarray
    bias: np.ndarray

    def z(self, bias: np.ndarray) -> np.ndarray:
        """The output, with the bias that counts."""
        return self.matrix @ self.x.ravel() + bias


def matrix_of(case: Case, w: np.ndarray) -> np.ndarray:
    """Column j is the map's answer to the j-th unit vector."""
    units = np.eye(int(np.prod(case.x))).reshape(-1, *case.x)
    return np.stack([np.asarray(case.map.forward(NUMPY, unit, w)).ravel() for unit in units], 1)


@functools.cache
def problem(name: str, seed: int) -> Problem:
    case = CASES[name]
    rng = np.random.default_rng(seed)
    x, w = integers(rng, case.x), integers(rng, case.w)
    x.flat[:: max(x.size // 3, 1)] = 0
    b = None if case.b is None else integers(rng, case.b)
    bias = np.broadcast_to(0.0 if b is None else b, case.z).ravel()
    connected = matrix_of(case, np.ones(case.w)) != 0
    return Problem(case.map, x, w, b, integers(rng, case.z), matrix_of(case, w), connected, bias)


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


def textbook(p: Problem, formula: Formula, epsilon: float, ignore_bias: bool) -> np.ndarray:
    """Output by output, input by input; a bias that is ignored is as good as 0, in the choice by sign, too."""
    total = np.zeros(p.x.size)
    bias = 0 * p.bias if ignore_bias else p.bias
    for k, (b, z, r) in enumerate(zip(bias, p.z(bias), p.r.ravel())):
        for numerators, above, factor in formula(p.x.ravel(), p.matrix[k], p.connected[k], b, z):
            total += factor * share(numerators, numerators.sum() + above, r, epsilon)
    return total.reshape(p.x.shape)


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
