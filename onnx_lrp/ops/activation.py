"""Activations that relevance passes unchanged: elementwise, monotone, through zero."""

from __future__ import annotations

import numpy as np

from ..backends.base import Array, Backend
from .registry import Site, Unsupported, register
from .roles import Operands, Pass


@register("Relu")
def relu(node: Site) -> Pass:
    """max(x, 0)."""
    return Pass(lambda xp, operands: xp.maximum(operands.value(0), 0.0), nonnegative=True, rectifies=True)


@register("Max")
def maximum(node: Site) -> Pass:
    """max(x, 0) with the 0 as a constant operand: how JAX writes a ReLU."""
    if len(node.variable) != 1 or node.arity != 2:
        raise Unsupported("takes the larger of several variables", "only a Max with the constant 0 is a ReLU")
    (data,) = node.variable
    floor = node.constant(1 - data)
    if floor is None or floor.size != 1 or floor.any() or floor.ndim > (node.rank(data) or 0):
        raise Unsupported("takes the larger of x and something that is not 0", "only a Max with the constant 0 is a ReLU")
    return Pass(lambda xp, operands: xp.maximum(operands.value(data), 0.0), nonnegative=True, rectifies=True, data=data)


@register("LeakyRelu")
def leaky_relu(node: Site, alpha: float = 0.01) -> Pass:
    """x for x >= 0, else alpha x."""
    if alpha < 0:
        raise Unsupported(f"alpha = {alpha:g} is negative, so it is not monotone", "use a slope >= 0")
    return Pass(lambda xp, operands: _leaky(xp, operands.value(0), alpha), nonnegative=alpha == 0)


@register("PRelu")
def prelu(node: Site) -> Pass:
    """x for x >= 0, else slope x. A trained slope may be negative; tools agree to pass relevance all the same."""
    if node.variable != (0,):
        raise Unsupported("the slope depends on the data", "export it as an initializer")
    return Pass(lambda xp, operands: _leaky(xp, operands.value(0), operands.value(1)))


def _leaky(xp: Backend, x: Array, slope: Array | float) -> Array:
    return xp.maximum(x, 0.0) + slope * xp.minimum(x, 0.0)


@register("ThresholdedRelu")
def thresholded_relu(node: Site, alpha: float = 1.0) -> Pass:
    """x for x > alpha, else 0."""
    if alpha < 0:
        raise Unsupported(f"alpha = {alpha:g} is negative, so it is not ReLU-compatible", "use a threshold >= 0")

    def function(xp: Backend, operands: Operands) -> Array:
        x = operands.value(0)
        return xp.where(x > alpha, x, 0.0)

    return Pass(function, nonnegative=True)


@register("Clip")
def clip(node: Site, min: float | None = None, max: float | None = None) -> Pass:
    """Clip to [0, max] (ReLU6); bounds are attributes, or inputs since opset 11."""
    low, high = _bound(node, 1, min), _bound(node, 2, max)
    if low != 0 or (high is not None and high <= 0):
        shown = f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"
        raise Unsupported(f"clips to {shown}, which is not ReLU-compatible", "only a Clip from 0 upwards is (ReLU6)")

    def function(xp: Backend, operands: Operands) -> Array:
        rectified = xp.maximum(operands.value(0), 0.0)
        return rectified if high is None else xp.minimum(rectified, high)

    return Pass(function, nonnegative=True, rectifies=high is None)


def _bound(node: Site, position: int, attribute: float | None) -> float | None:
    if not node.has(position):
        return attribute
    value = node.constant(position)
    if value is None:
        raise Unsupported("a bound is not constant", "export the bounds as constants")
    return float(np.asarray(value).reshape(-1)[0])
