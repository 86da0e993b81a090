"""Take an activation that an exporter wrote as several nodes for the one node that it is.

What a group of elementwise nodes computes tells what it is, however it was written: it is run on numbers, in float64,
and compared with the activations that :mod:`onnx_lrp.ops` knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes import common as passes

from ...errors import InvalidModelError
from ...ops import smooth
from ..evaluation import evaluate
from ..graph import HINT, WRITTEN, array, attributes, dims, label
from .expanding import Builder
from .identifying import PROBES, Activation, identify

LINEAR = ("Add", "And", "Cast", "Div", "Identity", "Mul", "Neg", "Not", "Or", "Sub")
CURVED = (
    "Abs", "Clip", "Elu", "Equal", "Erf", "Exp", "Greater", "GreaterOrEqual", "HardSigmoid", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Pow", "Reciprocal", "Relu", "Sigmoid", "Sign", "Softplus", "Sqrt", "Tanh",
    "Where",
)  # fmt: skip
# What these are is plain to see (not so a Clip)
PLAIN = ("Relu", "LeakyRelu", "Identity", "Cast", *(op for op in smooth.TRUSTABLE if op != "Clip"))
LARGEST = 16  # nodes of one activation
MOST = 200  # different regions that are tried: a real model has a few
TRIALS = 4  # regions that end in one node; a longer chain is no activation


@dataclass(frozen=True)
class Region:
    """Elementwise nodes, in the order of execution, that make one tensor of another one and of numbers."""

    source: ir.Value
    nodes: tuple[ir.Node, ...]

    def run(self, opset: int) -> np.ndarray | None:
        """What it makes of the probes; None if that cannot be said."""
        values: dict[ir.Value | None, np.ndarray | None] = {self.source: PROBES}
        try:
            with np.errstate(all="ignore"):
                for node in self.nodes:
                    inputs = [values[v] if v in values else _number(v) for v in node.inputs]
                    values[node.outputs[0]] = _double(evaluate(node, inputs, opset)[0])
        except InvalidModelError:
            return None
        return values[self.nodes[-1].outputs[0]]

    @property
    def numbers(self) -> list[float]:
        """The constants in it."""
        known = [_number(v) for node in self.nodes for v in node.inputs if v is not None]
        return [float(a) for a in known if a is not None and a.dtype.kind == "f"]

    @property
    def half(self) -> bool:
        """Whether its constants are rounded to 16 bits."""
        return self.source.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)

    @property
    def recipe(self) -> str:
        """What is done, the same for all regions that do the same."""
        number: dict[ir.Value | None, int] = {
            value: i for i, value in enumerate([self.source, *(node.outputs[0] for node in self.nodes)])
        }
        steps = [
            (node.op_type, sorted((k, str(v)) for k, v in attributes(node).items()),
             [f"#{number[v]}" if v in number else str(_number(v)) for v in node.inputs])
            for node in self.nodes
        ]  # fmt: skip
        return f"{self.half} {steps}"

    @property
    def keeps_shape(self) -> bool:
        """Whether no constant broadcasts the tensor to another shape."""
        before, after = dims(self.source), dims(self.nodes[-1].outputs[0])
        if before is not None and before == after and None not in before:
            return True
        given = [array(v) for node in self.nodes for v in node.inputs]
        rank = 0 if before is None else len(before)
        numbers = all(a is None or (a.size == 1 and a.ndim <= rank) for a in given)
        return numbers and not any(_fill(v) is not None for node in self.nodes for v in node.inputs)


class NameActivations(InPlacePass):
    """Put one node, ``Gelu`` or ``Relu``, in the place of those that compute it."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.notes: list[str] = []
        self._known: dict[str, Activation | None] = {}  # models repeat their activation many times

    def call(self, model: ir.Model) -> PassResult:
        """From the last node to the first, so that the whole of an activation is met before its parts."""
        place = {node: i for i, node in enumerate(model.graph)}
        for node in reversed(list(model.graph)):
            used = any(value.uses() or value.is_graph_output() for value in node.outputs)
            if used and node.op_type not in PLAIN and _elementwise(node):
                self._name(model, node, place)
        if self.notes:
            passes.RemoveUnusedNodesPass()(model)
        self.notes.reverse()
        return PassResult(model, bool(self.notes))

    def _name(self, model: ir.Model, end: ir.Node, place: dict[ir.Node, int]) -> None:
        curved = (r for r in _regions(end, place) if any(node.op_type in CURVED for node in r.nodes) and r.keeps_shape)
        for region in islice(curved, TRIALS):
            recipe = region.recipe
            if recipe not in self._known:
                if len(self._known) == MOST:
                    return
                self._known[recipe] = self._identified(region)
            activation = self._known[recipe]
            if activation is not None:
                if len(region.nodes) > 1 or end.op_type != "Clip":  # which has its role already
                    self._replace(model, end, region, activation)
                return

    def _identified(self, region: Region) -> Activation | None:
        results = region.run(self.opset)
        fits = results is not None and results.shape == PROBES.shape and results.dtype.kind == "f"
        return identify(results, region.numbers, region.half) if fits and results is not None else None

    def _replace(self, model: ir.Model, end: ir.Node, region: Region, activation: Activation) -> None:
        build = Builder(model, end)
        kinds = list(dict.fromkeys(node.op_type for node in region.nodes))
        written = " and ".join(filter(None, (", ".join(kinds[:-1]), kinds[-1])))
        given: dict[str, Any] = dict(activation.attributes)
        bounds = []
        if activation.op == "Clip" and self.opset >= 11:  # bounds became inputs
            dtype = np.float64 if region.source.dtype is None else region.source.dtype.numpy()
            bounds = [build.constant(np.asarray(given.pop(name), dtype), name) for name in ("min", "max")]
        result = build.node(activation.op, [region.source, *bounds], **given)
        build.made[-1].meta[WRITTEN] = written
        self.notes.append(f"{written} {label(end)} {'are together' if kinds[1:] else 'is'} {activation}")
        build.replace([result])


