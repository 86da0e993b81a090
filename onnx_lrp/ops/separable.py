"""One constant matrix per axis: interpolation is such a map (:mod:`.resizing`), and so are running sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..backends.base import Array, Backend, Shape
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, register
from .roles import Linear


@dataclass(frozen=True)
class SeparableMap(LinearMap):
    """One matrix (out, in) per axis; w is the list of them with their axes."""

    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        for axis, matrix in w:
            x = _along(xp, x, matrix, axis)
        return x

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        for axis, matrix in reversed(w):
            s = _along(xp, s, xp.permute(matrix, [1, 0]), axis)
        return s

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """Axis by axis, all of its elements for each output."""
        total, sizes = 0, list(x)
        for axis, (n, out) in enumerate(zip(x, z)):
            sizes[axis] = out
            total += n * math.prod(sizes) if n != out else 0
        return total


def _along(xp: Backend, x: Array, matrix: Array, axis: int) -> Array:
    """The matrix times x along one axis."""
    rank = len(xp.shape(x))
    swapped = [rank - 1 if i == axis else axis if i == rank - 1 else i for i in range(rank)]
    return xp.permute(xp.matmul(xp.permute(x, swapped), xp.permute(matrix, [1, 0])), swapped)


@register("CumSum")
def running_sum(node: Site, exclusive: int = 0, reverse: int = 0) -> Linear:
    """Sums along a constant axis of all before (or, in reverse, behind), the element itself included or not."""
    if node.variable != (0,) or not node.has(1):
        raise Unsupported("the axis depends on the data", "export it as a constant")

    def matrices(xp: Backend, operands: Operands) -> tuple[Array, None]:
        shape = operands.shape(0)
        axis = int(np.asarray(operands.constant(1)).reshape(-1)[0]) % len(shape)
        lower = np.tri(shape[axis], k=-1 if exclusive else 0)
        return [(axis, xp.asarray(lower.T if reverse else lower))], None

    return Linear(SeparableMap(), 0, matrices, fixed=False, nonnegative=True, composed=True)
