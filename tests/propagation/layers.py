"""The linear maps that the tests of propagation run on, and rules such as users write themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_lrp import Part, Rule, backends
from onnx_lrp.ops.convolution import ConvMap, ConvTransposeMap
from onnx_lrp.ops.linear import MatMulMap, PromotedMatMul, ScaleMap
from onnx_lrp.ops.maps import LinearMap
from onnx_lrp.ops.pooling import SumMap, SumPoolMap
from onnx_lrp.ops.windows import Padding

NUMPY, TORCH = (backends.create(backends.Choice(name, "float64")) for name in ("numpy", "torch"))


@dataclass(frozen=True)
class Case:
    """A map with the shapes of its input and weight, and of a bias that broadcasts to the output."""

    map: LinearMap
    x: tuple[int, ...]
    w: tuple[int, ...]
    b: tuple[int, ...] | None = None

    @property
    def z(self) -> tuple[int, ...]:
        """The shape of the output."""
        return np.shape(self.map.forward(NUMPY, np.zeros(self.x), np.zeros(self.w)))


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


@dataclass(frozen=True)
class Own(Rule):
    """A user's own rule, by a name that tells it from others in a test's id."""

    name: str = ""
    own: tuple[Part, ...] = ()

    def parts(self) -> tuple[Part, ...]:
        return self.own

    def __str__(self) -> str:
        return f"{self.name}({self.epsilon})"


def integers(rng: np.random.Generator, shape: tuple[int, ...], low: int = -2) -> np.ndarray:
    """Small ones, so that every sum is exact and many are 0."""
    return rng.integers(low, 3, shape).astype(np.float64)


def close(a: Any, b: Any, tolerance: float) -> None:
    """Entry by entry, or measured by the largest."""
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(np.abs(b).max(), 1))
