"""Normalisations that onnxruntime fuses with the sum before them, and embeddings with both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .expanding import Builder, expands
from .fused import MICROSOFT
from .split_heads import length_of


@expands(MICROSOFT, "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", profile=True)
def skip_norm(build: Builder) -> Sequence[ir.Value | None]:
    """Normalised X + skip (+ bias); the fourth output is the sum."""
    simplified = "Simplified" in build.old.op_type
    x, skip, gain = (build.value(i) for i in range(3))
    shift, bias = (None, build.inputs[3]) if simplified else build.inputs[3:5]
    if bias is not None:
        x = build.node("Add", [x, bias], "biased")
    total = build.node("Add", [x, skip], "sum")
    normed = _normed(build, total, gain, shift, simplified, build.attributes.get("epsilon", 1e-12))
    return [normed, None, None, total][: len(build.old.outputs)]


@expands("", "SimplifiedLayerNormalization", profile=True)
@expands(MICROSOFT, "SimplifiedLayerNormalization", profile=True)
def simplified_norm(build: Builder) -> Sequence[ir.Value | None]:
    """RMSNormalization, as onnxruntime called it before the standard had it."""
    axis = build.attributes.get("axis", -1)
    return [_normed(build, build.value(0), build.value(1), None, True, build.attributes.get("epsilon", 1e-5), axis)]


@expands(MICROSOFT, "EmbedLayerNormalization", profile=True)
def embed_norm(build: Builder) -> Sequence[ir.Value | None]:
    """Normalised sum of word, position and segment vectors; the second output counts the mask."""
    ids, segments, words, places, kinds, gain, shift = (build.inputs[i] for i in range(7))
    mask, positions = build.inputs[7:9]
    total = build.node("Gather", [words, ids], "words", axis=0)
    if positions is None:
        zero, one = build.constant(np.int64(0), "zero"), build.constant(np.int64(1), "one")
        positions = build.node("Range", [zero, length_of(build, build.value(0), 1, "ids"), one], "positions")
    total = build.node("Add", [total, build.node("Gather", [places, positions], "places", axis=0)], "placed")
    if segments is not None and kinds is not None:
        total = build.node("Add", [total, build.node("Gather", [kinds, segments], "kinds", axis=0)], "sum")
    normed = _normed(build, total, gain, shift, False, build.attributes.get("epsilon", 1e-12))
    count = None if mask is None else _count(build, mask)
    return [normed, count, total][: len(build.old.outputs)]


def _count(build: Builder, mask: ir.Value) -> ir.Value:
    axes = build.constant(np.array([1]), "count/axes")
    return build.node("ReduceSum", [mask, axes], "count", keepdims=0)


def _normed(
    build: Builder,
    x: ir.Value,
    gain: ir.Value | None,
    shift: ir.Value | None,
    simplified: bool,
    epsilon: float,
    axis: int = -1,
) -> ir.Value:
    if simplified:
        return build.node("RMSNormalization", [x, gain], axis=axis, epsilon=epsilon)
    given = [x, gain, shift] if shift is not None else [x, gain]
    return build.node("LayerNormalization", given, axis=axis, epsilon=epsilon)
