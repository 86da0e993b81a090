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
    """max(x, 0) with a constant 0: how JAX writes a ReLU."""
    data, bound = _with_scalar(node)
    if bound != 0:
        raise Unsupported(f"max(x, {bound:g}) is not ReLU-compatible", "only a Max with the constant 0 is (ReLU)")
    return Pass(lambda xp, operands: xp.maximum(operands.value(data), 0.0), nonnegative=True, rectifies=True, data=data)


@register("Min")
def minimum(node: Site) -> Pass:
    """min(x, c) with a constant c > 0: the upper half of a ReLU6, as JAX writes it."""
    data, bound = _with_scalar(node)
    if not bound > 0:
        raise Unsupported(f"min(x, {bound:g}) is not ReLU-compatible", "only a Min with a constant above 0 is (ReLU6)")
    return Pass(lambda xp, operands: xp.minimum(operands.value(data), bound), data=data)


def _with_scalar(node: Site) -> tuple[int, float]:
    """Position of the data, and the one number that it is compared with."""
    data = node.variable[0]
    other = node.constant(1 - data) if node.arity == 2 else None
    if other is None or other.size != 1 or other.ndim > (node.rank(data) or 0):
        raise Unsupported(
            "compares with something other than one constant number", "only max(x, 0), min(x, c) have a role"
        )
    return data, float(other.reshape(-1)[0])


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