def _elementwise(node: ir.Node) -> bool:
    known = node.domain in ("", "ai.onnx") and node.op_type in (*LINEAR, *CURVED)
    return known and HINT not in node.meta and len(node.outputs) == 1


def _regions(end: ir.Node, place: dict[ir.Node, int]) -> Iterator[Region]:
    """Ever larger regions that end in this node."""
    inside = [end]
    while len(inside) <= LARGEST:
        made = {node.outputs[0] for node in inside}
        open_ = [v for v in _variables(inside) if v not in made]
        if len(open_) == 1:
            yield Region(open_[0], tuple(sorted(inside, key=place.__getitem__)))
        makers = [node for v in open_ if (node := v.producer()) is not None]
        last = max(makers, key=lambda node: place.get(node, -1), default=None)
        if last is None or last not in place or not _elementwise(last):
            return
        inside.append(last)


def _variables(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """Inputs that are no numbers, each once."""
    found = [v for node in nodes for v in node.inputs if v is not None and _number(v) is None]
    return list(dict.fromkeys(found))


def _number(value: ir.Value | None) -> np.ndarray | None:
    """The one number that a constant holds, as a scalar."""
    data = array(value)
    if data is None:
        data = _fill(value)
    if data is None or data.size == 0 or not (data == data.flat[0]).all():
        return None
    return _double(data.reshape(-1)[0])


def _fill(value: ir.Value | None) -> np.ndarray | None:
    """What a tensor is filled with whose shape only a run knows."""
    node = value.producer() if value is not None else None
    if node is None:
        return None
    if node.op_type == "Expand":
        return array(node.inputs[0])
    if node.op_type == "ConstantOfShape":
        given = attributes(node).get("value")
        return np.zeros(1, np.float32) if given is None else np.asarray(given.numpy())
    return None


def _double(a: np.ndarray | np.generic) -> np.ndarray:
    data = np.asarray(a)
    return data.astype(np.float64) if data.dtype.kind == "f" else data
