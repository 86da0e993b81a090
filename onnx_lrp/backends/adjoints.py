"""A convolution's adjoint as ONNX nodes that a CPU runtime is fast at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Shape, Window

if TYPE_CHECKING:
    from .onnx import OnnxBackend
    from .symbols import Symbol


def conv_adjoint(xp: OnnxBackend, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """s (N, O, *out) and w (O, C/groups, *kernel) -> (N, C, *spatial)."""
    if all(n == 1 for n in window.strides):
        return _flipped(xp, s, w, window, spatial)
    return _transpose(xp, s, w, window, spatial)


def _flipped(xp: OnnxBackend, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """Stride 1: a convolution with the flipped weight, input and output channels swapped within each group."""
    out, reach = s.shape[2:], window.reach()
    before = tuple(r - 1 - b for r, b in zip(reach, window.before))
    after = tuple(n + r - 1 - o - b for n, r, o, b in zip(spatial, reach, out, before))
    swapped = Window(window.kernel, (1,) * len(spatial), before, after, window.dilations, window.groups)
    return xp.conv(s, _swapped(xp, w, window.groups), swapped)


def _swapped(xp: OnnxBackend, w: Symbol, groups: int) -> Symbol:
    """(O, C/groups, *kernel) -> (C, O/groups, *kernel), every kernel axis reversed."""
    o, c, *kernel = w.shape
    grouped = xp.reshape(w, (groups, o // groups, c, *kernel))
    moved = xp.permute(grouped, [0, 2, 1, *range(3, 3 + len(kernel))])
    flat = xp.reshape(moved, (groups * c, o // groups, *kernel))
    return xp.slice(flat, [0] * len(flat.shape), flat.shape, [1, 1, *(-1 if k > 1 else 1 for k in kernel)])


def _transpose(xp: OnnxBackend, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """Any stride: ConvTranspose with the same weight."""
    before = tuple(max(b, 0) for b in window.before)
    reached = [(o - 1) * t + r - b for o, t, r, b in zip(s.shape[2:], window.strides, window.reach(), before)]
    cut = [b - c for b, c in zip(before, window.before)]  # a negative padding: zeros in front
    after = [max(f + c - n, 0) for f, c, n in zip(reached, cut, spatial)]
    made = [f - a for f, a in zip(reached, after)]
    shape = (s.shape[0], w.shape[1] * window.groups, *made)
    whole = xp.graph.emit(
        "ConvTranspose", [s, w], shape, pads=[*before, *after], strides=list(window.strides),
        dilations=list(window.dilations), group=window.groups, kernel_shape=list(window.kernel),
    )  # fmt: skip
    # what the kernel never reached at the end is zero
    return xp.pad(whole, (0, 0, *cut), (0, 0, *(n - c - m for n, c, m in zip(spatial, cut, made))))
