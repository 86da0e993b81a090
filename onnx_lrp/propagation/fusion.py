"""Two steps that are one layer: a layer and the bias added behind it, a sum and the weights behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from ..backends.base import Array, Backend
from ..model.graph import array
from ..ops import Linear, Merge, Operands, Role
from ..ops.pooling import SumMap
from .step import Step


def fuse(steps: Iterable[Step], target: ir.Value) -> list[Step]:
    """Take a layer and the constant that alone reads it as one, wherever in the order of execution that stands."""
    fused: list[Step] = []
    makers: dict[str, int] = {}
    for step in steps:
        made = {name: fused[makers[name]] for name in step.inputs if name in makers}
        before = _before(step, made, target)
        role = None if before is None else _with_constant(before.role, step)
        if before is None or role is None:
            makers[step.outputs[0]] = len(fused)
            fused.append(step)
        else:  # in the layer's place, so that the order stays one of execution
            place = makers[step.outputs[0]] = makers.pop(before.outputs[0])
            fused[place] = replace(before, role=role, outputs=step.outputs, masked=step.masked)
    return fused


def _before(step: Step, steps: dict[str, Step], target: ir.Value) -> Step | None:
    """The step whose only output this one alone reads, if its other operand is a constant."""
    node, receives = step.node, step.role.receives
    if node is None or len(node.inputs) != 2 or len(receives) != 1 or array(node.inputs[1 - receives[0]]) is None:
        return None
    product = node.inputs[receives[0]]
    before = steps.get(product.name or "") if product is not None else None
    alone = product is not None and product is not target and len(product.uses()) == 1
    plain = before is not None and before.node is not None and before.outputs == (before.node.outputs[0].name,)
    return before if alone and plain else None


def _with_constant(layer: Role, step: Step) -> Linear | None:
    """The layer with the constant that this step puts behind it; None if that does not go together."""
    assert step.node is not None
    position = 1 - step.role.receives[0]
    constant, product = array(step.node.inputs[position]), step.node.inputs[1 - position]
    assert constant is not None
    assert product is not None
    if not isinstance(layer, Linear) or not _fits(constant, product, layer):
        return None
    if layer.mixes and isinstance(step.role, Merge):
        return _biased(layer, constant, step.role, position)
    if isinstance(layer.map, SumMap) and isinstance(step.role, Linear) and step.role.diagonal is not None:
        return _weighted(layer, step.role.diagonal)
    return None


def _fits(constant: np.ndarray, product: ir.Value, layer: Linear) -> bool:
    """Whether the constant broadcasts to the product as it is."""
    if product.shape is None:  # along the last axis it does, if the layer's weight says so
        maker = product.producer()
        weight = array(maker.inputs[1 - layer.data]) if maker is not None and layer.data in (0, 1) else None
        return weight is not None and layer.data == 0 and constant.shape == weight.shape[-1:]
    sizes = tuple(product.shape)
    return constant.ndim <= len(sizes) and all(n in (1, d) for n, d in zip(constant.shape[::-1], sizes[::-1]))


def _biased(layer: Linear, constant: np.ndarray, merge: Merge, position: int) -> Linear | None:
    """A constant added to a layer's output is its bias."""
    if merge.signs[1 - position] * merge.scale != 1:
        return None
    sign = merge.signs[position] * merge.scale

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        w, b = layer.parameters(xp, operands)
        bias = xp.asarray(sign * constant)
        return w, bias if b is None else b + bias

    return replace(layer, parameters=parameters, nonnegative=False)


def _weighted(layer: Linear, gain: np.ndarray) -> Linear:
    """A sum whose elements are scaled by constants is a sum with these weights: an average has one denominator."""

    def parameters(xp: Backend, operands: Operands) -> tuple[Array, Array | None]:
        w, _ = layer.parameters(xp, operands)
        return xp.asarray(gain) * w, None

    return replace(layer, parameters=parameters, nonnegative=layer.nonnegative and bool((gain >= 0).all()))
