"""Attention as onnxruntime fuses it, without a past; under a profile only, since its parts have no role without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from .expanding import Builder, expands
from .fused import EXPORT_PLAINLY, MICROSOFT
from .rotations import rotated
from .split_heads import SplitHeads

NO_PAST = "explain the prompt pass: export without a past, or with it as an empty constant"


@expands(MICROSOFT, "Attention", profile=True)
def attention(build: Builder) -> Sequence[ir.Value | None]:
    """Queries, keys and values as one layer, then attention."""
    given = build.attributes
    if build.inputs[4] is not None or given.get("do_rotary"):
        raise Unsupported("attention with a past, or with a rotation inside", NO_PAST)
    z = build.node("MatMul", [build.value(0), build.value(1)], "projection")
    if build.inputs[2] is not None:
        z = build.node("Add", [z, build.inputs[2]], "projected")
    weight = build.value(1)
    width = weight.shape[1] if weight.shape is not None else None
    if not isinstance(width, int):
        raise Unsupported("attention of unknown width", EXPORT_PLAINLY)
    sizes = [int(n) for n in given.get("qkv_hidden_sizes") or [width // 3] * 3]
    heads = _heads(build, sizes[0])
    q, k, v = build.nodes("Split", [z, build.constant(np.array(sizes), "sizes")], 3, "parts", axis=2)
    q, k, v = (heads.apart(x, part, heads.count) for x, part in ((q, "queries"), (k, "keys"), (v, "values")))
    mask = _mask(build, build.inputs[3], k)
    causal = heads.causal(q, k) if given.get("unidirectional") else None
    return _first(build, heads.attend(q, k, v, [build.inputs[5], mask, causal]))


@expands(MICROSOFT, "MultiHeadAttention", profile=True)
def multi_head_attention(build: Builder) -> Sequence[ir.Value | None]:
    """Attention of queries, keys and values that are computed already."""
    given, (q, k, v, bias, mask, added) = build.attributes, build.inputs[:6]
    if any(value is not None for value in build.inputs[6:]) or q is None or k is None or v is None:
        raise Unsupported("attention with a past, or with packed operands", NO_PAST)
    if any(x.shape is None or len(x.shape) not in (3, 4) for x in (q, k, v)):
        raise Unsupported("attention over operands of unknown rank", "declare the shape of the model's input")
    width = q.shape[-1]  # type: ignore[index]
    if not isinstance(width, int):
        raise Unsupported("attention over an unknown width", "declare the shape of the model's input")
    heads = _heads(build, width)
    if bias is not None:
        sizes = np.array([x.shape[-1] for x in (q, k, v)])  # type: ignore[index]
        parts = build.nodes("Split", [bias, build.constant(sizes, "sizes")], 3, "biases", axis=0)
        q, k, v = (build.node("Add", [x, b], f"biased/{i}") for i, (x, b) in enumerate(zip((q, k, v), parts)))
    q, k, v = (
        x if x.shape is not None and len(x.shape) == 4 else heads.apart(x, part, heads.count)
        for x, part in ((q, "queries"), (k, "keys"), (v, "values"))
    )
    causal = heads.causal(q, k) if given.get("unidirectional") else None
    return _first(build, heads.attend(q, k, v, [added, _mask(build, mask, k), causal]))


@expands(MICROSOFT, "GroupQueryAttention", profile=True)
def group_query_attention(build: Builder) -> Sequence[ir.Value | None]:
    """Causal attention in which several queries share keys and values; the prompt pass, without a past."""
    given, (q, k, v) = build.attributes, build.inputs[:3]
    past = [value for value in build.inputs[3:5] if value is not None]
    if any(0 not in (value.shape or ()) for value in past):
        raise Unsupported("attention with a past", NO_PAST)
    count, shared = int(given["num_heads"]), int(given["kv_num_heads"])
    if q is None or k is None or v is None or q.shape is None or not isinstance(q.shape[-1], int):
        raise Unsupported("attention over packed operands, or over an unknown width", EXPORT_PLAINLY)
    size = q.shape[-1] // count
    heads = SplitHeads(build, count, shared, given.get("scale") or size**-0.5, given.get("softcap", 0.0))
    q, k, v = heads.apart(q, "queries", count), heads.apart(k, "keys", shared), heads.apart(v, "values", shared)
    if given.get("do_rotary"):
        cos, sin, interleaved = build.value(7), build.value(8), bool(given.get("rotary_interleaved"))
        q, k = (rotated(build, x, cos, sin, None, interleaved, part) for x, part in ((q, "queries"), (k, "keys")))
    seen = heads.attend(q, k, v, [heads.causal(q, k, int(given.get("local_window_size", -1)))])
    return [seen, k, v][: len(build.old.outputs)]


def _heads(build: Builder, width: int) -> SplitHeads:
    count = int(build.attributes["num_heads"])
    return SplitHeads(build, count, count, build.attributes.get("scale") or (width // count) ** -0.5)


def _mask(build: Builder, mask: ir.Value | None, k: ir.Value) -> ir.Value | None:
    """What a mask adds to the scores: of ones and zeros, or of the number of tokens that count."""
    if mask is None:
        return None
    rank = None if mask.shape is None else len(mask.shape)
    if rank not in (1, 2, 3):
        raise Unsupported("a mask of unknown rank, or of four axes", EXPORT_PLAINLY)
    if rank == 1:  # lengths
        columns = SplitHeads(build, 1, 1, 1.0).positions(k, "mask/columns")
        lengths = build.node("Cast", [mask], "mask/long", to=int(ir.DataType.INT64))
        lengths = build.node("Unsqueeze", [lengths, build.constant(np.array([1]), "mask/axes1")], "mask/lengths")
        kept = build.node("Less", [columns, lengths], "mask/kept")
        mask = build.node("Cast", [kept], "mask/ones", to=int(ir.DataType.FLOAT))
    axes = [1] if rank == 3 else [1, 2]
    wide = build.node("Unsqueeze", [mask, build.constant(np.array(axes), "mask/axes")], "mask/wide")
    ones = build.node("Cast", [wide], "mask/float", to=int(ir.DataType.FLOAT))
    off = build.node("Sub", [build.constant(np.float32(1), "mask/one"), ones], "mask/off")
    value = max(float(build.attributes.get("mask_filter_value", -10000.0)), -1e20)
    return build.node("Mul", [off, build.constant(np.float32(value), "mask/value")], "mask")


def _first(build: Builder, value: ir.Value) -> list[ir.Value | None]:
    return [value, *[None] * (len(build.old.outputs) - 1)]
