"""A border of zeros that a Pad node lays is the convolution's own: one function, one explanation.

Rules that give relevance to zeros, too (flat, w², z^B), would share it with the border that a node lays, though not
with the border that the convolution lays itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from ..graph import array, attributes, label

_MOVING = ("Identity", "Cast", "Transpose")


@dataclass(frozen=True)
class Border:
    """How many zeros stand before and behind each axis of a tensor."""

    before: list[int]
    after: list[int]

    def permuted(self, perm: list[int] | None) -> Border | None:
        """Behind a Transpose; None if that does not fit."""
        order = list(range(len(self.before)))[::-1] if perm is None else list(perm)
        if sorted(order) != list(range(len(order))) or len(order) != len(self.before):
            return None
        return Border([self.before[i] for i in order], [self.after[i] for i in order])


class MergePads(InPlacePass):
    """Merge zero padding into the convolution behind it, also through Identity, Cast and Transpose."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def call(self, model: ir.Model) -> PassResult:
        """Look at what is before every convolution."""
        for node in list(model.graph):
            if node.op_type == "Conv" and node.domain in ("", "ai.onnx") and node.inputs[0] is not None:
                self._merge(node)
        return PassResult(model, bool(self.notes))

    def _merge(self, conv: ir.Node) -> None:
        chain = _chain(conv)
        border = _border(chain[0]) if chain else None
        for mover in chain[1:]:
            if border is not None and mover.op_type == "Transpose":
                border = border.permuted(attributes(mover).get("perm"))
        pads = None if border is None else _pads(conv, border)
        if pads is None:
            return
        conv.attributes["pads"] = ir.AttrInt64s("pads", pads)
        conv.attributes.pop("auto_pad", None)
        pad, *movers = chain
        for mover in movers:  # what they make has other sizes than in the source
            value = mover.outputs[0]
            value.name, value.shape = f"{value.name}/unpadded", None
        (movers[0] if movers else conv).replace_input_with(0, pad.inputs[0])
        self.notes.append(f"Pad {label(pad)} merged into Conv {label(conv)}")


def _chain(conv: ir.Node) -> list[ir.Node]:
    """The Pad before a convolution and what stands between, first to last; empty if there is none."""
    chain: list[ir.Node] = []
    value = conv.inputs[0]
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == "Pad":
            return [node, *chain]
        if node.op_type not in _MOVING or len(value.uses()) > 1 or value.is_graph_output():
            break
        chain.insert(0, node)
        value = node.inputs[0]
    return []


def _border(pad: ir.Node) -> Border | None:
    """What a Pad lays, if it lays zeros, and how many is known."""
    given = attributes(pad)
    inputs = [*pad.inputs, None, None, None][1:4]
    arrays = [array(value) for value in inputs]
    if given.get("mode", "constant") != "constant" or any(v is not None and a is None for v, a in zip(inputs, arrays)):
        return None
    widths, fill, axes = arrays
    counts = [int(n) for n in (given.get("pads", ()) if widths is None else widths.reshape(-1))]
    if given.get("value", 0.0) != 0 or (fill is not None and fill.any()) or min(counts, default=-1) < 0:
        return None
    return _on_axes(pad, counts, None if axes is None else [int(a) for a in axes.reshape(-1)])


def _on_axes(pad: ir.Node, counts: list[int], axes: list[int] | None) -> Border | None:
    """Counts for some axes, as counts for all."""
    half = len(counts) // 2
    if axes is None:
        return Border(counts[:half], counts[half:])
    shape = pad.inputs[0].shape if pad.inputs[0] is not None else None
    if shape is None or len(axes) != half or not all(-len(shape) <= a < len(shape) for a in axes):
        return None
    border = Border([0] * len(shape), [0] * len(shape))
    for axis, before, after in zip(axes, counts[:half], counts[half:]):
        border.before[axis], border.after[axis] = before, after
    return border


def _pads(conv: ir.Node, border: Border) -> list[int] | None:
    """The convolution's pads and this border; None if the border is not on its spatial axes."""
    given, weight = attributes(conv), conv.inputs[1]
    rank = len(border.before) - 2
    own = list(given.get("pads") or [0] * (2 * rank))
    fits = weight is not None and weight.shape is not None and len(weight.shape) == rank + 2 and len(own) == 2 * rank
    explicit = given.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    if not fits or not explicit or any(border.before[:2]) or any(border.after[:2]):
        return None
    if given.get("auto_pad") == "VALID":
        own = [0] * (2 * rank)
    return [a + b for a, b in zip(own, [*border.before[2:], *border.after[2:]])]
