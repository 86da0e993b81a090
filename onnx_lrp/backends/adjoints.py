"""A convolution's adjoint as ONNX nodes that a CPU runtime is fast at."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .base import Shape, Window
from .emitting import EmittedArrays
from .symbols import Symbol

FEW_CHANNELS = 9  # output channels, up to which ConvTranspose is faster than a flipped Conv on a CPU


def conv_adjoint(xp: EmittedArrays, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """s (N, O, *out) and w (O, C/groups, *kernel) -> (N, C, *spatial), in the form that measured fastest."""
    depthwise = window.groups > 1 and w.shape[1] == 1
    unit = all(n == 1 for n in window.strides)
    if w.shape[1] * window.groups <= FEW_CHANNELS or min(*window.before, *window.after) < 0:
        return _transpose(xp, s, w, window, spatial)
    if unit:
        return _flipped(xp, s, w, window, spatial)
    if depthwise:
        return _depthwise(xp, s, w, window, spatial)
    if max(window.kernel) == 1 and not any(window.before):
        return _pointwise(xp, s, w, window, spatial)
    if max(window.dilations) > 1:
        return _transpose(xp, s, w, window, spatial)
    return _phases(xp, s, w, window, spatial)


def _flipped(xp: EmittedArrays, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """Stride 1: a convolution with the flipped weight, input and output channels swapped within each group."""
    out, reach = s.shape[2:], window.reach()
    before = tuple(r - 1 - b for r, b in zip(reach, window.before))
    after = tuple(n + r - 1 - o - b for n, r, o, b in zip(spatial, reach, out, before))
    swapped = Window(window.kernel, (1,) * len(spatial), before, after, window.dilations, window.groups)
    flat = _grouped_swap(xp, w, window.groups)
    steps = [1, 1, *(-1 if k > 1 else 1 for k in window.kernel)]
    return xp.conv(s, xp.slice(flat, [0] * len(flat.shape), flat.shape, steps), swapped)


def _grouped_swap(xp: EmittedArrays, w: Symbol, groups: int) -> Symbol:
    """(O, C/groups, *kernel) -> (C, O/groups, *kernel)."""
    o, c, *kernel = w.shape
    if groups == 1:
        return xp.permute(w, [1, 0, *range(2, 2 + len(kernel))])
    grouped = xp.reshape(w, (groups, o // groups, c, *kernel))
    moved = xp.permute(grouped, [0, 2, 1, *range(3, 3 + len(kernel))])
    return xp.reshape(moved, (groups * c, o // groups, *kernel))


def _depthwise(xp: EmittedArrays, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """Zeros between the elements, then the adjoint of the same convolution with stride 1."""
    spread = spread_out(xp, s, window.strides)
    ends = zip(spatial, spread.shape[2:], window.reach(), window.before)
    after = tuple(m + r - 1 - n - b for n, m, r, b in ends)  # so that it stands at as many places
    dense = replace(window, strides=(1,) * len(spatial), after=after)
    return _flipped(xp, spread, w, dense, spatial)


def _pointwise(xp: EmittedArrays, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """A kernel of one element, any stride: the convolution first, zeros between its results afterwards."""
    small = replace(window, strides=(1,) * len(spatial))
    spread = spread_out(xp, _flipped(xp, s, w, small, s.shape[2:]), window.strides)
    return xp.pad(spread, [0] * len(s.shape), (0, 0, *(n - m for n, m in zip(spatial, spread.shape[2:]))))


def spread_out(xp: EmittedArrays, s: Symbol, strides: Shape) -> Symbol:
    """Put the elements ``stride`` apart, zeros between them and behind: (N, C, *out) -> (N, C, *(out · stride)).

    The last two axes by one product with a small constant: it beats padding, scattering and weaving zeros in.
    """
    rows = strides[-2] if len(strides) > 1 else 1
    n, stride = s.shape[-1], strides[-1]
    places = np.zeros((n, rows * stride * n))
    places[np.arange(n), np.arange(n) * stride] = 1  # a row of elements and zeros, then rows of zeros
    shape = [m * t for m, t in zip(s.shape[2:], (*(1 for _ in strides[:-2]), *strides[-2:]))]
    s = xp.reshape(xp.matmul(s, xp.asarray(places)), (*s.shape[:2], *shape))
    for axis, t in enumerate(strides[:-2], start=2):
        apart = xp.reshape(s, [*s.shape[: axis + 1], 1, *s.shape[axis + 1 :]])
        padded = xp.pad(apart, [0] * len(apart.shape), [t - 1 if i == axis + 1 else 0 for i in range(len(apart.shape))])
        s = xp.reshape(padded, [m * t if i == axis else m for i, m in enumerate(s.shape)])
    return s


def _phases(xp: EmittedArrays, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """Any stride: one small convolution for each phase of the result, woven together.

    Per axis, with stride t and padding p: result position t·j + ψ meets the taps φ + t·u, φ = (ψ + p) mod t, of the
    kernel, at the outputs j + (ψ + p) // t - u.
    """
    counts = [-(-n // t) for n, t in zip(spatial, window.strides)]  # positions of a phase
    swapped = _grouped_swap(xp, w, window.groups)
    phases = [
        _phase(xp, s, swapped, window, counts, offsets) for offsets in itertools.product(*map(range, window.strides))
    ]
    for axis in range(len(spatial) - 1, -1, -1):
        stride = window.strides[axis]
        phases = [_woven(xp, phases[i : i + stride], 2 + axis) for i in range(0, len(phases), stride)]
    extra = [n - t * c for n, t, c in zip(spatial, window.strides, counts)]
    return xp.pad(phases[0], [0] * len(s.shape), (0, 0, *extra))


def _phase(
    xp: EmittedArrays, s: Symbol, w: Symbol, window: Window, counts: Sequence[int], offsets: Sequence[int]
) -> Symbol:
    """The result at positions t·j + ψ."""
    starts, taps, before, after = [], [], [], []
    for psi, p, t, k, out, count in zip(offsets, window.before, window.strides, window.kernel, s.shape[2:], counts):
        first, shift = (psi + p) % t, (psi + p) // t
        n = -(-(k - first) // t)
        starts.append(first)
        taps.append(n)
        before.append(n - 1 - shift)
        after.append(count + shift - out)
    if min(taps) < 1:  # positions that the kernel jumps over
        return xp.expand(xp.graph.symbol(0.0), (s.shape[0], w.shape[0], *counts))
    lead, stops = [0, 0], [f + t * (n - 1) + 1 for f, t, n in zip(starts, window.strides, taps)]
    own = xp.slice(w, [*lead, *starts], [*w.shape[:2], *stops], [1, 1, *window.strides])
    flipped = xp.slice(own, [0] * len(own.shape), own.shape, [1, 1, *(-1 if n > 1 else 1 for n in taps)])
    ones = (1,) * len(counts)
    return xp.conv(s, flipped, Window(tuple(taps), ones, tuple(before), tuple(after), ones, window.groups))


def _woven(xp: EmittedArrays, phases: Sequence[Symbol], axis: int) -> Symbol:
    """Phases of one axis put alternately."""
    if len(phases) == 1:
        return phases[0]
    shape = phases[0].shape
    apart = [xp.reshape(a, [*shape[: axis + 1], 1, *shape[axis + 1 :]]) for a in phases]
    joined = xp.concat(apart, axis + 1)
    return xp.reshape(joined, [n * len(phases) if i == axis else n for i, n in enumerate(shape)])


def _transpose(xp: EmittedArrays, s: Symbol, w: Symbol, window: Window, spatial: Shape) -> Symbol:
    """Any stride: ConvTranspose with the same weight."""
    before = tuple(max(b, 0) for b in window.before)
    reached = [(o - 1) * t + r - b for o, t, r, b in zip(s.shape[2:], window.strides, window.reach(), before)]
    cut = [b - c for b, c in zip(before, window.before)]  # a negative padding: zeros in front
    after = [max(f + c - n, 0) for f, c, n in zip(reached, cut, spatial)]
    made = [f - a for f, a in zip(reached, after)]
    if min(made) < 1:  # every window stands in the padding
        return xp.expand(xp.graph.symbol(0.0), (s.shape[0], w.shape[1] * window.groups, *spatial))
    shape = (s.shape[0], w.shape[1] * window.groups, *made)
    whole = xp.graph.emit(
        "ConvTranspose", [s, w], shape, pads=[*before, *after], strides=list(window.strides),
        dilations=list(window.dilations), group=window.groups, kernel_shape=list(window.kernel),
    )  # fmt: skip
    # what the kernel never reached at the end is zero
    return xp.pad(whole, (0, 0, *cut), (0, 0, *(n - c - m for n, c, m in zip(spatial, cut, made))))
