"""Steps that bend, branch and merge: activations, residuals, channels-last islands, shared layers."""

from __future__ import annotations

import numpy as np
from onnx import helper

from onnx_lrp.model.canonizers.heads import CURVES, TAILS

from .choices import CHOICES, extreme, gather_nd, where
from .curved import CURVED
from .layers import add_bias, bias, conv_transpose, global_pool, layer, pool, reduce
from .moves import MOVES, blocks, resize, split, squeeze, tile, unchanged
from .operands import broadcastable, operand, values
from .sketch import Sketch, need
from .sparse import SPARSE


def activation(s: Sketch, x: str) -> str:
    kinds = ["Relu"] * 5 + ["LeakyRelu", "PRelu", "Clip", "ThresholdedRelu"]
    kind = s.pick(kinds if s.opset >= 10 else kinds[:-1])
    if kind == "PRelu":
        shape = broadcastable(s, x)
        return s.op(kind, x, s.constant(s.rng.uniform(0, 0.5, shape)))
    if kind == "Clip":
        high = s.pick([None, 1.5])
        if s.opset < 11:
            return s.op(kind, x, min=0.0, max=high)
        return s.op(kind, x, s.constant(0.0), *([] if high is None else [s.constant(high)]))
    alpha = {"LeakyRelu": [None, 0.0, 0.3], "ThresholdedRelu": [0.0, 0.4]}.get(kind, [None])
    return s.op(kind, x, alpha=s.pick(alpha))


def constant_merge(s: Sketch, x: str) -> str:
    """A bias of any shape and sign, on either side."""
    kind = s.pick(["Add", "Add", "Sub", "Sum", "Mean"])
    operands = [x, operand(s, x)]
    if kind in ("Sum", "Mean") and s.chance(30):
        operands.append(operand(s, x))
    return s.op(kind, *(operands if s.chance(70) else operands[::-1]))


def merge(s: Sketch, x: str) -> str:
    """x with tensors that broadcast with it: itself, an earlier one, or a new branch."""
    kind = s.pick(["Add", "Add", "Add", "Sub", "Sum", "Mean"])
    others = [partner(s, x) for _ in range(s.whole(1, 2) if kind in ("Sum", "Mean") else 1)]
    if kind == "Sub" and others == [x]:
        kind = "Add"  # x - x is 0, and 0 has no shares
    operands = s.shuffled([x, *others])
    if kind in ("Sum", "Mean") and s.chance(15):
        operands.append(operand(s, x))
    return s.op(kind, *operands)


def choice(s: Sketch, x: str) -> str:
    """Of several tensors element by element, or of x and constants."""
    kind = s.pick([*CHOICES, where, extreme, extreme])
    if kind is where:
        return where(s, x, partner(s, x))
    if kind is not extreme:
        return kind(s, x)
    others = [partner(s, x) for _ in range(s.whole(1, 2))]
    need(others != [x])  # the same twice is no choice
    return extreme(s, [x, *others])


def partner(s: Sketch, x: str) -> str:
    fitting = [n for n in s.made if fits(s.shapes[n], s.shapes[x])]
    older = [n for n in fitting if n != x]
    if older and s.chance(60):
        return s.pick(older)
    return x if s.chance(20) else branch(s, x)


def fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether a broadcasts with b, samples to samples."""
    if len(a) != len(b):
        return False  # or the samples of one would meet another axis
    return all(m == n or 1 in (m, n) for m, n in zip(a, b))


def branch(s: Sketch, x: str) -> str:
    """Layers that keep the shape."""
    for _ in range(s.whole(1, 2)):
        x = same(s, x)
        x = activation(s, x) if s.chance() else x
    return x


def same(s: Sketch, x: str) -> str:
    """A layer that keeps the shape."""
    shape = s.shapes[x]
    if 3 <= len(shape) <= 5 and s.chance(70):
        c, k = shape[1], s.pick([1, 3])
        w = s.weight(c, c, *(k for _ in shape[2:]), fan_in=c * k ** len(shape[2:]))
        return s.op("Conv", x, w, *bias(s, c), pads=[k // 2] * 2 * len(shape[2:]))
    need(len(shape) >= 2)
    n = shape[-1]
    return add_bias(s, s.op("MatMul", x, s.weight(n, n, fan_in=n)), n)


def concat(s: Sketch, x: str) -> str:
    rank = s.rank(x)
    need(rank >= 2)
    axis = s.whole(1, rank - 1)
    rest = [n for i, n in enumerate(s.shapes[x]) if i != axis]
    joinable = [n for n in s.made if s.rank(n) == rank and [m for i, m in enumerate(s.shapes[n]) if i != axis] == rest]
    operands = [x, *(s.pick([*joinable, x]) for _ in range(s.whole(1, 2)))]
    if s.fixed and s.chance(30):
        shape = [s.whole(1, 2) if i == axis else n for i, n in enumerate(s.shapes[x])]
        operands.append(values(s, tuple(shape)))
    return s.op("Concat", *s.shuffled(operands), axis=axis - rank * (s.whole(0, 1) if s.opset >= 11 else 0))


def island(s: Sketch, x: str) -> str:
    """Channels last, steps there, and back."""
    rank = s.rank(x)
    need(3 <= rank <= 5)
    inside = s.op("Transpose", x, perm=[0, *range(2, rank), 1])
    for _ in range(s.whole(1, 3)):
        step = s.pick([last_dense, last_dense, activation, constant_merge, merge, unchanged, last_scale])
        y = s.attempt(step, inside)
        inside = y if y is not None and s.rank(y) == rank else inside
    return s.op("Transpose", inside, perm=[0, rank - 1, *range(1, rank - 1)])


def last_dense(s: Sketch, x: str) -> str:
    k, n = s.shapes[x][-1], s.whole(1, 5)
    return add_bias(s, s.op("MatMul", x, s.weight(k, n, fan_in=k)), n)


def last_scale(s: Sketch, x: str) -> str:
    """A norm as exporters of channels-last frameworks write it."""
    n = s.shapes[x][-1]
    x = s.op("Mul", x, s.constant(s.rng.uniform(0.5, 2, n)))
    return s.op(s.pick(["Add", "Sub"]), x, s.constant(s.rng.standard_normal(n) * 0.3))


def reuse(s: Sketch, x: str) -> str:
    """A layer that was there already, on another tensor, with the same weights."""
    layers = [n for n in s.nodes if n.op_type in ("Conv", "Gemm", "MatMul", "ConvTranspose") and n.input[0] in s.made]
    need(bool(layers))
    node = s.pick(layers)
    need(node.op_type == "MatMul" or s.shapes[x][1:2] == s.shapes[node.input[0]][1:2])
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    need("output_shape" not in given or s.shapes[x][2:] == s.shapes[node.input[0]][2:])
    return s.op(node.op_type, x, *node.input[1:], **given)


def any_step(s: Sketch, x: str) -> str:
    old = [resize] * 4 if s.opset == 9 else []  # the last opset with an Upsample
    return s.pick([*STEPS, *(BENDS if s.curved else []), *old])(s, x)


def first_step(s: Sketch, x: str) -> str:
    return s.pick(FIRST)(s, x)


def squeezed(s: Sketch, x: str) -> str:
    """As exporters write a global pooling."""
    need(s.rank(x) >= 3)
    return squeeze(s, reduce(s, x, keep=1))


def bend(s: Sketch, x: str) -> str:
    return s.pick(CURVED)(s, x)


def sparse(s: Sketch, x: str) -> str:
    return s.pick(SPARSE)(s, x)


def move(s: Sketch, x: str) -> str:
    return s.pick(MOVES)(s, x)


def join(s: Sketch, tensors: list[str]) -> str:
    """One vector per sample out of several tensors."""
    flat = [s.op("Flatten", x) if s.rank(x) != 2 else x for x in tensors]
    if s.chance():
        return s.op("Concat", *flat, axis=1)
    parts = [s.op("MatMul", x, s.weight(s.shapes[x][1], 3, fan_in=s.shapes[x][1])) for x in flat]
    return s.op("Sum", *parts)


def answer(s: Sketch, x: str) -> str:
    """Dense or not; any rank."""
    if s.chance(30) and not is_head(s, x):
        return x
    x = s.op("Flatten", x) if s.rank(x) != 2 else x
    k, n = s.shapes[x][1], s.whole(1, 5)
    w = s.constant(s.rng.standard_normal((k, n)) * np.sqrt(1 / k))
    return s.op("Gemm", x, w, s.weight(n, fan_in=40)) if s.chance() else add_bias(s, s.op("MatMul", x, w), n)


def is_head(s: Sketch, x: str) -> bool:
    """Whether x would be cut off: a Sigmoid or its like at the end, maybe behind nodes that rename axes."""
    makers = {name: node for node in s.nodes for name in node.output}
    while x in makers and makers[x].op_type in TAILS:
        x = makers[x].input[0]
    return x in makers and makers[x].op_type in CURVES


STEPS = [
    layer, layer, layer, move, move, move, activation, activation, merge, merge, concat, constant_merge, island, reuse,
    choice, choice, sparse, sparse, sparse,
]  # fmt: skip
# What needs a certain rank, size or opset comes first now and then, where it fits
FIRST = [
    squeezed, squeezed, blocks, blocks, blocks, resize, resize, resize, global_pool, reduce, reduce, conv_transpose,
    pool, split, gather_nd, tile, unchanged, unchanged, *SPARSE,
]  # fmt: skip
BENDS = [bend] * 12
