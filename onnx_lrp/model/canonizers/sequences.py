"""A list that is made and read again at once: one part of a tensor that was split, as torch writes ``chunk``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ..graph import array, attributes, dims
from .expanding import Builder, expands

AS_SPLIT = "export it as a Split (torch: with optimize=True)"


@expands("", "SequenceAt")
def part(build: Builder) -> Sequence[ir.Value] | None:
    """The stretch of x that is the i-th part of SplitToSequence(x), or the i-th tensor of SequenceConstruct."""
    maker, index = build.value(0).producer(), build.array(1)
    if maker is None or index is None or maker.op_type not in ("SplitToSequence", "SequenceConstruct"):
        return None
    i = int(index.reshape(-1)[0])
    if maker.op_type == "SequenceConstruct":
        chosen = maker.inputs[i]
        return None if chosen is None else [build.node("Identity", [chosen])]
    x = maker.inputs[0]
    given = attributes(maker)
    axis, keepdims = int(given.get("axis", 0)), bool(given.get("keepdims", 1))
    if x is None:
        return None
    if len(maker.inputs) < 2 or maker.inputs[1] is None:
        if not keepdims:
            return [build.node("Gather", [x, build.constant(np.int64(i), "index")], axis=axis)]
        sizes = np.array(1)
    else:
        known = array(maker.inputs[1])
        if known is None:
            raise Unsupported("a list of parts whose sizes are not constant", AS_SPLIT)
        sizes = known
    start, stop = _stretch(sizes, i, x, axis)
    ends = [build.constant(np.array([n]), what) for n, what in ((start, "start"), (stop, "stop"), (axis, "axis"))]
    return [build.node("Slice", [x, *ends])]


def _stretch(sizes: np.ndarray, i: int, x: ir.Value, axis: int) -> tuple[int, int]:
    """Where the i-th part starts and ends; sizes are one for each part, or one for all."""
    if sizes.ndim:
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        place = i % len(sizes)
        return int(bounds[place]), int(bounds[place + 1])
    size, whole = int(sizes), (dims(x) or [None] * (axis + 1))[axis]
    if i < 0:
        if not isinstance(whole, int):
            raise Unsupported("a list of unknown length, read from its end", AS_SPLIT)
        i += -(-whole // size)
    return i * size, (i + 1) * size
