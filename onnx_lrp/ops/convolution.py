"""Convolutions and their transposes, with a weight in the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..backends.base import Array, Backend, Shape, Window
from .linear import FEW_COLOURS
from .maps import LinearMap, Operands
from .registry import Site, Unsupported, only_data, register
from .roles import Linear
from .windows import Padding, conv_window, transposed_window


@dataclass(frozen=True)
class ConvMap(LinearMap):
    """Cross-correlation; w is (O, C/group, *kernel)."""

    padding: Padding
    mixes: ClassVar[bool] = True
    batchwise: ClassVar[bool] = True

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        return xp.conv(x, w, conv_window(self.padding, xp.shape(w)[2:], xp.shape(x)[2:]))

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        return xp.conv_transpose(s, w, conv_window(self.padding, xp.shape(w)[2:], shape[2:]), shape[2:])

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """The kernel over all channels of its group, for each output; zeros of the border count."""
        return math.prod(z) * math.prod(w[1:])

    def forward_sum(self, xp: Backend, xs: Sequence[Array], ws: Sequence[Array]) -> Array:
        """Σ A(w_i) x_i: stacked along the input channels where these are few, because one pass is cheaper then."""
        if not self._stacks(xp.shape(xs[0])):
            return super().forward_sum(xp, xs, ws)
        return self.forward(xp, xp.concat(xs, 1), xp.concat(ws, 1))

    def transpose_each(self, xp: Backend, s: Array, ws: Sequence[Array], shape: Shape) -> list[Array]:
        """A(w_i)ᵀ s, likewise."""
        if len(ws) < 2 or not self._stacks(shape):
            return super().transpose_each(xp, s, ws, shape)
        count, channels = len(ws), shape[1]
        stacked = self.transpose(xp, s, xp.concat(ws, 1), (shape[0], count * channels, *shape[2:]))
        return [channel_range(xp, stacked, i * channels, channels) for i in range(count)]

    def _stacks(self, shape: Shape) -> bool:
        return self.padding.group == 1 and shape[1] <= FEW_COLOURS

    def forward_ones(self, xp: Backend, x: Array, w: Array) -> Array:
        """A box filter over the sum of the channels: every output channel is the same."""
        if self.padding.group != 1:
            return super().forward_ones(xp, x, w)
        return self.forward(xp, xp.sum(x, [1], keepdims=True), self._box(xp, w))

    def transpose_ones(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """A box filter, the same for every input channel."""
        if self.padding.group != 1:
            return super().transpose_ones(xp, s, w, shape)
        one = self.transpose(xp, xp.sum(s, [1], keepdims=True), self._box(xp, w), (shape[0], 1, *shape[2:]))
        return xp.expand(one, shape)

    @staticmethod
    def _box(xp: Backend, w: Array) -> Array:
        return xp.asarray(np.ones((1, 1, *xp.shape(w)[2:])))


def channel_range(xp: Backend, a: Array, first: int, count: int) -> Array:
    """Some of the channels."""
    shape = xp.shape(a)
    before, after = ([0, -n, *(0,) * (len(shape) - 2)] for n in (first, shape[1] - first - count))
    return xp.pad(a, before, after)


@dataclass(frozen=True)
class ConvTransposeMap(LinearMap):
    """The adjoint of a cross-correlation; w is (C, O/group, *kernel)."""

    padding: Padding
    output_padding: Shape | None
    output_shape: Shape | None
    mixes: ClassVar[bool] = True
    batchwise: ClassVar[bool] = True

    def forward(self, xp: Backend, x: Array, w: Array) -> Array:
        """A x."""
        window, spatial = self._window(xp, w, xp.shape(x))
        return xp.conv_transpose(x, w, window, spatial)

    def transpose(self, xp: Backend, s: Array, w: Array, shape: Shape) -> Array:
        """Aᵀ s."""
        return xp.conv(s, w, self._window(xp, w, shape)[0])

    def multiply_adds(self, x: Shape, w: Shape, z: Shape) -> int:
        """The kernel over all channels of its group, for each input."""
        return math.prod(x) * math.prod(w[1:])

    def _window(self, xp: Backend, w: Array, shape: Shape) -> tuple[Window, Shape]:
        return transposed_window(self.padding, xp.shape(w)[2:], shape[2:], self.output_padding, self.output_shape)


def _channel_bias(xp: Backend, operands: Operands, position: int, axes: int) -> Array | None:
    b = operands.constant(position)
    return None if b is None else xp.asarray(b.reshape(-1, *(1,) * axes))


@register("Conv")
def conv(node: Site, auto_pad: str = "NOTSET", dilations: Sequence[int] | None = None, group: int = 1,
         kernel_shape: Sequence[int] | None = None, pads: Sequence[int] | None = None,
         strides: Sequence[int] | None = None) -> Linear:  # fmt: skip
    """Conv."""
    only_data(node, 0, "the weight")

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        w = operands.value(1)
        if kernel_shape and tuple(kernel_shape) != tuple(xp.shape(w)[2:]):
            raise ValueError(f"kernel_shape {list(kernel_shape)} is not that of the weight, {list(xp.shape(w)[2:])}")
        bias = _channel_bias(xp, operands, 2, len(xp.shape(w)) - 2)
        if bias is not None and node.op_type == "Conv" and xp.shape(bias)[0] != xp.shape(w)[0]:
            raise ValueError(f"a bias of {xp.shape(bias)[0]} numbers does not fit {xp.shape(w)[0]} channels")
        return w, bias

    return Linear(ConvMap(Padding.of(auto_pad, pads, strides, dilations, group)), 0, parameters)


@register("ConvTranspose")
def conv_transpose(node: Site, auto_pad: str = "NOTSET", dilations: Sequence[int] | None = None, group: int = 1,
                   kernel_shape: Sequence[int] | None = None, output_padding: Sequence[int] | None = None,
                   output_shape: Sequence[int] | None = None, pads: Sequence[int] | None = None,
                   strides: Sequence[int] | None = None) -> Linear:  # fmt: skip
    """ConvTranspose."""
    padding, weight = Padding.of(auto_pad, pads, strides, dilations, group), node.constant(1)
    if auto_pad.startswith("SAME") and not output_shape and weight is not None:
        window = padding.window(weight.shape[2:])
        if any(output_padding or ()):  # the standard's shape inference adds it, onnxruntime does not
            raise Unsupported(f"auto_pad={auto_pad} with output_padding", "runtimes disagree: export pads")
        if any(s > r for s, r in zip(window.strides, window.reach())):
            raise Unsupported(f"auto_pad={auto_pad} with a stride beyond the kernel", "runtimes disagree: export pads")
    linear = conv(node, auto_pad, dilations, group, kernel_shape, pads, strides)
    given = tuple(output_padding) if output_padding else None
    return Linear(ConvTransposeMap(padding, given, tuple(output_shape) if output_shape else None), 0, linear.parameters)
