"""Groups of elementwise nodes that make one tensor of another one and of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...errors import InvalidModelError
from ..evaluation import evaluate_node
from ..graph import HINT, array, attributes, dims
from .identifying import PROBES

LINEAR = ("Add", "And", "Cast", "Div", "Identity", "Mul", "Neg", "Not", "Or", "Sub")
CURVED = (
    "Abs", "Clip", "Elu", "Equal", "Erf", "Exp", "Greater", "GreaterOrEqual", "HardSigmoid", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Pow", "Reciprocal", "Relu", "Sigmoid", "Sign", "Softplus", "Sqrt", "Tanh",
    "Where",
)  # fmt: skip
_READING = "onnx_lrp.reading"
LARGEST_REGION = 16  # nodes of one region


@dataclass(frozen=True)
class Elementwise:
    """Elementwise nodes, in the order of execution, that make one tensor of another one and of numbers."""

    source: ir.Value
    nodes: tuple[ir.Node, ...]

    def run(self, opset: int) -> np.ndarray | None:
        """What it makes of the probes; None if that cannot be said."""
        values: dict[ir.Value | None, np.ndarray | None] = {self.source: PROBES}
        try:
            for node in self.nodes:
                inputs = [values[v] if v in values else _number(v) for v in node.inputs]
                values[node.outputs[0]] = _double(evaluate_node(node, inputs, opset)[0])
        except InvalidModelError:
            return None
        return values[self.nodes[-1].outputs[0]]

    @property
    def numbers(self) -> list[float]:
        """The constants in it."""
        known = [_number(v) for node in self.nodes for v in node.inputs if v is not None]
        return [float(a) for a in known if a is not None and a.dtype.kind == "f"]

    @property
    def is_curved(self) -> bool:
        """Whether it is more than a linear map."""
        return any(node.op_type in CURVED for node in self.nodes)

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
            (node.op_type, sorted((k, str(v)) for k, v in attributes(node).items()) if node.attributes else [],
             [f"#{number[v]}" if v in number else _text(v) for v in node.inputs])
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
        filled = [v for node in self.nodes for v in node.inputs if _fill(v) is not None]
        return numbers and all(_shape_of(v) in {self.source, *(node.outputs[0] for node in self.nodes)} for v in filled)


def elementwise(node: ir.Node) -> bool:
    """Whether a node may be part of a region: none that a canonizer has said something of."""
    known = node.domain in ("", "ai.onnx") and node.op_type in (*LINEAR, *CURVED)
    return known and HINT not in node.meta and len(node.outputs) == 1


def regions(end: ir.Node, place: dict[ir.Node, int]) -> Iterator[Elementwise]:
    """Ever larger regions that end in this node."""
    inside = [end]
    while len(inside) <= LARGEST_REGION:
        made = {node.outputs[0] for node in inside}
        open_ = [v for v in _variables(inside) if v not in made]
        if len(open_) == 1:
            yield Elementwise(open_[0], tuple(sorted(inside, key=place.__getitem__)))
        makers = [node for v in open_ if (node := v.producer()) is not None]
        last = max(makers, key=lambda node: place.get(node, -1), default=None)
        if last is None or last not in place or not elementwise(last):
            return
        inside.append(last)


def _variables(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """Inputs that are no numbers, each once."""
    found = [v for node in nodes for v in node.inputs if v is not None and _number(v) is None]
    return list(dict.fromkeys(found))


def _number(value: ir.Value | None) -> np.ndarray | None:
    """The one number that a constant holds, as a scalar."""
    return _one_number(_fill(value)) if value is None or value.const_value is None else _read(value).number


@dataclass(frozen=True)
class Reading:
    """The one number that a constant holds, and how it is written; looked up once for each constant."""

    constant: ir.TensorProtocol
    number: np.ndarray | None
    text: str


def _read(value: ir.Value) -> Reading:
    assert value.const_value is not None
    known = value.meta.get(_READING)
    if not isinstance(known, Reading) or known.constant is not value.const_value:
        number = _one_number(array(value))
        known = value.meta[_READING] = Reading(value.const_value, number, str(number))
    return known


def _text(value: ir.Value | None) -> str:
    return str(_number(value)) if value is None or value.const_value is None else _read(value).text


def _one_number(data: np.ndarray | None) -> np.ndarray | None:
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


def _shape_of(filled: ir.Value | None) -> ir.Value | None:
    """The tensor after whose shape another one was filled."""
    maker = filled.producer() if filled is not None else None
    shape = maker.inputs[-1] if maker is not None else None
    reader = shape.producer() if shape is not None else None
    return reader.inputs[0] if reader is not None and reader.op_type == "Shape" and not reader.attributes else None


def _double(a: np.ndarray | np.generic) -> np.ndarray:
    data = np.asarray(a)
    return data.astype(np.float64) if data.dtype.kind == "f" else data
