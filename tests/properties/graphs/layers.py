"""Steps that are linear maps: convolutions, products, scales, norms, averages."""

from __future__ import annotations

from typing import Any

import numpy as np

from .operands import broadcastable
from .sketch import Sketch, need


def windows(s: Sketch, x: str, most: int = 3) -> tuple[list[int], list[int], dict[str, Any]]:
    """Kernel, its reach, and the attributes of a window that fits."""
    spatial = s.shapes[x][2:]
    need(1 <= len(spatial) <= 3)
    kernel = [s.whole(1, min(most, n + 1)) for n in spatial]
    auto_pad = s.pick(["NOTSET"] * 5 + ["VALID", "SAME_UPPER", "SAME_LOWER"])
    same = auto_pad.startswith("SAME")
    dilations = [1 if same else s.whole(1, 2) for _ in kernel]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    strides = [s.whole(1, r if same else 3) for r in reach]  # onnxruntime refuses negative padding
    given = {"auto_pad": None if auto_pad == "NOTSET" else auto_pad, "strides": strides}
    return kernel, reach, {**given, "dilations": dilations if set(dilations) != {1} else None}


def fits(s: Sketch, x: str, reach: list[int], given: dict[str, Any]) -> bool:
    """Whether the window stands somewhere (shape inference rounds a size below 0 up)."""
    pads = given.get("pads") or [0] * 2 * len(reach)
    ends = zip(s.shapes[x][2:], reach, pads, pads[len(reach) :])
    return str(given["auto_pad"]).startswith("SAME") or all(r <= n + b + a for n, r, b, a in ends)


def conv(s: Sketch, x: str) -> str:
    kernel, reach, given = windows(s, x)
    if given["auto_pad"] is None:
        given["pads"] = s.wholes(2 * len(kernel), 0, 2)
    need(fits(s, x, reach, given))
    channels = s.shapes[x][1]
    group = s.pick([g for g in (1, 1, 2, 3, channels) if channels % g == 0])
    out, each = group * s.whole(1, 4 if group == 1 else 2), channels // group
    w = s.weight(out, each, *kernel, fan_in=each * int(np.prod(kernel)))
    return s.op("Conv", x, w, *bias(s, out), group=group, kernel_shape=kernel if s.chance() else None, **given)


def bias(s: Sketch, n: int) -> list[str]:
    return [s.weight(n, fan_in=40)] if s.chance() else []


