"""Write activations that are younger than a model's opset as nodes that it has: for runtimes, not for reports."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from ..evaluation import opset_of
from .expanding import Builder

GateMaker = Callable[[Builder, ir.Value], ir.Value]


def lower(model: ir.Model) -> None:
    """Replace them in a model whose floats are float32, in place."""
    opset = opset_of(model)
    for node in list(model.graph):
        if node.op_type == "RMSNormalization" and opset < 23:  # onnxruntime has it under another name since opset 1
            node.op_type = "SimplifiedLayerNormalization"
        since, gate = GATES.get(node.op_type, (0, None))
        if gate is not None and opset < since and node.domain in ("", "ai.onnx"):
            build = Builder(model, node)
            x = build.value(0)
            build.replace([build.node("Mul", [x, gate(build, x)])])


def _times(build: Builder, x: ir.Value, factor: float, part: str) -> ir.Value:
    return build.node("Mul", [x, build.constant(np.float32(factor), f"{part}/factor")], part)


def _half_plus_half(build: Builder, x: ir.Value) -> ir.Value:
    """(x + 1) / 2."""
    half = build.constant(np.float32(0.5), "half")
    return build.node("Add", [_times(build, x, 0.5, "halved"), half], "gate")


def _swish(build: Builder, x: ir.Value) -> ir.Value:
    return build.node("Sigmoid", [_times(build, x, build.attributes.get("alpha", 1.0), "scaled")], "gate")


def _gelu(build: Builder, x: ir.Value) -> ir.Value:
    if build.attributes.get("approximate", "none") != "tanh":
        return _half_plus_half(build, build.node("Erf", [_times(build, x, math.sqrt(0.5), "scaled")], "erf"))
    cubed = build.node("Mul", [build.node("Mul", [x, x], "squared"), _times(build, x, 0.044715, "small")], "cubed")
    bent = _times(build, build.node("Add", [x, cubed], "bent"), math.sqrt(2 / math.pi), "scaled")
    return _half_plus_half(build, build.node("Tanh", [bent], "tanh"))


def _hard_swish(build: Builder, x: ir.Value) -> ir.Value:
    return build.node("HardSigmoid", [x], "gate", alpha=1 / 6, beta=0.5)


def _mish(build: Builder, x: ir.Value) -> ir.Value:
    return build.node("Tanh", [build.node("Softplus", [x], "softplus")], "gate")


# Each is x times a gate; the opset that knows it
GATES: dict[str, tuple[int, GateMaker]] = {
    "Swish": (24, _swish),
    "Gelu": (20, _gelu),
    "Mish": (18, _mish),
    "HardSwish": (14, _hard_swish),
}
