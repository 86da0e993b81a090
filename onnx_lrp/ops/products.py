"""Products of what depends on the data on both sides, under a profile: one side held, or half for each.

Where a side is held, the node is the map that it is with that side as its weight (Ali et al. 2022; for gates, Arras et
al. 2017). Else each side gets half (Achtibat et al. 2024, propositions 3.2 and 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..backends.base import Array, Backend
from .linear import ScaleMap, matmul_by
from .maps import Operands
from .registry import Site, Unsupported, profiled
from .roles import Activation, Linear, Product


@profiled("MatMul")
def product_of_matrices(node: Site) -> Linear | Product:
    """A matrix product of two variables, or of one and what is held."""
    if len(node.variable) == 1:
        return _held_by(matmul_by(node, node.variable[0]))
    return Product((_held_by(matmul_by(node, 0)), _held_by(matmul_by(node, 1))))


@profiled("Mul")
def multiply(node: Site) -> Activation | Product:
    """Elementwise: by what is held, the other one gets everything."""
    if len(node.variable) == 1:
        data = node.variable[0]
        return scaled_by(data, 1 - data, lambda xp, operands: operands.value(1 - data))
    return Product((_scale(0), _scale(1)))


@profiled("Div")
def divide(node: Site) -> Activation:
    """Divided by what is held."""
    if node.variable != (0,):
        raise Unsupported("divides by a variable", "LRP has no rule for a reciprocal; explain an earlier output")
    quotient = scaled_by(0, 1, lambda xp, operands: 1.0 / operands.value(1))
    return replace(quotient, function=lambda xp, operands: operands.value(0) / operands.value(1))


def scaled_by(data: int, held: int, factor: Callable[[Backend, Operands], Array]) -> Activation:
    """The input at ``data`` times a factor that is made of the one at ``held``: the data gets everything, exactly."""

    def function(xp: Backend, operands: Operands) -> Array:
        return operands.value(data) * factor(xp, operands)

    return Activation(function, data=data, keeps_sign=False, factor=factor, reads=(held,))


def _scale(data: int) -> Linear:
    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        return operands.value(1 - data), None

    return _held_by(Linear(ScaleMap(), data, parameters))


def _held_by(side: Linear) -> Linear:
    return replace(side, fixed=False, composed=True, held=True)


@profiled("Pow")
def positive_power(node: Site) -> Activation:
    """x^p with p > 0 as x · x^(p-1), the factor held: of the p equal sides of the product, all get the same."""
    exponent = node.constant(1)
    if node.variable != (0,) or exponent is None or exponent.size != 1 or float(exponent.reshape(-1)[0]) <= 0:
        raise Unsupported("a power that is not constant, or not positive", "explain an earlier output")
    p = float(exponent.reshape(-1)[0])
    if p < 1:  # at 0 the factor is infinite
        return Activation(lambda xp, operands: xp.power(operands.value(0), p), nonnegative=True)
    return scaled_by(0, 0, lambda xp, operands: xp.power(operands.value(0), p - 1.0))


@profiled("Sqrt")
def square_root(node: Site) -> Activation:
    """The root of what is not negative: monotone and through zero, so that relevance passes."""
    return Activation(lambda xp, operands: xp.elementwise("Sqrt", operands.value(0)), nonnegative=True)