def conv_transpose(s: Sketch, x: str) -> str:
    kernel, reach, given = windows(s, x)
    spatial, strides = s.shapes[x][2:], given["strides"]
    explicit = given["auto_pad"] is None
    extra = [s.whole(0, stride - 1) for stride in strides] if explicit and s.chance(30) else None
    full = [(n - 1) * t + e + r for n, t, e, r in zip(spatial, strides, extra or [0] * len(kernel), reach)]
    if explicit:
        before = [s.whole(0, min(2, r - 1)) for r in reach]
        after = [s.whole(0, min(2, r - 1, f - 1 - b)) for r, f, b in zip(reach, full, before)]
        given["pads"] = [*before, *after]
    elif any(f < n * t for f, n, t in zip(full, spatial, strides)):
        given["auto_pad"] = "VALID"  # onnxruntime differs from the standard where SAME would have to add
    if extra is None and s.chance(20):
        given.pop("pads", None)  # shape inference knows no output below the input's size
        given["output_shape"] = [s.whole(max(f - 2, n), max(f, n)) for f, n in zip(full, spatial)]
        need(all(n <= f for n, f in zip(given["output_shape"], full)))
    channels = s.shapes[x][1]
    group = s.pick([g for g in (1, 2, channels) if channels % g == 0])
    each = s.whole(1, 3)
    w = s.weight(channels, each, *kernel, fan_in=channels // group * int(np.prod(kernel)))
    return s.op("ConvTranspose", x, w, *bias(s, group * each), group=group, output_padding=extra, **given)


def gemm(s: Sketch, x: str) -> str:
    need(s.rank(x) == 2)
    k, n, flip = s.shapes[x][1], s.whole(1, 6), s.whole(0, 1)
    w = s.weight(*((n, k) if flip else (k, n)), fan_in=k)
    shape = s.pick([(n,), (1, n), (1,), (1, 1), ()])
    c = [s.weight(*shape, fan_in=40)] if s.chance(60) or s.opset < 11 else []
    alpha, beta = ((s.pick([None, 0.5, -1.5, 2.0])) for _ in range(2))
    return s.op("Gemm", x, w, *c, transB=flip or None, alpha=alpha, beta=beta)


def matmul(s: Sketch, x: str) -> str:
    k, n = s.shapes[x][-1], s.whole(1, 6)
    need(s.rank(x) >= 2)
    stacks = s.shapes[x][1:-2] if s.rank(x) > 3 else ()
    lead = s.pick([(), (), (1,) * len(stacks), stacks])
    return add_bias(s, s.op("MatMul", x, s.weight(*lead, k, n, fan_in=k)), n)


def matmul_left(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 3)
    k, n = s.shapes[x][-2], s.whole(1, 4)
    return s.op("MatMul", s.weight(n, k, fan_in=k), x)


def matmul_vector(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 3)
    left = s.chance()
    k = s.shapes[x][-2 if left else -1]
    w = s.weight(k, fan_in=k)
    return s.op("MatMul", w, x) if left else s.op("MatMul", x, w)


def add_bias(s: Sketch, x: str, n: int) -> str:
    """Maybe, and on either side."""
    if s.chance():
        return x
    pair = (x, s.weight(n, fan_in=40))
    return s.op("Add", *(pair if s.chance() else pair[::-1]))


def scale(s: Sketch, x: str) -> str:
    if s.chance(15):
        return s.op("Neg", x)
    shape = broadcastable(s, x)
    size = s.rng.uniform(0.5, 1.5, shape) * s.rng.choice([1, 1, 1, -1], shape)
    w = s.constant(np.asarray(size, np.float32))
    kind = s.pick(["Mul", "Mul", "Div"])
    return s.op(kind, *((w, x) if kind == "Mul" and s.chance() else (x, w)))


def norm(s: Sketch, x: str) -> str:
    n = s.shapes[x][1] if s.rank(x) > 1 else 1
    need(s.rank(x) >= 2)
    gain, shift, mean = (s.constant(a) for a in (s.rng.uniform(0.5, 2, n), *s.rng.standard_normal((2, n)) * 0.3))
    variance = s.constant(s.rng.uniform(0.2, 2, n))
    return s.op("BatchNormalization", x, gain, shift, mean, variance, epsilon=s.pick([None, 0.1]))


def conv_norm(s: Sketch, x: str) -> str:
    """A norm, or the same as constant scales and shifts, right behind a convolution."""
    y = conv(s, x)
    if s.chance():
        return norm(s, y)
    shape = (s.shapes[y][1], *(1,) * (s.rank(y) - 2))
    a, b = s.constant(s.rng.uniform(0.5, 2, shape)), s.constant(s.rng.standard_normal(shape) * 0.3)
    if s.chance():
        y = s.op("Sub", *((y, b) if s.chance() else (b, y)))
        return s.op(s.pick(["Mul", "Div"]), y, a)
    return s.op("Add", s.op("Mul", y, a), b)


def pool(s: Sketch, x: str) -> str:
    kind = s.pick(["AveragePool", "MaxPool"])
    kernel, reach, given = windows(s, x)
    if s.opset < (19 if kind == "AveragePool" else 10):
        given["dilations"], reach = None, kernel
        given["strides"] = [min(t, k) if given["auto_pad"] else t for t, k in zip(given["strides"], kernel)]
    if given["auto_pad"] is None:
        given["pads"] = [s.whole(0, min(r // 2, k - 1)) for r, k in [*zip(reach, kernel)] * 2] if s.chance() else None
        given["ceil_mode"] = s.pick([None, 1]) if s.opset >= 10 else None
        need(not given["ceil_mode"] or all_start_inside(s, x, reach, given))
    need(fits(s, x, reach, given))
    need(all_see_something(s, x, kernel, reach, given))
    if kind == "AveragePool":
        given["count_include_pad"] = s.pick([None, 1])
    return s.op(kind, x, kernel_shape=kernel, **given)


def all_start_inside(s: Sketch, x: str, reach: list[int], given: dict[str, Any]) -> bool:
    """Whether no window starts in the end padding: runtimes drop it, old shape inference counts it."""
    pads = given["pads"] or [0] * 2 * len(reach)
    ends = zip(s.shapes[x][2:], reach, given["strides"], pads, pads[len(reach) :])
    return all(-(-(n + b + a - r) // t) * t < n + b for n, r, t, b, a in ends)


def all_see_something(s: Sketch, x: str, kernel: list[int], reach: list[int], given: dict[str, Any]) -> bool:
    """Whether no window stands wholly in the padding, as dilated ones can: runtimes disagree on its winner."""
    pads = given.get("pads") or [0] * 2 * len(reach)
    ends = zip(s.shapes[x][2:], kernel, reach, given["strides"], given["dilations"] or [1] * len(kernel), pads)
    for i, (n, k, r, t, d, b) in enumerate(ends):
        starts = range(-b, n + pads[len(reach) + i] - (1 if given.get("ceil_mode") else r - 1), t)
        if not all(any(0 <= start + d * tap < n for tap in range(k)) for start in starts):
            return False
    return True


def global_pool(s: Sketch, x: str) -> str:
    need(s.rank(x) >= 3)
    return s.op(s.pick(["GlobalAveragePool", "GlobalMaxPool"]), x)


def reduce(s: Sketch, x: str, keep: int | None = None) -> str:
    kind, rank = s.pick(["ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1"]), s.rank(x)
    need(rank >= 2)
    axes = [a - rank * (s.whole(0, 1) if s.opset >= 11 else 0) for a in range(1, rank) if s.chance()]
    need(bool(axes))
    keep = s.pick([None, 0, 1]) if keep is None else keep
    if s.opset >= (13 if kind == "ReduceSum" else 18):
        return s.op(kind, x, s.constant(axes), keepdims=keep)
    return s.op(kind, x, axes=axes, keepdims=keep)


DENSE = [gemm, gemm, gemm, matmul, scale, norm, reduce]
SPATIAL = [
    conv, conv, conv, conv_norm, conv_norm, conv_transpose, pool, pool, pool, global_pool, reduce, scale, norm, matmul,
    matmul_left, matmul_vector,
]  # fmt: skip


def layer(s: Sketch, x: str) -> str:
    return s.pick(SPATIAL if s.rank(x) > 2 else DENSE)(s, x)
