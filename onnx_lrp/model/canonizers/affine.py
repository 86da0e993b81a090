"""Find the constant scales and shifts per channel that stand behind a linear layer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from ..graph import array, attributes, dims

RENAMING = ("Identity", "Cast", "Dropout")
RESHAPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True)
class Affine:
    """y = scale · x + shift per channel, and the nodes that do it, first to last."""

    scale: np.ndarray
    shift: np.ndarray
    merged: list[ir.Node] = field(default_factory=list)

    @property
    def scales(self) -> bool:
        """Whether it changes the weight, too."""
        return not bool((self.scale == 1).all())

    def then(self, node: ir.Node, scale: np.ndarray, shift: np.ndarray) -> Affine | None:
        """The two, one behind the other; None if that is not finite, so that no layer can take it."""
        scale, shift = scale * self.scale, scale * self.shift + shift
        finite = bool(np.isfinite(scale).all() and np.isfinite(shift).all())
        return Affine(scale, shift, [*self.merged, node]) if finite else None


@dataclass(frozen=True)
class Channel:
    """Where a layer's output channels stand in a tensor: an axis counted from the end, and how many."""

    axis: int
    count: int
    rank: int | None


def after_linear(node: ir.Node) -> Affine | None:
    """What follows a linear layer, as far as it can be merged into it; None if ``node`` is no such layer."""
    channel = _output_channel(node)
    if channel is None:
        return None
    affine = Affine(np.ones(channel.count), np.zeros(channel.count))
    value = node.outputs[0]
    while (follower := _only_consumer(value)) is not None:
        moved = _moved(follower, channel)
        if moved is None:
            longer = _longer(affine, follower, value, channel)
            if longer is None:
                break
            affine = longer
        channel, value = moved or channel, follower.outputs[0]
    return affine


def _longer(affine: Affine, node: ir.Node, value: ir.Value, channel: Channel) -> Affine | None:
    """With one more node behind it, if that can be merged."""
    step = _affine(node, value, channel)
    return None if step is None else affine.then(node, *step)


def _output_channel(node: ir.Node) -> Channel | None:
    """The output channels of a layer with a constant weight as its second input."""
    w = array(node.inputs[1]) if len(node.inputs) > 1 else None
    if w is None or node.domain not in ("", "ai.onnx") or array(node.inputs[0]) is not None:
        return None
    given = attributes(node)
    if len(node.inputs) > 2 and node.inputs[2] is not None and array(node.inputs[2]) is None:
        return None
    if node.op_type in ("Conv", "ConvTranspose") and w.ndim >= 3:
        count = w.shape[0] if node.op_type == "Conv" else w.shape[1] * given.get("group", 1)
        return Channel(1 - w.ndim, count, w.ndim)
    if node.op_type == "Gemm" and w.ndim == 2:
        return Channel(-1, w.shape[0 if given.get("transB", 0) else 1], 2)
    if node.op_type == "MatMul" and w.ndim >= 2:
        shape = node.inputs[0].shape if node.inputs[0] is not None else None
        if shape is None or len(shape) == 1:  # of a vector, the product has one axis less
            return Channel(-1, w.shape[-1], None if shape is None else w.ndim - 1)
        return Channel(-1, w.shape[-1], max(len(shape), w.ndim))
    return None


def _only_consumer(value: ir.Value) -> ir.Node | None:
    uses = value.uses()
    return next(iter(uses)).node if len(uses) == 1 and not value.is_graph_output() else None


def _moved(node: ir.Node, channel: Channel) -> Channel | None:
    """Where the channels stand behind a node that only moves them; None for any other node."""
    if node.op_type in RENAMING:
        return channel
    if node.op_type == "Transpose" and channel.rank is not None:
        perm = list(attributes(node).get("perm") or range(channel.rank)[::-1])
        if sorted(perm) != list(range(channel.rank)):
            return None  # malformed: whoever runs it says so
        return Channel(perm.index(channel.axis + channel.rank) - channel.rank, channel.count, channel.rank)
    if node.op_type in RESHAPING and node.inputs[0] is not None:
        return _reshaped(dims(node.inputs[0]), dims(node.outputs[0]), channel)
    return None


def _reshaped(
    before: list[int | str | None] | None, after: list[int | str | None] | None, channel: Channel
) -> Channel | None:
    """The axis of the new shape with as many channels and as many elements behind each."""
    if before is None or after is None:
        return None
    tail = before[len(before) + channel.axis + 1 :]
    for axis in range(len(after) - 1, -1, -1):
        behind = after[axis + 1 :]
        if not all(isinstance(d, int) for d in [*tail, *behind]):
            return None
        if after[axis] == channel.count and math.prod(behind) == math.prod(tail):  # type: ignore[arg-type]
            return Channel(axis - len(after), channel.count, len(after))
    return None


def _affine(node: ir.Node, value: ir.Value, channel: Channel) -> tuple[np.ndarray, np.ndarray] | None:
    """Scale and shift per channel of one node; None if it is not of that kind."""
    if node.op_type == "BatchNormalization":
        return _batch_norm(node, channel)
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2 or node.inputs[0] is node.inputs[1]:
        return None
    position = 1 if node.inputs[0] is value else 0
    constant = _per_channel(array(node.inputs[position]), channel)
    divides = node.op_type == "Div"
    if constant is None or (divides and (position == 0 or not constant.all())):
        return None
    one, zero = np.ones(channel.count), np.zeros(channel.count)
    if node.op_type == "Sub":
        return (one, -constant) if position == 1 else (-one, constant)
    return {"Add": (one, constant), "Mul": (constant, zero)}.get(node.op_type) or (1 / constant, zero)


def _batch_norm(node: ir.Node, channel: Channel) -> tuple[np.ndarray, np.ndarray] | None:
    given = attributes(node)
    values = [array(value) for value in node.inputs[1:5]]
    at_channels = channel.rank is not None and channel.axis + channel.rank == 1
    if any(v is None for v in values) or not at_channels or given.get("training_mode") or not given.get("spatial", 1):
        return None
    gain, shift, mean, variance = (np.asarray(v, np.float64) for v in values)
    if any(v.shape != (channel.count,) for v in (gain, shift, mean, variance)):
        return None  # malformed: whoever runs it says so
    scale = gain / np.sqrt(variance + given.get("epsilon", 1e-5))
    return scale, shift - mean * scale


def _per_channel(constant: np.ndarray | None, channel: Channel) -> np.ndarray | None:
    """A constant that varies along the channels only, as a vector."""
    if constant is None or (channel.rank is not None and constant.ndim > channel.rank):
        return None
    aligned = constant.reshape((1,) * max(-channel.axis - constant.ndim, 0) + constant.shape)
    size = aligned.shape[channel.axis]
    if aligned.size != size or size not in (1, channel.count) or (channel.rank is None and constant.ndim > 2):
        return None
    return np.broadcast_to(aligned.reshape(-1), channel.count).astype(np.float64)
