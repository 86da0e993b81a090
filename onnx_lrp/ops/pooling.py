"""Pooling and reduction: averages are linear maps with constant weights, a MaxPool is a route to the winner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..backends.base import Array, Backend, Shape, Window
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, register
from .roles import Linear, Route
from .windows import Padding, pool_window, pooled, window_counts


@dataclass(frozen=True)
class SumPoolMap(LinearMap):
    """w ⊙ (sum over each window); w broadcasts to the output."""

    padding: Padding
    kernel: Shape
    ceil_mode: bool
    batchwise: ClassVar[bool] = True

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        shape = xp.shape(x)
        window = self.window(shape)
        single = xp.reshape(x, (-1, 1, *shape[2:]))  # every channel on its own
        return w * xp.reshape(xp.conv(single, self._ones(xp), window), (*shape[:2], *window.output(shape[2:])))

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        weighted = s * w
        single = xp.reshape(weighted, (-1, 1, *xp.shape(weighted)[2:]))
        return xp.reshape(xp.conv_transpose(single, self._ones(xp), self.window(shape), shape[2:]), shape)

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """The kernel, for each output."""
        return math.prod(z) * math.prod(self.kernel)

    def window(self, shape: Shape) -> Window:
        """Where the kernel stands over an input of this shape."""
        return pool_window(self.padding, self.kernel, shape[2:], self.ceil_mode)

    def _ones(self, xp: Backend) -> Array:
        return xp.asarray(np.ones((1, 1, *self.kernel)))


Axes = tuple[int, ...] | Literal["spatial"] | None  # spatial: all but the first two; None: all


@dataclass(frozen=True)
class SumMap(LinearMap):
    """w · (sum over axes)."""

    axes: Axes
    keepdims: bool
    batchwise: ClassVar[bool] = False

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        return w * xp.sum(x, self.resolved(len(xp.shape(x))), self.keepdims)

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        axes = self.resolved(len(shape))
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
        return xp.expand(xp.reshape(s * w, kept), shape)

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """Each input once."""
        return math.prod(x)

    def resolved(self, rank: int) -> list[int]:
        """The axes as non-negative numbers."""
        if self.axes is None or self.axes == "spatial":
            return list(range(0 if self.axes is None else 2, rank))
        return sorted({a % rank for a in self.axes})


@dataclass(frozen=True)
class MaxPoolMap:
    """Winner takes all, the first one on ties."""

    padding: Padding
    kernel: Shape
    ceil_mode: bool

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The pooled values."""
        return [xp.max_pool(operands.value(0), self._window(operands.shape(0)))[0]]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance to the winners."""
        window = self._window(operands.shape(0))
        _, winner = xp.max_pool(operands.value(0), window)
        return [xp.max_unpool(relevance[0], winner, window, operands.shape(0))]

    def _window(self, shape: Shape) -> Window:
        return pool_window(self.padding, self.kernel, shape[2:], self.ceil_mode)


@register("AveragePool")
def average_pool(node: Site, auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
                 dilations: Sequence[int] | None = None, kernel_shape: Sequence[int] = (),
                 pads: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> Linear:  # fmt: skip
    """AveragePool: weights 1 / (elements in the window)."""
    padding = Padding.of(auto_pad, pads, strides, dilations)
    pool = SumPoolMap(padding, pooled(padding, kernel_shape), bool(ceil_mode))

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        shape = operands.shape(0)
        explicit = pool_window(padding, kernel_shape, shape[2:], ceil_mode=False)
        ends = list(zip(explicit.before, explicit.after)) if count_include_pad else [(0, 0)] * len(kernel_shape)
        return xp.asarray(1.0 / np.maximum(window_counts(pool.window(shape), shape[2:], ends), 1)), None

    return Linear(pool, 0, parameters, fixed=False, nonnegative=True)


@register("MaxPool")
def max_pool(node: Site, auto_pad: str = "NOTSET", ceil_mode: int = 0, dilations: Sequence[int] | None = None,
             kernel_shape: Sequence[int] = (), pads: Sequence[int] | None = None, storage_order: int = 0,
             strides: Sequence[int] | None = None) -> Route:  # fmt: skip
    """MaxPool; storage_order only concerns the indices that nothing here reads."""
    padding = Padding.of(auto_pad, pads, strides, dilations)
    return Route(MaxPoolMap(padding, pooled(padding, kernel_shape), bool(ceil_mode)), reads=(0,))


@register("GlobalAveragePool")
def global_average_pool(node: Site) -> Linear:
    """Mean over all spatial axes."""
    return _mean("spatial", True)


@register("ReduceMean")
def reduce_mean(node: Site, axes: Sequence[int] | None = None, keepdims: int = 1,
                noop_with_empty_axes: int = 0) -> Linear:  # fmt: skip
    """Mean over axes: attribute, or input since opset 18."""
    return _mean(reduced_axes(node, axes, noop_with_empty_axes), bool(keepdims))


@register("ReduceSum")
def reduce_sum(node: Site, axes: Sequence[int] | None = None, keepdims: int = 1,
               noop_with_empty_axes: int = 0) -> Linear:  # fmt: skip
    """Sum over axes: attribute, or input since opset 13."""
    resolved = reduced_axes(node, axes, noop_with_empty_axes)
    return Linear(
        SumMap(resolved, bool(keepdims)), 0, lambda xp, _: (xp.asarray(np.array(1.0)), None), nonnegative=True
    )


def reduced_axes(node: Site, axes: Sequence[int] | None, noop: int) -> tuple[int, ...] | None:
    """The axes of a reduction; None means all, an empty tuple none."""
    if node.has(1):
        given = node.constant(1)
        if 1 in node.variable or given is None:
            raise Unsupported("the axes depend on the data or on its shape", "export with constant axes")
        axes = [int(a) for a in given.reshape(-1)]
    return tuple(axes) if axes else (() if noop else None)


def _mean(axes: Axes, keepdims: bool) -> Linear:
    reduction = SumMap(axes, keepdims)

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        shape = operands.shape(0)
        return xp.asarray(np.array(1.0 / math.prod(shape[a] for a in reduction.resolved(len(shape))))), None

    return Linear(reduction, 0, parameters, fixed=False, nonnegative=True)
