"""Random numbers for a layer: small whole ones, or such of all magnitudes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from layers import NUMPY, Case, integers
from rule_drawing import Random

from onnx_lrp.backends.base import sum_to


@dataclass(frozen=True)
class Numbers:
    """Input, weight, bias, and how large the output's summands are together."""

    a: np.ndarray
    w: np.ndarray
    b: np.ndarray | None
    size: np.ndarray


def single(a: np.ndarray) -> np.ndarray:
    """Exact in float32."""
    return a.astype(np.float32).astype(np.float64)


def magnitudes(rng: Random, shape: tuple[int, ...]) -> np.ndarray:
    """From 1e-3 to 1e3, along one axis."""
    axis = rng.integers(len(shape)) if shape else 0
    return 10.0 ** rng.uniform(-3, 3, [n if i == axis else 1 for i, n in enumerate(shape)])


def mixed(rng: Random, shape: tuple[int, ...]) -> np.ndarray:
    """One in five is 0."""
    return single(rng.normal(size=shape) * magnitudes(rng, shape) * (rng.random(shape) > 0.2))


def draw_numbers(rng: Random, case: Case, exact: bool, nonnegative: bool) -> Numbers:
    """A bias is about as large as what it is added to."""
    a, w = (integers(rng, shape) if exact else mixed(rng, shape) for shape in (case.x, case.w))
    a = np.maximum(a, 0) if nonnegative else a
    size = case.map.forward(NUMPY, np.abs(a), np.abs(w))
    if case.b is None or rng.random() < 0.2:
        return Numbers(a, w, None, size)
    typical = sum_to(NUMPY, size, case.b) * (np.prod(case.b) / size.size)
    b = integers(rng, case.b) if exact else single(rng.normal(size=case.b) * typical)
    return Numbers(a, w, b, size + np.abs(b))
