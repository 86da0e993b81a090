"""Normalisation by the data itself, where LRP has a rule for it."""

from __future__ import annotations

import numpy as np

from ..backends.base import Array, Backend, Window
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Activation


@register("LRN")
def lrn(node: Site, size: int = 0, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Activation:
    """x · (bias + alpha / size · Σ x²)^(-beta), the sum over ``size`` neighbouring channels.

    At a recorded activation that is a diagonal map with a positive factor. The factor is taken as a constant, and so
    relevance passes unchanged: the baseline of Binder et al. 2016 (Layer-wise relevance propagation for neural networks
    with local renormalization layers), who also derive a correction of first order that this leaves out.
    """
    if size < 1:
        raise Unsupported(f"size = {size} is not positive", "the model is malformed: export it again")
    if alpha < 0 or bias <= 0:
        raise Unsupported(f"divides by what may be 0 (alpha = {alpha:g}, bias = {bias:g})",
                          "use alpha >= 0 and bias > 0")  # fmt: skip

    def function(xp: Backend, operands: Operands) -> Array:
        x = operands.value(0)
        return x * xp.exp(-beta * xp.log(bias + (alpha / size) * _neighbours(xp, x * x, size)))

    return Activation(function)


def _neighbours(xp: Backend, a: Array, size: int) -> Array:
    """Sum over channels c - floor((size - 1) / 2) to c + ceil((size - 1) / 2): a convolution of ones."""
    samples, channels = xp.shape(a)[:2]
    before = (size - 1) // 2
    window = Window((size, 1), (1, 1), (before, 0), (size - 1 - before, 0), (1, 1))
    rows = xp.reshape(a, (samples, 1, channels, -1))
    return xp.reshape(xp.conv(rows, xp.asarray(np.ones((1, 1, size, 1))), window), xp.shape(a))
