"""Activations that relevance passes unchanged: elementwise, monotone, through zero."""

from __future__ import annotations

import math

import numpy as np

from ..backends.base import Array, Backend
from .maps import Operands
from .registry import Site, Unsupported, profiled, register
from .roles import Activation

ON_YOUR_WORD = "--pass-op {} lets relevance pass it unchanged, on your own responsibility"


@register("Relu")
def relu(node: Site) -> Activation:
    """max(x, 0)."""
    return Activation(lambda xp, operands: xp.maximum(operands.value(0), 0.0), nonnegative=True, rectifies=True)


@register("Abs")
def absolute(node: Site) -> Activation:
    """|x| = max(x, 0) + max(-x, 0): of the two only one is not 0, and it gets all."""
    return Activation(lambda xp, operands: xp.abs(operands.value(0)), nonnegative=True)


@register("LeakyRelu")
def leaky_relu(node: Site, alpha: float = 0.01) -> Activation:
    """x for x >= 0, else alpha x."""
    if alpha < 0:
        raise Unsupported(f"alpha = {alpha:g} is negative, so it is not monotone", "use a slope >= 0")
    return Activation(lambda xp, operands: _leaky(xp, operands.value(0), alpha), nonnegative=alpha == 0)


@register("PRelu")
def prelu(node: Site) -> Activation:
    """x for x >= 0, else slope x. A trained slope may be negative; tools agree to pass relevance all the same."""
    if node.variable != (0,):
        raise Unsupported("the slope depends on the data", "export it as an initializer")
    return Activation(lambda xp, operands: _leaky(xp, operands.value(0), operands.value(1)))


def _leaky(xp: Backend, x: Array, slope: Array | float) -> Array:
    return xp.maximum(x, 0.0) + slope * xp.minimum(x, 0.0)


@register("ThresholdedRelu")
def thresholded_relu(node: Site, alpha: float = 1.0) -> Activation:
    """x for x > alpha, else 0."""
    if alpha < 0:
        raise Unsupported(f"alpha = {alpha:g} is negative, so it is not ReLU-compatible", "use a threshold >= 0")

    def function(xp: Backend, operands: Operands) -> Array:
        x = operands.value(0)
        return xp.where(x > alpha, x, 0.0)

    return Activation(function, nonnegative=True)


@register("Clip")
def clip(node: Site, min: float | None = None, max: float | None = None) -> Activation:
    """Clip to [0, max] (ReLU6), or on somebody's word to other bounds: attributes, or inputs since opset 11."""
    given = _bound(node, 1, min), _bound(node, 2, max)
    low, high = -math.inf if given[0] is None else given[0], math.inf if given[1] is None else given[1]
    if (low != 0 or high <= 0) and node.hint not in ("trusted", "profile", "address"):
        raise Unsupported(
            f"clips to [{low:g}, {high:g}], which is not ReLU-compatible",
            f"only a Clip from 0 upwards is (ReLU6); {ON_YOUR_WORD.format('Clip')}",
        )

    def function(xp: Backend, operands: Operands) -> Array:
        above = operands.value(0) if low == -math.inf else xp.maximum(operands.value(0), low)
        return above if high == math.inf else xp.minimum(above, high)

    return Activation(
        function, nonnegative=low >= 0, rectifies=(low, high) == (0, math.inf), keeps_sign=high >= 0,
        through_zero=low <= 0 <= high,
    )  # fmt: skip


def _bound(node: Site, position: int, attribute: float | None) -> float | None:
    if not node.has(position):
        return attribute
    value = node.constant(position)
    if value is None:
        raise Unsupported("a bound is not constant", "export the bounds as constants")
    return float(np.asarray(value).reshape(-1)[0])


@profiled("Max", "Min")
def bounded(node: Site) -> Activation:
    """A bound by a constant: relevance passes it, as it does any Clip under a profile."""
    if node.arity != 2 or len(node.variable) != 1:
        raise Unsupported("compares more than one tensor with constants", "explain an earlier output")
    data, larger = node.variable[0], node.op_type == "Max"

    def function(xp: Backend, operands: Operands) -> Array:
        x, bound = operands.value(data), operands.value(1 - data)
        return xp.where(x - bound > 0.0 if larger else x - bound < 0.0, x, bound)

    return Activation(function, data=data, keeps_sign=False, through_zero=False)
