"""Merges: sums of variables, residual connections. A constant operand is a bias."""

from __future__ import annotations

from .addressing import renamed
from .registry import Site, register
from .roles import Activation, Merge


@register("Add", "Sub")
def add(node: Site) -> Merge | Activation:
    """Sum or difference; a constant operand is a bias, but of an address an offset."""
    signs = (1.0, -1.0 if node.op_type == "Sub" else 1.0)
    if node.hint == "address":
        return renamed(node, lambda _, operands: signs[0] * operands.value(0) + signs[1] * operands.value(1))
    return _merge(node, signs, 1.0)


@register("Sum", "Mean")
def sum_or_mean(node: Site) -> Merge:
    """Sum or mean of any number of operands."""
    n = node.arity
    return _merge(node, (1.0,) * n, 1.0 / n if node.op_type == "Mean" else 1.0)


def _merge(node: Site, signs: tuple[float, ...], scale: float) -> Merge:
    variable = node.variable
    constants = tuple(sorted(set(range(len(signs))) - set(variable)))
    return Merge(variable, constants, signs, scale)
