"""What is held needs a value and no role: functions for ops that have none. Truth values are 1 and 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..backends.base import FUNCTIONS, Array, Backend
from .attention import softmax_axis
from .gathering import ChoiceMap, GatherElementsMap
from .maps import Operands
from .pooling import SumMap, reduced_axes
from .registry import Site, forward_only

Compute = Callable[[Backend, Operands], list[Array]]
LARGEST = 3.4028234e38  # of float32


def _of_one(function: Callable[[Backend, Array], Array]) -> Compute:
    return lambda xp, operands: [function(xp, operands.value(0))]


def _of_two(function: Callable[[Backend, Array, Array], Array]) -> Compute:
    return lambda xp, operands: [function(xp, operands.value(0), operands.value(1))]


def _enter(op: str, make: Callable[..., Compute], *given: object) -> None:
    def compute(node: Site) -> Compute:
        return make(*given)

    forward_only(op)(compute)


def _elementwise(op: str, xp: Backend, x: Array) -> Array:
    return xp.elementwise(op, x)


def _square(xp: Backend, x: Array) -> Array:
    return x * x


def _log(xp: Backend, x: Array) -> Array:
    return xp.log(x)


def _truth(xp: Backend, condition: Array) -> Array:
    return xp.where(condition, 1.0, 0.0)


ONE: dict[str, Callable[[Backend, Array], Array]] = {
    **{op: partial(_elementwise, op) for op in FUNCTIONS},
    "Reciprocal": lambda xp, x: 1.0 / x,
    "Exp": lambda xp, x: xp.exp(x),
    "Log": lambda xp, x: xp.log(x),
    "Round": lambda xp, x: xp.round(x),
    "Not": lambda xp, x: 1.0 - x,
    "IsNaN": lambda xp, x: 1.0 - xp.minimum(_truth(xp, x > 0.0) + _truth(xp, x < 1.0), 1.0),  # NaN is neither
    "IsInf": lambda xp, x: _truth(xp, xp.abs(x) > LARGEST),
}
TWO: dict[str, Callable[[Backend, Array, Array], Array]] = {
    "Pow": lambda xp, x, y: xp.power(x, y),
    "Div": lambda xp, x, y: x / y,
    "Greater": lambda xp, x, y: _truth(xp, x - y > 0.0),
    "GreaterOrEqual": lambda xp, x, y: 1.0 - _truth(xp, x - y < 0.0),
    "Less": lambda xp, x, y: _truth(xp, x - y < 0.0),
    "LessOrEqual": lambda xp, x, y: 1.0 - _truth(xp, x - y > 0.0),
    "Equal": lambda xp, x, y: _truth(xp, xp.abs(x - y) < 1e-30),
    "And": lambda xp, x, y: x * y,
    "Or": lambda xp, x, y: x + y - x * y,
    "Xor": lambda xp, x, y: x + y - 2.0 * x * y,
}
for _op, _function in ONE.items():
    _enter(_op, _of_one, _function)
for _op, _other in TWO.items():
    _enter(_op, _of_two, _other)


@forward_only("Where")
def held_choice(node: Site) -> Compute:
    """A choice by what is held, or by a constant."""
    if 0 not in node.variable:
        return ChoiceMap(node.variable).forward
    return lambda xp, operands: [xp.where(operands.value(0) > 0.5, operands.value(1), operands.value(2))]


@forward_only("Cast")
def held_cast(node: Site, to: int = 1, saturate: int = 1, round_mode: str = "up") -> Compute:
    """To a truth value, a whole number, or unchanged."""
    if to == 9:
        return _of_one(lambda xp, x: 1.0 - _truth(xp, xp.abs(x) < 1e-30))
    if to in (1, 10, 11, 16) or node.is_boolean(0):
        return _of_one(lambda xp, x: x)
    return _of_one(lambda xp, x: xp.truncate(x))


@forward_only("LogSoftmax")
def log_softmax(node: Site, axis: int | None = None) -> Compute:
    """The logarithm of a Softmax."""
    resolved = softmax_axis(node, axis)
    return _of_one(lambda xp, x: xp.log(xp.softmax(x, resolved)))


@forward_only("ArgMax")
def argmax(node: Site, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Compute:
    """Where the largest is."""

    def compute(xp: Backend, operands: Operands) -> list[Array]:
        x = operands.value(0)
        shape, along = xp.shape(x), axis % len(xp.shape(x))
        order = [*(i for i in range(len(shape)) if i != along), along]
        found = xp.argmax(xp.permute(x, order))
        kept = [1 if i == along else n for i, n in enumerate(shape)]
        return [xp.reshape(found, kept if keepdims else [n for i, n in enumerate(shape) if i != along])]

    return compute


@forward_only("GatherElements")
def held_elements(node: Site, axis: int = 0) -> Compute:
    """Elements along an axis, at places that are held or constant."""
    if 1 not in node.variable:
        return GatherElementsMap(axis).forward

    def compute(xp: Backend, operands: Operands) -> list[Array]:
        x, places = operands.value(0), operands.value(1)
        rank = len(xp.shape(x))
        order = [*(i for i in range(rank) if i != axis % rank), axis % rank]
        found = xp.gather(xp.permute(x, order), xp.whole(xp.permute(places, order)))
        return [xp.permute(found, [order.index(i) for i in range(rank)])]

    return compute


@forward_only("ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum")
def reduce(node: Site, axes: Sequence[int] | None = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Compute:
    """Sums of squares, and the like."""
    before: dict[str, Callable[[Backend, Array], Array]] = {
        "ReduceLogSumExp": lambda xp, x: xp.exp(x),
        "ReduceLogSum": lambda xp, x: x,
    }
    behind: dict[str, Callable[[Backend, Array], Array]] = {
        "ReduceL2": lambda xp, x: xp.elementwise("Sqrt", x),
        "ReduceSumSquare": lambda xp, x: x,
    }
    first = before.get(node.op_type, _square)
    last = behind.get(node.op_type, _log)
    along = reduced_axes(node, axes, noop_with_empty_axes)

    def compute(xp: Backend, operands: Operands) -> list[Array]:
        one = xp.asarray(np.array(1.0))
        return [last(xp, SumMap(along, bool(keepdims)).forward(xp, first(xp, operands.value(0)), one))]

    return compute
