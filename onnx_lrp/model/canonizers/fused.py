"""What onnxruntime's graph optimizer writes: fused layers and activations (domain com.microsoft)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from .expanding import Builder, expands

MICROSOFT = "com.microsoft"
EXPORT_PLAINLY = "export without runtime-specific optimisation"

# The numbers behind each activation: names of the attributes of the standard's op, in their order
FUSED_ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "Relu": (), "LeakyRelu": ("alpha",), "ThresholdedRelu": ("alpha",), "Clip": ("min", "max"),
    "Tanh": (), "Sigmoid": (), "HardSigmoid": ("alpha", "beta"),
}  # fmt: skip


@expands(MICROSOFT, "FusedConv")
def fused_conv(build: Builder) -> Sequence[ir.Value]:
    """Activation(Conv(X, W, B) + Z)."""
    x, w, bias, summand = build.inputs[:4]
    given = dict(build.attributes)
    activation, parameters = str(given.pop("activation", "")), list(given.pop("activation_params", ()))
    y = build.node("Conv", [x, w, bias] if bias is not None else [x, w], **given)
    if summand is not None:
        y = build.node("Add", [y, summand], "add")
    return [_activated(build, y, activation, parameters)]


@expands(MICROSOFT, "FusedGemm")
def fused_gemm(build: Builder) -> Sequence[ir.Value]:
    """Activation(alpha A B + beta C)."""
    given = dict(build.attributes)
    activation = str(given.pop("activation", ""))
    numbers = [given.pop(f"activation_{name}", None) for name in ("alpha", "beta", "gamma")]
    parameters = [n for n in numbers if n is not None]
    y = build.node("Gemm", list(build.old.inputs), **given)
    return [_activated(build, y, activation, parameters)]


@expands(MICROSOFT, "FusedMatMul")
def fused_matmul(build: Builder) -> Sequence[ir.Value]:
    """alpha A' B', where either may be transposed over its last two axes."""
    if build.attributes.get("transBatchA") or build.attributes.get("transBatchB"):
        raise Unsupported("FusedMatMul that transposes batches", EXPORT_PLAINLY)
    sides = [_transposed(build, i, build.attributes.get(f"trans{'AB'[i]}", 0)) for i in (0, 1)]
    y = build.node("MatMul", sides)
    alpha = build.attributes.get("alpha", 1.0)
    return [y if alpha == 1 else build.node("Mul", [y, build.constant(np.float32(alpha), "alpha")], "scale")]


@expands(MICROSOFT, "Gelu", "FastGelu", "BiasGelu", "QuickGelu")
def fused_gelu(build: Builder) -> Sequence[ir.Value]:
    """GELU by erf, by tanh (FastGelu) or as x sigmoid(1.702 x) (QuickGelu), of X or of X + B."""
    x, bias = build.value(0), build.inputs[1]
    if bias is not None:
        x = build.node("Add", [x, bias], "add")
    if build.old.op_type == "QuickGelu":
        return [build.node("Swish", [x], alpha=build.attributes.get("alpha", 1.702))]
    return [build.node("Gelu", [x], approximate="tanh" if build.old.op_type == "FastGelu" else "none")]


@expands(MICROSOFT, "MatMulNBits")
def matmul_of_few_bits(build: Builder) -> Sequence[ir.Value]:
    """A Wᵀ, W being stored in blocks of few bits, each with a scale and a zero point."""
    given, blocks, scales = build.attributes, build.array(1), build.array(2)
    bits, size, k, n = (
        int(given.get(name, other)) for name, other in (("bits", 4), ("block_size", 32), ("K", 0), ("N", 0))
    )
    if blocks is None or scales is None or bits not in (2, 4, 8) or build.inputs[4] is not None:
        raise Unsupported(
            f"MatMulNBits of {bits} bits, of weights that are not constant or are reordered", EXPORT_PLAINLY
        )
    count = -(-k // size)
    numbers = _unpacked(blocks.reshape(n, count, -1), bits)[:, :, :size].astype(np.float64)
    zeros = build.array(3)
    if zeros is None:
        shift: Any = float(2 ** (bits - 1))
    elif zeros.dtype == np.uint8:
        shift = _unpacked(zeros.reshape(n, -1), bits)[:, :count, None].astype(np.float64)
    else:
        shift = zeros.reshape(n, count, 1).astype(np.float64)
    weight = ((numbers - shift) * scales.reshape(n, count, 1)).reshape(n, -1)[:, :k].T
    y = build.node("MatMul", [build.value(0), build.constant(weight.astype(np.float32), "weight")])
    bias = build.inputs[5]
    return [y if bias is None else build.node("Add", [y, bias], "bias")]


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """The numbers in bytes, the lowest bits first, along the last axis."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    apart = (packed.astype(np.uint8)[..., None] >> shifts) & np.uint8(2**bits - 1)
    return np.asarray(apart.reshape(*packed.shape[:-1], -1))


def _transposed(build: Builder, position: int, flag: int) -> ir.Value:
    value = build.value(position)
    if not flag:
        return value
    if value.shape is None:
        raise Unsupported("the rank of a transposed operand is unknown", "declare the shape of the model's input")
    order = list(range(len(value.shape)))
    return build.node("Transpose", [value], f"transposed{position}", perm=[*order[:-2], order[-1], order[-2]])


def _activated(build: Builder, y: ir.Value, activation: str, parameters: Sequence[Any]) -> ir.Value:
    """The activation behind a layer; what LRP has no role for stays visible as a node of its own."""
    if not activation:
        return y
    if activation not in FUSED_ACTIVATIONS:
        raise Unsupported(f"unknown activation {activation!r}", EXPORT_PLAINLY)
    given = dict(zip(FUSED_ACTIVATIONS[activation], parameters))
    if activation != "Clip":
        return build.node(activation, [y], activation.lower(), **given)
    bounds = [build.constant(np.float32(given[name]), name) for name in ("min", "max") if name in given]
    return build.node("Clip", [y, *bounds], "clip")
