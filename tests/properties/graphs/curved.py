"""Steps that are not piecewise linear: activations that pass on the user's word, LRN, and quantisation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from onnx_lrp.ops.smooth import TRUSTABLE

from .operands import broadcastable
from .sketch import Sketch, need

TRUSTED = tuple(op for op in TRUSTABLE if op != "Clip")
QUANTIZING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
FAVOURITES = (*TRUSTED, "LRN", "LRN", "QuantizeLinear", "DynamicQuantizeLinear")
BENT = {*TRUSTED, *QUANTIZING, "LRN"}
NEWEST = onnx.defs.onnx_opset_version()
# Opsets that onnxruntime has kernels for, where those are fewer than the standard's
KERNELS = {
    "Swish": (24, 24),
    "QuantizeLinear": (10, 27),
    "DequantizeLinear": (10, 27),
    "DynamicQuantizeLinear": (11, 27),
}
SINCE = {"Celu": 12, "HardSwish": 14, "Mish": 18, "Gelu": 20}
ATTRIBUTES: dict[str, Callable[[Sketch], dict[str, object]]] = {
    "Celu": lambda s: {"alpha": s.pick([None, 0.5, 2.0])},
    "Elu": lambda s: {"alpha": s.pick([None, 0.5])},
    "Gelu": lambda s: {"approximate": s.pick([None, "none", "tanh"])},
    "HardSigmoid": lambda s: {"alpha": s.pick([None, 0.3]), "beta": s.pick([None, 0.0, 0.6])},
    "Selu": lambda s: {"alpha": s.pick([None, 1.5]), "gamma": s.pick([None, 1.2])},
    "Swish": lambda s: {"alpha": s.pick([None, 1.7])},
}


def opsets(kind: str) -> range:
    """Those with a kernel."""
    first, last = KERNELS.get(kind, (SINCE.get(kind, 9), NEWEST))
    return range(first, last + 1)


def trusted(s: Sketch, x: str) -> str:
    """Any of those that this opset has."""
    return activation(s, x, s.pick([op for op in TRUSTED if s.opset in opsets(op)]))


def activation(s: Sketch, x: str, kind: str) -> str:
    return s.op(kind, x, **ATTRIBUTES.get(kind, lambda s: {})(s))


def favourite(s: Sketch, x: str, kind: str) -> str:
    """The one that the opset was chosen for."""
    others = {"LRN": lrn, "QuantizeLinear": quantized, "DynamicQuantizeLinear": dynamic}
    return others[kind](s, x) if kind in others else activation(s, x, kind)


def clip(s: Sketch, x: str) -> str:
    """To bounds that are no ReLU's."""
    low, high = s.pick([(-1.0, 1.0), (-0.5, None), (None, 1.5), (0.2, 2.0), (-2.0, 0.0), (-2.0, -0.1)])
    if s.opset < 11:
        return s.op("Clip", x, min=low, max=high)
    bounds = ["" if b is None else s.constant(np.asarray(b)) for b in (low, high)]
    return s.op("Clip", x, *(bounds if high is not None else bounds[:1]))


def lrn(s: Sketch, x: str) -> str:
    need(s.rank(x) == 4)  # onnxruntime takes images, and odd sizes
    alpha, beta, bias = s.pick([None, 0.01, 1.0]), s.pick([None, 0.5]), s.pick([None, 2.0])
    return s.op("LRN", x, size=s.pick([1, 3, 5]), alpha=alpha, beta=beta, bias=bias)


def quantized(s: Sketch, x: str) -> str:
    """A pair of nodes, maybe with one between them that moves integers."""
    makers = {name: node.op_type for node in s.nodes for name in node.output}
    need(makers.get(x) != "DequantizeLinear")  # onnxruntime makes one pair of two in a row, with other levels
    need(s.opset in opsets("QuantizeLinear"))
    dtype = np.dtype(s.pick(["int8", "uint8"] + ["int16", "uint16"] * (s.opset >= 21)))
    per_axis = s.opset >= 13 and s.rank(x) >= 2 and s.chance(30)
    axis = s.whole(1, s.rank(x) - 1) if per_axis else None
    shape = (s.shapes[x][axis],) if per_axis else ()
    top = np.iinfo(dtype)
    scale = s.constant(np.asarray(s.rng.uniform(3, 9, shape) / (int(top.max) - int(top.min))))
    lowest = s.chance(20)  # a ReLU as well
    offset = np.full(shape, top.min) if lowest else s.rng.integers(int(top.min) // 3, int(top.max) // 2, shape)
    zero = s.constant(np.asarray(offset, dtype))
    q = s.hidden("QuantizeLinear", x, scale, zero, axis=axis)
    q = q if per_axis else between(s, q, zero)
    return s.op("DequantizeLinear", q, scale, zero, axis=axis)


def between(s: Sketch, q: str, zero: str) -> str:
    """What may stand among integers."""
    rank, a = s.rank(q), s.constants[zero]
    kind = s.pick(["nothing", "nothing", "Transpose", "Concat", "MaxPool", "Unsqueeze"])
    if kind == "Transpose" and rank >= 3:
        return s.hidden(kind, q, perm=[0, *s.shuffled(range(1, rank))])
    if kind == "Concat" and rank >= 2:
        shape = (s.shapes[q][0], s.whole(1, 2), *s.shapes[q][2:])
        more = s.constant(s.rng.integers(np.iinfo(a.dtype).min, np.iinfo(a.dtype).max, shape, a.dtype))
        return s.hidden(kind, *s.shuffled([q, more] if s.fixed and s.chance() else [q, q]), axis=1)
    if kind == "MaxPool" and rank == 4 and s.opset >= 12 and a.dtype.itemsize == 1:
        return s.hidden(kind, q, kernel_shape=[min(2, n) for n in s.shapes[q][2:]])
    if kind == "Unsqueeze" and rank <= 4 and s.opset >= 13:
        return s.hidden(kind, q, s.constant([rank]))
    return q


def dynamic(s: Sketch, x: str) -> str:
    """Scale and zero point come from the whole batch."""
    need(s.opset in opsets("DynamicQuantizeLinear"))
    return s.op("DequantizeLinear", *s.hidden("DynamicQuantizeLinear", x, outputs=3))


def quantized_weight(s: Sketch, x: str) -> str:
    """A product with integers that are made numbers in the graph, with a scale for each column."""
    need(s.rank(x) >= 2 and s.opset >= 13 and s.opset in opsets("DequantizeLinear"))
    k, n = s.shapes[x][-1], s.whole(1, 5)
    w = s.constant(s.rng.integers(-100, 100, (k, n), np.int8))
    scale, zero = s.constant(s.rng.uniform(0.003, 0.01, n)), s.constant(np.zeros(n, np.int8))
    return s.op("MatMul", x, s.hidden("DequantizeLinear", w, scale, zero, axis=1))


def gated(s: Sketch, x: str) -> str:
    """What a sigmoid or softplus gives is nonnegative, but at 0 it is not 0."""
    y = s.op(s.pick(["Sigmoid", "Softplus", "HardSigmoid"]), x)
    return s.op("Mul", y, s.constant(s.rng.uniform(-1, 1, broadcastable(s, y))))


CURVED = [trusted, trusted, trusted, trusted, lrn, quantized, quantized, dynamic, quantized_weight, clip, gated]
