"""What onnxruntime's transformer optimizer writes: normalisations with a sum before, and attention as one op.

Each becomes the elementary nodes that it stands for, under a profile only: without one they have no role either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from .expanding import Builder, expands
from .fused import EXPORT_PLAINLY, MICROSOFT

NO_PAST = "explain the prompt pass: export without a past, or with it as an empty constant"


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
        positions = build.node("Range", [zero, _length(build, build.value(0), 1, "ids"), one], "positions")
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


@dataclass(frozen=True)
class SplitHeads:
    """Attention of several heads over (batch, length, heads · size)."""

    build: Builder
    count: int
    shared: int  # heads of keys and values
    scale: float
    softcap: float = 0.0

    def apart(self, x: ir.Value, part: str, count: int) -> ir.Value:
        """(batch, heads, length, size)."""
        shape = self.build.constant(np.array([0, 0, count, -1]), f"{part}/shape")
        return self.build.node("Transpose", [self.build.node("Reshape", [x, shape], f"{part}/heads")],
                               f"{part}/apart", perm=[0, 2, 1, 3])  # fmt: skip

    def repeated(self, x: ir.Value, part: str) -> ir.Value:
        """Each head of keys or values for all queries that share it."""
        times = self.count // self.shared
        if times == 1:
            return x
        index = self.build.constant(np.repeat(np.arange(self.shared), times), f"{part}/which")
        return self.build.node("Gather", [x, index], f"{part}/shared", axis=1)

    def attend(self, q: ir.Value, k: ir.Value, v: ir.Value, biases: Sequence[ir.Value | None]) -> ir.Value:
        """softmax(scale · q kᵀ + biases) v, of heads that are apart, put together again."""
        build = self.build
        across = build.node("Transpose", [self.repeated(k, "keys")], "keys/across", perm=[0, 1, 3, 2])
        scaled = build.node("Mul", [q, build.constant(np.float32(self.scale), "scale")], "scaled")
        scores = build.node("MatMul", [scaled, across], "scores")
        if self.softcap:
            cap = build.constant(np.float32(self.softcap), "cap")
            bent = build.node("Tanh", [build.node("Div", [scores, cap], "uncapped")], "bent")
            scores = build.node("Mul", [bent, cap], "capped")
        for i, bias in enumerate(biases):
            if bias is not None:
                scores = build.node("Add", [scores, bias], f"biased{i}")
        weights = build.node("Softmax", [scores], axis=3)
        seen = build.node("MatMul", [weights, self.repeated(v, "values")], "seen")
        together = build.node("Transpose", [seen], "together", perm=[0, 2, 1, 3])
        return build.node("Reshape", [together, build.constant(np.array([0, 0, -1]), "shape")], "joined")

    def causal(self, q: ir.Value, k: ir.Value, window: int = -1) -> ir.Value:
        """A mask of what stands behind each query, and of what is further before it than the window."""
        build = self.build
        rows, columns = (self._positions(x, part) for x, part in ((q, "rows"), (k, "columns")))
        rows = build.node("Unsqueeze", [rows, build.constant(np.array([1]), "rows/axes")], "rows/column")
        hidden = build.node("Less", [rows, columns], "later")
        if window > 0:
            earliest = build.node("Sub", [rows, build.constant(np.int64(window), "window")], "earliest")
            hidden = build.node("Or", [hidden, build.node("LessOrEqual", [columns, earliest], "earlier")], "hidden")
        lowest, zero = build.constant(np.float32(-1e20), "lowest"), build.constant(np.float32(0), "none")
        return build.node("Where", [hidden, lowest, zero], "causal")

    def _positions(self, x: ir.Value, part: str) -> ir.Value:
        build = self.build
        length = _length(build, x, 2, part)
        zero, one = build.constant(np.int64(0), f"{part}/from"), build.constant(np.int64(1), f"{part}/step")
        return build.node("Range", [zero, length, one], part)


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
        q, k = (_rotated(build, x, cos, sin, None, interleaved, part) for x, part in ((q, "queries"), (k, "keys")))
    seen = heads.attend(q, k, v, [heads.causal(q, k, int(given.get("local_window_size", -1)))])
    return [seen, k, v][: len(build.old.outputs)]


@expands(MICROSOFT, "RotaryEmbedding", profile=True)
def rotary_embedding(build: Builder) -> Sequence[ir.Value | None]:
    """Pairs of numbers turned by an angle that depends on their place; a constant map."""
    given, (x, positions, cos, sin) = build.attributes, build.inputs[:4]
    rank = 0 if x is None or x.shape is None else len(x.shape)
    if x is None or cos is None or sin is None or rank not in (3, 4):
        raise Unsupported("a rotation of unknown rank", "declare the shape of the model's input")
    count = int(given.get("num_heads", 0))
    if rank == 3:
        size = cos.shape[-1] * 2 if cos.shape is not None and isinstance(cos.shape[-1], int) else 0
        width = x.shape[-1]  # type: ignore[index]
        count = count or (width // size if isinstance(width, int) and size else 1)
        x = SplitHeads(build, count, count, 1.0).apart(x, "heads", count)
    turned = _rotated(build, x, cos, sin, positions, bool(given.get("interleaved")), "turned")
    if rank == 3:
        moved = build.node("Transpose", [turned], "moved", perm=[0, 2, 1, 3])
        turned = build.node("Reshape", [moved, build.constant(np.array([0, 0, -1]), "shape")], "joined")
    return [turned]


def _rotated(
    build: Builder,
    x: ir.Value,
    cos: ir.Value,
    sin: ir.Value,
    positions: ir.Value | None,
    interleaved: bool,
    part: str,
) -> ir.Value:
    """x cos + turn(x) sin, of heads that are apart; of the first numbers of each, as many as there are angles."""
    half = cos.shape[-1] if cos.shape is not None else None
    if not isinstance(half, int):
        raise Unsupported("a rotation by tables of unknown width", EXPORT_PLAINLY)
    if positions is None:
        zero, one = build.constant(np.int64(0), f"{part}/from"), build.constant(np.int64(1), f"{part}/step")
        positions = build.node("Range", [zero, _length(build, x, 2, part), one], f"{part}/places")
    axis = build.constant(np.array([-3]), f"{part}/axis")
    double = np.repeat(np.arange(half), 2) if interleaved else np.tile(np.arange(half), 2)
    angles = []
    for name, table in (("cos", cos), ("sin", sin)):
        wide = build.node(
            "Gather", [table, build.constant(double, f"{part}/{name}/both")], f"{part}/{name}/wide", axis=1
        )
        rows = build.node("Gather", [wide, positions], f"{part}/{name}/rows", axis=0)
        angles.append(build.node("Unsqueeze", [rows, axis], f"{part}/{name}"))
    ends = [build.constant(np.array([n]), f"{part}/{n}") for n in (0, 2 * half, np.iinfo(np.int64).max, 3)]
    first = build.node("Slice", [x, ends[0], ends[1], ends[3]], f"{part}/first")
    order = np.arange(2 * half).reshape(-1, 2)[:, ::-1].ravel() if interleaved else np.roll(np.arange(2 * half), half)
    signs = np.where(np.arange(2 * half) % 2 == 0 if interleaved else np.arange(2 * half) < half, -1.0, 1.0)
    swapped = build.node("Gather", [first, build.constant(order, f"{part}/order")], f"{part}/swapped", axis=3)
    signed = build.node("Mul", [swapped, build.constant(signs.astype(np.float32), f"{part}/signs")], f"{part}/signed")
    sides = [
        build.node("Mul", [a, b], f"{part}/{n}") for a, b, n in ((first, angles[0], "x"), (signed, angles[1], "y"))
    ]
    turned = build.node("Add", sides, f"{part}/sum")
    size = x.shape[-1] if x.shape is not None else None
    if size == 2 * half:
        return turned
    rest = build.node("Slice", [x, ends[1], ends[2], ends[3]], f"{part}/rest")
    return build.node("Concat", [turned, rest], f"{part}/whole", axis=3)


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
        columns = SplitHeads(build, 1, 1, 1.0)._positions(k, "mask/columns")
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


def _length(build: Builder, x: ir.Value, axis: int, part: str) -> ir.Value:
    """The size of an axis."""
    sizes, index = build.node("Shape", [x], f"{part}/size"), build.constant(np.int64(axis), f"{part}/axis0")
    return build.node("Gather", [sizes, index], f"{part}/length", axis=0)
