"""Max pooling's adjoint as ONNX nodes: values go back to where the winners stood."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .base import Window
from .emitting import EmittedArrays
from .symbols import Symbol, SymbolicShape

MOST_SUBSETS = 1  # subset of windows; beyond, one scattering addition is cheaper where the opset has it


def max_unpool(xp: EmittedArrays, s: Symbol, winner: Symbol, window: Window, shape: SymbolicShape) -> Symbol:
    """s and winner (N, C, *out) -> (N, C, *in).

    MaxUnpool is exact where no element can win twice, so the windows are split into subsets that do not overlap.
    """
    ends = [(min(b, 0), min(a, 0)) for b, a in zip(window.before, window.after)]
    pooled = (*shape[:2], *(n + b + a for n, (b, a) in zip(shape[2:], ends)))
    every = [-(-r // t) for r, t in zip(window.reach(), window.strides)]
    count = 1
    for n in every:
        count *= n
    if count > MOST_SUBSETS and xp.graph.opset >= 16:
        whole = _scatter(xp, s, winner, pooled)
    else:
        whole = _subsets(xp, s, winner, pooled, every)
    before, after = zip(*ends)
    return xp.pad(whole, (0, 0, *(-b for b in before)), (0, 0, *(-a for a in after)))


def _subsets(xp: EmittedArrays, s: Symbol, winner: Symbol, shape: SymbolicShape, every: Sequence[int]) -> Symbol:
    total = None
    sizes = xp.graph.sizes(shape)
    ones = [1] * len(every)
    for first in itertools.product(*map(range, every)):
        if any(f >= n for f, n in zip(first, s.shape[2:])):
            continue
        some = [xp.slice(a, (0, 0, *first), a.shape, (1, 1, *every)) for a in (s, winner)]
        back = xp.graph.emit("MaxUnpool", [*some, sizes], shape, kernel_shape=ones, strides=ones)
        total = back if total is None else total + back
    assert total is not None
    return total


def _scatter(xp: EmittedArrays, s: Symbol, winner: Symbol, shape: SymbolicShape) -> Symbol:
    flat = xp.graph.ints([-1])
    zeros = xp.graph.emit("Reshape", [xp.expand(xp.graph.symbol(0.0), shape), flat], (-1,))
    ends = [xp.graph.emit("Reshape", [a, flat], (-1,)) for a in (winner, s)]
    added = xp.graph.emit("ScatterElements", [zeros, *ends], (-1,), axis=0, reduction="add")
    return xp.graph.emit("Reshape", [added, xp.graph.sizes(shape)], shape)
