"""Linear maps with a weight in the model: matrix products, and diagonal (channelwise) maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..backends.base import Array, Backend, Shape, sum_to
from .addressing import renamed
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, only_data, register
from .roles import Activation, Linear

FEW_COLOURS = 4  # channels: colours


@dataclass(frozen=True)
class MatMulMap(LinearMap):
    """x @ w, or w @ x when ``left``; leading axes broadcast."""

    left: bool = False
    mixes: ClassVar[bool] = True
    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        return xp.matmul(w, x) if self.left else xp.matmul(x, w)

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        wt = _swap(xp, w)
        return sum_to(xp, xp.matmul(wt, s) if self.left else xp.matmul(s, wt), shape)

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """The inner axis, for each output."""
        return math.prod(z) * w[-1 if self.left else -2]


@dataclass(frozen=True)
class PromotedMatMul(LinearMap):
    """MatMul whose x or w is a vector: the axis that the standard adds and removes again."""

    inner: MatMulMap
    vector_x: bool
    vector_w: bool
    mixes: ClassVar[bool] = True
    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        matrix = xp.reshape(x, self._promoted(xp.shape(x))) if self.vector_x else x
        z = self.inner.forward(xp, matrix, w)
        drop = self._dropped(len(xp.shape(z)))
        return xp.reshape(z, [n for i, n in enumerate(xp.shape(z)) if i not in drop])

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        promoted = self._promoted(shape) if self.vector_x else shape
        full = list(xp.shape(s))
        rank = len(full) + self.vector_x + self.vector_w
        for axis in sorted(self._dropped(rank)):
            full.insert(axis, 1)
        return xp.reshape(self.inner.transpose(xp, xp.reshape(s, full), w, tuple(promoted)), shape)

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """As without the axes of size 1."""
        return self.inner.multiply_adds(x, w, z)

    def _promoted(self, shape: Sequence[int]) -> list[int]:
        return [*shape, 1] if self.inner.left else [1, *shape]

    def _dropped(self, rank: int) -> set[int]:
        first, second = (self.vector_w, self.vector_x) if self.inner.left else (self.vector_x, self.vector_w)
        return ({rank - 2} if first else set()) | ({rank - 1} if second else set())


@dataclass(frozen=True)
class ScaleMap(LinearMap):
    """Diagonal: x ⊙ w, either one broadcast to the other."""

    keeps_shape: ClassVar[bool] = True
    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        return x * w

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        return sum_to(xp, s * w, shape)


def _swap(xp: Backend, a: Array) -> Array:
    rank = len(xp.shape(a))
    return xp.permute(a, [*range(rank - 2), rank - 1, rank - 2])


@register("Gemm")
def gemm(node: Site, alpha: float = 1.0, beta: float = 1.0, transA: int = 0, transB: int = 0) -> Linear:  # fmt: skip
    """alpha A' B' + beta C, with either A or B variable."""
    if node.variable not in ((0,), (1,)):
        raise Unsupported("two operands depend on the data", "LRP needs a product with a constant")
    data = node.variable[0]
    flip = (transA, transB)[data]
    if flip:
        raise Unsupported("the variable operand is transposed", "export the transposition as a node of its own")

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        w = operands.value(1 - data)
        w = _swap(xp, w) if (transA, transB)[1 - data] else w
        if operands.is_open(2):
            return w if alpha == 1 else alpha * w, beta * operands.value(2)
        bias = operands.constant(2)
        return w if alpha == 1 else alpha * w, None if bias is None else xp.asarray(beta * bias)

    return Linear(MatMulMap(left=data == 1), data, parameters)


@register("MatMul")
def matmul(node: Site) -> Linear:
    """Matrix product with a constant on either side."""
    if len(node.variable) != 1:
        raise Unsupported(
            "product of two variables is not linear (attention?)",
            "LRP needs a MatMul with a constant operand; explain an earlier output",
        )
    return matmul_by(node, node.variable[0])


def matmul_by(node: Site, data: int) -> Linear:
    """A MatMul as the map of one operand, with the other one as the weight."""
    weight = node.constant(1 - data)
    vector_w, vector_x = (node.rank(1 - data) if weight is None else weight.ndim) == 1, node.rank(data) == 1

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        w = operands.value(1 - data)
        promoted = (1, *xp.shape(w)) if data == 1 else (*xp.shape(w), 1)
        return (xp.reshape(w, promoted) if vector_w else w), None

    inner = MatMulMap(left=data == 1)
    plain = not (vector_w or vector_x)
    return Linear(inner if plain else PromotedMatMul(inner, vector_x, vector_w), data, parameters)


@register("Mul", "Div")
def scale(node: Site) -> Linear | Activation:
    """Product with, or quotient by, a constant: a diagonal map. Of a gate and a signal, the signal gets everything."""
    if node.hint == "gate":
        signal = 1 if 1 in node.variable else ()
        return Activation(lambda xp, operands: operands.value(0) * operands.value(1), data=signal, keeps_sign=False)
    if node.hint == "address" and node.op_type == "Mul":
        return renamed(node, lambda _, operands: operands.value(0) * operands.value(1))
    if len(node.variable) != 1:
        raise Unsupported(
            "product or quotient of two variables is not linear",
            "gates (GLU, squeeze-and-excitation) and attention have no role; explain an earlier output",
        )
    data = node.variable[0]
    if node.op_type == "Div" and data == 1:
        raise Unsupported("divides by a variable", "LRP has no rule for a reciprocal; explain an earlier output")

    def factor(w: np.ndarray) -> np.ndarray:
        return np.asarray(1.0 / w.astype(np.float64) if node.op_type == "Div" else w.astype(np.float64))

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        if operands.is_open(1 - data):
            w = operands.value(1 - data)
            return 1.0 / w if node.op_type == "Div" else w, None
        return xp.asarray(factor(_required(operands, 1 - data))), None

    known = node.constant(1 - data)
    diagonal = None if known is None else factor(known)
    return Linear(ScaleMap(), data, parameters, nonnegative=_nonnegative(known), diagonal=diagonal)


@register("Neg")
def negative(node: Site) -> Linear:
    """-x: a diagonal map."""
    return Linear(ScaleMap(), 0, lambda xp, _: (xp.asarray(np.array(-1.0)), None))


def _nonnegative(w: np.ndarray | None) -> bool:
    return w is not None and bool((w >= 0).all())


@register("BatchNormalization")
def batch_normalization(node: Site, epsilon: float = 1e-5, momentum: float = 0.9, training_mode: int = 0,
                        spatial: int = 1) -> Linear:  # fmt: skip
    """A BatchNormalization that could not be merged: a diagonal affine map."""
    only_data(node, 0, "a statistic or parameter")
    if training_mode or not spatial:
        raise Unsupported("in training mode" if training_mode else "spatial=0", "export the model in eval mode")
    variance = node.constant(4)
    if variance is not None and not (np.asarray(variance, np.float64) + epsilon > 0).all():
        raise Unsupported("a variance that is not positive", "the model is malformed: train or export it again")

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        shape = (-1, *(1,) * (len(operands.shape(0)) - 2))
        gain, shift, mean, variance = (_required(operands, i).astype(np.float64) for i in range(1, 5))
        w = gain / np.sqrt(variance + epsilon)
        return xp.asarray(w.reshape(shape)), xp.asarray((shift - mean * w).reshape(shape))

    return Linear(ScaleMap(), 0, parameters, normalizes=True)


def _required(operands: Operands, position: int) -> np.ndarray:
    value = operands.constant(position)
    assert value is not None
    return value
