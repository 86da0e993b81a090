"""Normalisations by the data itself, under a profile: the factor is held (Ali et al. 2022; Achtibat et al. 2024, 3.4).

What is left is affine: the centring is linear and stays, the factor is a diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..backends.base import Array, Backend, Shape
from .maps import LinearMap, Operands
from .products import scaled_by
from .registry import Site, Unsupported, profiled
from .roles import Activation, Linear


@dataclass(frozen=True)
class CentredMap(LinearMap):
    """w ⊙ (x - its mean over the axes from ``first`` on), in each of ``groups`` of the channels (0: there are none).

    The mean is over axes along which w may vary; of its factors only the gain does.
    """

    first: int
    groups: int = 0
    keeps_shape: ClassVar[bool] = True

    @property
    def batchwise(self) -> bool:
        """If the first axis is not among them."""
        return self.first > 0

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        return self.centred(xp, x) * w

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s: the centring is symmetric."""
        return self.centred(xp, s * w)

    def centred(self, xp: Backend, x: Array) -> Array:
        """x - its mean."""
        grouped = self.grouped(xp, x)
        return xp.reshape(grouped - self.mean(xp, grouped), xp.shape(x))

    def inverse_size(self, xp: Backend, x: Array, epsilon: float) -> Array:
        """1 / sqrt(mean of x² + ε), of a shape that broadcasts to x."""
        grouped = self.grouped(xp, x)
        factor = 1.0 / xp.elementwise("Sqrt", self.mean(xp, grouped * grouped) + epsilon)
        return xp.reshape(xp.expand(factor, xp.shape(grouped)), xp.shape(x)) if self.groups else factor

    def grouped(self, xp: Backend, x: Array) -> Array:
        """Each group as one axis."""
        return xp.reshape(x, (xp.shape(x)[0], self.groups, -1)) if self.groups else x

    def mean(self, xp: Backend, grouped: Array) -> Array:
        """The mean over the axes."""
        shape = xp.shape(grouped)
        axes = range(self.first % len(shape), len(shape))
        return xp.sum(grouped, list(axes), keepdims=True) * (1.0 / math.prod(shape[i] for i in axes))


def _centred(node: Site, mapping: CentredMap, epsilon: float, channels: bool = False) -> Linear:
    """Normalised over the map's axes, times input 1, plus input 2; ``channels``: these have one number per channel."""

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        x = operands.value(0)
        given = [operands.value(i) if node.has(i) else None for i in (1, 2)]
        if channels:
            given = [None if a is None else _per_channel(xp, a, xp.shape(x)) for a in given]
        w = mapping.inverse_size(xp, mapping.centred(xp, x), epsilon)
        return w if given[0] is None else w * given[0], given[1]

    return Linear(mapping, 0, parameters, fixed=False, composed=True, held=True)


def _per_channel(xp: Backend, a: Array, shape: Shape) -> Array:
    """One number per channel, along the second axis."""
    return xp.reshape(a, (-1, *(1,) * (len(shape) - 2)))


@profiled("LayerNormalization")
def layer_normalization(node: Site, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Linear:
    """Over the axes from ``axis`` on."""
    return _centred(node, CentredMap(axis), epsilon)


@profiled("InstanceNormalization")
def instance_normalization(node: Site, epsilon: float = 1e-5) -> Linear:
    """Over the axes of space."""
    return _centred(node, CentredMap(2), epsilon, channels=True)


@profiled("GroupNormalization")
def group_normalization(node: Site, num_groups: int = 1, epsilon: float = 1e-5, stash_type: int = 1) -> Linear:
    """Over groups of channels and space."""
    return _centred(node, CentredMap(2, num_groups), epsilon, channels=True)


@profiled("RMSNormalization")
def rms_normalization(node: Site, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Activation:
    """x / sqrt(mean of x² + ε) · gain: nothing is centred, so the input gets what the output has."""

    def factor(xp: Backend, operands: Operands) -> Array:
        return CentredMap(axis).inverse_size(xp, operands.value(0), epsilon) * operands.value(1)

    return scaled_by(0, 0, factor)


@profiled("LpNormalization")
def lp_normalization(node: Site, axis: int = -1, p: int = 2) -> Activation:
    """x / ‖x‖ along an axis."""

    def factor(xp: Backend, operands: Operands) -> Array:
        x = operands.value(0)
        along = [axis % len(xp.shape(x))]
        if p == 1:
            return 1.0 / xp.sum(xp.abs(x), along, keepdims=True)
        return 1.0 / xp.elementwise("Sqrt", xp.sum(x * x, along, keepdims=True))

    return scaled_by(0, 0, factor)


@profiled("Normalizer", domain="ai.onnx.ml")
def normalizer(node: Site, norm: str = "MAX") -> Activation:
    """x / ‖x‖ along the last axis, of scikit-learn; MAX is by the largest entry, not by the largest size."""
    if norm not in ("L1", "L2"):
        raise Unsupported(f"normalises by {norm}", "use the norm l1 or l2")
    return lp_normalization(node, p=1 if norm == "L1" else 2)


@profiled("MeanVarianceNormalization")
def mean_variance_normalization(node: Site, axes: Sequence[int] = (0, 2, 3)) -> Linear:
    """Over channels and space of one sample: over samples, they would not be explained one by one."""
    if sorted(axes) != list(range(1, len(axes) + 1)) or node.rank(0) not in (None, len(axes) + 1):
        raise Unsupported(f"normalises over the axes {list(axes)}, samples among them or channels not",
                          "normalise each sample by itself")  # fmt: skip
    return _centred(node, CentredMap(1), 1e-9)
