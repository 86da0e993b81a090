"""The recording backend: the functions of :mod:`.emitting`, and windows with their adjoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .adjoints import conv_adjoint
from .base import Window
from .emitting import EmittedArrays, window_attributes
from .symbols import Symbol, SymbolicShape
from .unpooling import max_unpool


class OnnxBackend(EmittedArrays):
    """float32, recorded into one graph."""

    def conv_transpose(self, s: Symbol, w: Symbol, window: Window, spatial: Sequence[int]) -> Symbol:
        return conv_adjoint(self, s, w, window, tuple(spatial))

    def max_pool(self, x: Symbol, window: Window) -> tuple[Symbol, Symbol]:
        crop = [min(n, 0) for n in (*window.before, *window.after)]
        rank = len(window.kernel)
        x = self.pad(x, (0, 0, *crop[:rank]), (0, 0, *crop[rank:]))
        kept = replace(
            window, before=tuple(max(n, 0) for n in window.before), after=tuple(max(n, 0) for n in window.after)
        )
        shape = (*x.shape[:2], *kept.output(x.shape[2:]))
        best, winner = self.graph.emit_all("MaxPool", [x], [shape, shape], **_pooling(kept, self.graph.opset))
        return best, winner

    def max_unpool(self, s: Symbol, winner: Symbol, window: Window, shape: SymbolicShape) -> Symbol:
        return max_unpool(self, s, winner, window, shape)


def _pooling(window: Window, opset: int) -> dict[str, Any]:
    """MaxPool's; onnxruntime refuses a padding of a kernel or more, which a dilated last window can reach."""
    given, rank = window_attributes(window, opset), len(window.kernel)
    if any(a >= k for a, k in zip(window.after, window.kernel)):
        ends = zip(window.after, window.kernel, window.strides)
        given["pads"][rank:] = [max(a - t + 1, 0) if a >= k else a for a, k, t in ends]
        given["ceil_mode"] = 1  # the same windows: the last one, cut short, counts
    return given
