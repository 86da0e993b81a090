"""Softmax inside a network, under a profile: linearised at the recorded point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..backends.base import Array, Backend, Shape
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, profiled
from .roles import Linear


@dataclass(frozen=True)
class SoftmaxMap(LinearMap):
    """Its Jacobian J = diag(s) - s sᵀ, which is symmetric, at the weight s = softmax(x)."""

    axis: int
    keeps_shape: ClassVar[bool] = True
    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """J x."""
        axis = self.axis % len(xp.shape(x))
        return w * (x - xp.sum(w * x, [axis], keepdims=True))

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """J s."""
        return self.forward(xp, s, w)


@profiled("Softmax")
def softmax(node: Site, axis: int | None = None) -> Linear:
    """s = J x + (s - J x): of the expansion at the recorded point the constant absorbs (Achtibat et al. 2024, 3.1)."""
    resolved = softmax_axis(node, axis)

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        s = operands.output()
        return s, s - SoftmaxMap(resolved).forward(xp, operands.value(0), s)

    return Linear(
        SoftmaxMap(resolved), 0, parameters, fixed=False, composed=True, held=True,
        function=lambda xp, operands: xp.softmax(operands.value(0), resolved), reads_output=True,
    )  # fmt: skip


def softmax_axis(node: Site, axis: int | None) -> int:
    """The axis, counted as the opset does.

    Raises:
        Unsupported: before opset 13 it normalises over all axes from there on, and these are several.
    """
    if node.opset >= 13:
        return -1 if axis is None else axis
    rank, first = node.rank(0), 1 if axis is None else axis
    if first == -1 or (rank is not None and first % rank == rank - 1):
        return -1
    raise Unsupported("normalises over several axes at once", "raise the model to opset 13 (onnx.version_converter)")
