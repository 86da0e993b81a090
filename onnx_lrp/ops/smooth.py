"""Activations that are not ReLU-compatible: relevance passes them unchanged only on somebody's word, or a profile's.

The user gives it (``pass_ops``), or a canonizer for the inner activations of a recurrent layer (Arras et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from ..backends.base import Array, Backend
from .activation import ON_YOUR_WORD
from .registry import OPS, Site, Unsupported, register
from .roles import Activation


def _trusted(
    node: Site,
    function: Callable[[Backend, Array], Array],
    nonnegative: bool = False,
    through_zero: bool = True,
    keeps_sign: bool = True,
) -> Activation:
    """An Activation, if somebody vouches for it.

    Raises:
        Unsupported: nobody does.
    """
    if node.hint not in ("trusted", "profile"):
        raise Unsupported(
            "activation is not ReLU-compatible",
            "use ReLU, LeakyReLU, PReLU or ReLU6, or explain an earlier output; " + ON_YOUR_WORD.format(node.op_type),
        )
    return Activation(
        lambda xp, operands: function(xp, operands.value(0)), nonnegative, keeps_sign=keeps_sign,
        through_zero=through_zero,
    )  # fmt: skip


def _gated_by_itself(node: Site, gate: Callable[[Backend, Array], Array]) -> Activation:
    """x · g(x); under a profile with g held, which hands on the same and divides by nothing (Jafari et al. 2024)."""
    passing = _trusted(node, lambda xp, x: x * gate(xp, x))
    if node.hint == "trusted":
        return passing
    return replace(passing, factor=lambda xp, operands: gate(xp, operands.value(0)), reads=(0,))


def sigmoid(xp: Backend, x: Array) -> Array:
    """1 / (1 + e^-x), without overflow."""
    return 0.5 * xp.tanh(0.5 * x) + 0.5


def softplus(xp: Backend, x: Array) -> Array:
    """log(1 + e^x), without overflow."""
    return xp.maximum(x, 0.0) + xp.log(xp.exp(-xp.abs(x)) + 1.0)


def elu(xp: Backend, x: Array, alpha: float, width: float = 1.0) -> Array:
    """x for x > 0, else alpha (e^(x/width) - 1)."""
    return xp.maximum(x, 0.0) + alpha * (xp.exp(xp.minimum(x, 0.0) * (1 / width)) - 1.0)


def ramp(xp: Backend, x: Array, alpha: float, beta: float) -> Array:
    """max(0, min(1, alpha x + beta))."""
    return xp.minimum(xp.maximum(alpha * x + beta, 0.0), 1.0)


@register("Tanh")
def tanh_(node: Site) -> Activation:
    """Hyperbolic tangent."""
    return _trusted(node, lambda xp, x: xp.tanh(x))


@register("Erf")
def erf_(node: Site) -> Activation:
    """Error function."""
    return _trusted(node, lambda xp, x: xp.erf(x))


@register("Softsign")
def softsign(node: Site) -> Activation:
    """x / (1 + |x|)."""
    return _trusted(node, lambda xp, x: x / (xp.abs(x) + 1.0))


@register("Sigmoid")
def sigmoid_(node: Site) -> Activation:
    """1 / (1 + e^-x)."""
    return _trusted(node, sigmoid, nonnegative=True, through_zero=False)


@register("Softplus")
def softplus_(node: Site) -> Activation:
    """log(1 + e^x)."""
    return _trusted(node, softplus, nonnegative=True, through_zero=False)


@register("HardSigmoid")
def hard_sigmoid(node: Site, alpha: float = 0.2, beta: float = 0.5) -> Activation:
    """max(0, min(1, alpha x + beta))."""
    return _trusted(node, lambda xp, x: ramp(xp, x, alpha, beta), nonnegative=True, through_zero=beta == 0)


@register("HardSwish")
def hard_swish(node: Site) -> Activation:
    """x max(0, min(1, x/6 + 1/2))."""
    return _gated_by_itself(node, lambda xp, x: ramp(xp, x, 1 / 6, 0.5))


@register("Swish")
def swish(node: Site, alpha: float = 1.0) -> Activation:
    """x sigmoid(alpha x); with alpha = 1 it is SiLU."""
    return _gated_by_itself(node, lambda xp, x: sigmoid(xp, alpha * x))


@register("Mish")
def mish(node: Site) -> Activation:
    """x tanh(softplus(x))."""
    return _gated_by_itself(node, lambda xp, x: xp.tanh(softplus(xp, x)))


@register("Gelu")
def gelu(node: Site, approximate: str = "none") -> Activation:
    """x Φ(x), Φ being the normal distribution's, or its approximation by tanh."""
    if approximate == "tanh":
        slope = math.sqrt(2 / math.pi)
        return _gated_by_itself(node, lambda xp, x: 0.5 * xp.tanh(slope * (x + 0.044715 * x * x * x)) + 0.5)
    return _gated_by_itself(node, lambda xp, x: 0.5 * xp.erf(x * math.sqrt(0.5)) + 0.5)


@register("Elu")
def elu_(node: Site, alpha: float = 1.0) -> Activation:
    """x for x > 0, else alpha (e^x - 1)."""
    return _trusted(node, lambda xp, x: elu(xp, x, alpha))


@register("Celu")
def celu(node: Site, alpha: float = 1.0) -> Activation:
    """x for x > 0, else alpha (e^(x/alpha) - 1)."""
    return _trusted(node, lambda xp, x: elu(xp, x, alpha, alpha))


@register("Selu")
def selu(node: Site, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Activation:
    """gamma (x for x > 0, else alpha (e^x - 1))."""
    return _trusted(node, lambda xp, x: gamma * elu(xp, x, alpha), keeps_sign=gamma >= 0)


# What relevance may pass on somebody's word: all ops of this module, and a Clip that starts elsewhere than at 0
TRUSTABLE = (*(name for name, op in OPS.items() if op.__module__ == __name__), "Clip")
