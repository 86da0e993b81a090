"""What is known of the least and the largest value of the tensors next to the inputs: for z^B.

An input of bytes has its type's bounds, and so has what a QuantizeLinear makes; of others somebody may say them. What
shifts, scales or moves an input shifts, scales or moves its bounds: of x / 255 for bytes they are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..backends.numpy import NumpyBackend
from ..errors import MISFITS
from ..model.evaluation import Known
from ..model.graph import array, dims, is_fixed
from ..model.validation import Verdict
from ..ops import Activation, Linear, Merge, Role, Route
from ..ops.quantized import RANGES
from ..rules import Bound

BYTES = ("uint8", "int8")
UNMOVED = ("Identity", "Cast", "Dropout")
Ends = tuple[np.ndarray, np.ndarray]


def known_bounds(verdict: Verdict, given: tuple[Bound, Bound] | None) -> dict[ir.Value, Ends]:
    """Bounds by tensor, in shapes that broadcast to it; ``given`` are those of the inputs.

    Tensors behind anything but a shift, a scale, a move or a quantisation have none.
    """
    found: dict[ir.Value, Ends] = {}
    for node, role in verdict.roles.items():
        for value in node.inputs:
            if value is not None and value.producer() is None and value not in found:
                found |= _of_input(value, given)
        for output, bounds in zip(node.outputs, [_behind(node, role, found)]):
            if bounds is not None:
                found[output] = bounds
    return found


def _of_input(value: ir.Value, given: tuple[Bound, Bound] | None) -> dict[ir.Value, Ends]:
    """An input's own: those that were given, or its type's."""
    shape = dims(value)
    if value.const_value is not None or not value.is_graph_input() or is_fixed(value) or shape is None:
        return {}
    if given is None:
        kind = value.dtype.numpy().name if value.dtype in (ir.DataType.UINT8, ir.DataType.INT8) else ""
        given = RANGES[kind] if kind in BYTES else None
    if given is None:
        return {}
    low, high = (_aligned(bound, shape) for bound in given)
    return {} if low is None or high is None else {value: (low, high)}


def _aligned(bound: Bound, shape: list[int | str | None]) -> np.ndarray | None:
    """One number, or one per channel, with as many axes as the input; None if it has not as many channels."""
    given = np.asarray(bound, np.float64)
    if given.size == 1:
        return given.reshape((1,) * len(shape))
    if given.ndim != 1:
        return given.reshape((1,) * (len(shape) - given.ndim) + given.shape)
    fits = [axis for axis in (1, len(shape) - 1) if 0 < axis < len(shape) and shape[axis] in (given.size, None)]
    return given.reshape([-1 if axis == fits[0] else 1 for axis in range(len(shape))]) if fits else None


def _behind(node: ir.Node, role: Role, found: Mapping[ir.Value, Ends]) -> Ends | None:
    """Bounds of a node's output."""
    if node.op_type == "QuantizeLinear":
        return _of_integers(node)
    data = [node.inputs[i] for i in role.receives]
    known = [found[value] for value in data if value is not None and value in found]
    if len(known) != 1 or len(data) != 1:
        return None
    if isinstance(role, Route):
        return _moved(node, role, known[0])
    scales = isinstance(role, Merge) or (isinstance(role, Linear) and role.keeps_shape and not role.held)
    passes = isinstance(role, Activation) and (node.op_type in UNMOVED or node.op_type == "DequantizeLinear")
    return _computed(node, role, known[0]) if scales or passes else None


def _of_integers(node: ir.Node) -> Ends | None:
    """Of what is quantised: the integers of its type."""
    zero = array(node.inputs[2]) if len(node.inputs) > 2 else np.zeros((), np.uint8)
    shape = dims(node.outputs[0]) or dims(node.inputs[0]) if node.inputs[0] is not None else None
    if zero is None or zero.dtype.name not in RANGES or shape is None:
        return None
    low, high = (np.full((1,) * len(shape), float(end)) for end in RANGES[zero.dtype.name])
    return low, high


def _moved(node: ir.Node, role: Route, bounds: Ends) -> Ends | None:
    """Of elements that change place: per channel no longer, and with the zeros of a border."""
    shape = dims(node.outputs[0])
    if node.op_type in UNMOVED:
        return bounds
    if shape is None or not role.copies:
        return None
    border = (2,) if node.op_type == "Pad" else ()
    beside = [value for i in (*role.moves, *border) if i < len(node.inputs) and (value := node.inputs[i]) is not None]
    constants = [a for value in beside if (a := array(value)) is not None]
    if node.op_type == "Pad" and not constants:
        constants = [np.zeros(1)]
    least = min([float(bounds[0].min()), *(float(a.min()) for a in constants)])
    most = max([float(bounds[1].max()), *(float(a.max()) for a in constants)])
    return np.full((1,) * len(shape), least), np.full((1,) * len(shape), most)


def _computed(node: ir.Node, role: Role, bounds: Ends) -> Ends | None:
    """Of what is computed element by element, along a line: the values at either end."""
    position, constants = role.receives[0], [array(value) for value in node.inputs]
    ends = []
    for bound in bounds:
        arrays = [bound if i == position else constant for i, constant in enumerate(constants)]
        try:
            ends.append(np.asarray(role.forward(NumpyBackend(), Known(arrays))[0], np.float64))
        except MISFITS:
            return None
    low, high = np.minimum(*ends), np.maximum(*ends)
    return (low, high) if np.isfinite(low).all() and np.isfinite(high).all() else None
