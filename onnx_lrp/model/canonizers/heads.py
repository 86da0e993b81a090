"""Cut what stands behind the logit: the explanation starts at the value before it.

A head is known by what it computes, wherever it ends: an activation of probabilities (or its pieces), what scales,
rounds or compares these, and the label. What picks or joins probabilities does the same to the logits instead, and
1 - σ(z) is the probability of the logit -z.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from ...errors import MISFITS, malformed
from ...ops.columns import TABLES
from ..graph import array, label
from .classifiers import CLASSIFIERS
from .fused import MICROSOFT
from .pieces import behind_pieces, normalises

QUANTIZED = ("QLinearSoftmax", "QLinearSigmoid")
CURVES = ("Softmax", "LogSoftmax", "Sigmoid", "Exp", "Tanh", "Softplus", "Normalizer")
NAMING = {"ArgMax": 0, "ZipMap": 0, "LabelEncoder": 0, "ArrayFeatureExtractor": 1}  # which input becomes a label
TAILS = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout",
         "QuantizeLinear", "DequantizeLinear")  # fmt: skip
COMPARING = ("Round", "Floor", "Ceil", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Clip")
FALLING = {"Less": 0, "LessOrEqual": 0, "Greater": 1, "GreaterOrEqual": 1}  # the operand that makes it less true
SCALING = ("Mul", "Div", "Add", "Sub")
ALWAYS = {"Softmax", "LogSoftmax", "Normalizer"}  # heads whatever anybody vouches for
DEEPEST = 50  # nodes between an output and its logit: a head is short
PICKING = ("Gather", "Slice", "Split", "Concat", *TAILS)  # what may be done to logits instead


def expose(model: ir.Model) -> None:
    """Give what a quantised head reads, integers, as the numbers that they stand for, too: the logits."""
    for node in list(model.graph):
        if node.op_type in QUANTIZED and node.domain == MICROSOFT:
            logits = ir.node(
                "DequantizeLinear", [v for v in node.inputs[:3] if v is not None], name=f"{label(node)}/logits"
            )
            value, source = logits.outputs[0], node.inputs[0]
            value.name, value.type = f"{node.outputs[0].name}/logits", ir.TensorType(ir.DataType.FLOAT)
            value.shape = source.shape if source is not None else None
            model.graph.insert_before(node, logits)


def cut(model: ir.Model, value: ir.Value) -> None:
    """Make a tensor the model's only output."""
    model.graph.outputs[:] = [value]
    passes.RemoveUnusedNodesPass()(model)


class Heads:
    """Finds the logit of a tensor, for which nodes may have to be added to the model.

    ``passed`` are the nodes of the heads on the way, the last one first; ``made`` are the new ones. ``probability`` is
    the name of what is made of the logit, if it is something.

    Args:
        model: the model.
        vouched: activations that relevance passes on the user's word, so that they are no heads.
    """

    def __init__(self, model: ir.Model, vouched: Collection[str] = ()) -> None:
        self.model, self.vouched = model, set(vouched) - ALWAYS
        self.passed: list[ir.Node] = []
        self.made: list[ir.Node] = []
        self.probability: str | None = None
        self._depth = 0
        self._found: dict[tuple[ir.Value, bool], ir.Value | None] = {}

    @property
    def notes(self) -> list[str]:
        """What was cut."""
        return [
            f"{node.op_type} {label(node)} is a head: cut, the explanation starts before it" for node in self.passed
        ]

    def logit(self, value: ir.Value) -> ir.Value:
        """The tensor before the heads; the tensor itself if it stands behind none."""
        while (node := _behind_tails(value)) is not None and node.op_type in NAMING:
            inner = node.inputs[NAMING[node.op_type]]
            if inner is None:
                break
            self.passed.append(node)
            value = inner
        logit = self._before(value, False)
        self.probability = value.name if logit is not None else None
        return logit or value

    def _before(self, value: ir.Value, whole: bool) -> ir.Value | None:
        """The logit of a probability, None if it is none; ``whole`` keeps its shape, for what picks or joins."""
        while not whole and (node := value.producer()) is not None and node.op_type in TAILS:
            if node.inputs[0] is None:
                return None
            value = node.inputs[0]
        key = (value, whole)
        if key not in self._found:
            self._found[key], self._depth = None, self._depth + 1
            self._found[key] = self._searched(value, whole) if self._depth <= DEEPEST else None
            self._depth -= 1
        return self._found[key]

    def _searched(self, value: ir.Value, whole: bool) -> ir.Value | None:
        node = value.producer()
        if node is None:
            return None
        pieces = behind_pieces(value) if "Sigmoid" not in self.vouched else None
        if node.op_type in self.vouched - {"Sigmoid"}:  # which, as one node, always was one
            return None
        if pieces is not None or node.op_type in CURVES:
            return self._inner(node, pieces or node.inputs[0], whole)
        if node.op_type in QUANTIZED:
            return self._inner(node, _named(node.inputs[0], f"{label(node)}/logits"), whole)
        if node.op_type in CLASSIFIERS and node.domain == TABLES:
            return self._classified(node)
        if node.op_type in PICKING:
            return self._picked(node, value)
        return self._scaled(node, whole) if node.op_type in (*SCALING, *COMPARING) else None

    def _inner(self, node: ir.Node, value: ir.Value | None, whole: bool) -> ir.Value | None:
        """What an activation reads, or what is before that."""
        self._pass(node)
        return None if value is None else self._before(value, whole) or value

    def _classified(self, node: ir.Node) -> ir.Value | None:
        """The scores before the classifier's own activation."""
        try:
            nodes = CLASSIFIERS[node.op_type](self.model, node)
        except MISFITS as error:
            raise malformed(label(node), node.op_type, error) from None
        if not nodes:
            return None
        self._pass(node)
        for new in nodes:
            self._add(new, node)
        return nodes[-1].outputs[0]

    def _picked(self, node: ir.Node, value: ir.Value) -> ir.Value | None:
        """The same of the logits."""
        data = [v for i, v in enumerate(node.inputs) if v is not None and (node.op_type == "Concat" or i == 0)]
        logits = [self._before(v, True) for v in data]
        if not logits or None in logits:
            return None
        inputs = [*logits, *list(node.inputs)[len(data) :]]
        given = dict(node.attributes)
        new = ir.node(node.op_type, inputs, given, num_outputs=len(node.outputs), name=f"{label(node)}/logits")
        self._add(new, node)
        return new.outputs[list(node.outputs).index(value)]

    def _scaled(self, node: ir.Node, whole: bool) -> ir.Value | None:
        """Numbers that rise with a probability have its logit; those that fall, its negative."""
        if node.op_type == "Div" and normalises(node):
            top = node.inputs[0]
            return self._inner(node, top, whole) if top is not None and self._before(top, whole) is not None else None
        read = [(i, v) for i, v in enumerate(node.inputs) if v is not None and array(v) is None]
        if len(read) != 1 or (node.op_type == "Div" and read[0][0] == 1):
            return None
        (place, value), constants = read[0], [a for a in map(array, node.inputs) if a is not None]
        if self._before(value, whole) is None:
            return None
        falls = (node.op_type == "Sub" and place == 1) or place == FALLING.get(node.op_type)
        if node.op_type in ("Mul", "Div"):
            signs = {float(s) for a in constants for s in np.sign(a).reshape(-1)}
            if len(signs) != 1 or 0 in signs:
                return None
            falls = -1 in signs
        return self._negated(node, value, whole) if falls else self._inner(node, value, whole)

    def _negated(self, node: ir.Node, value: ir.Value, whole: bool) -> ir.Value | None:
        """-z, of 1 - σ(z) and its like; of several classes, the complement of one is no function of its logit."""
        maker = _behind_tails(value)
        if (
            maker is None
            or maker.op_type in ("Softmax", "LogSoftmax", "Normalizer")
            or behind_pieces(value) is not None
        ):
            return None
        logit = self._before(value, whole)
        new = ir.node("Neg", [logit], name=f"{label(node)}/logits")
        self._add(new, node)
        return new.outputs[0]

    def _pass(self, node: ir.Node) -> None:
        if node not in self.passed:
            self.passed.append(node)

    def _add(self, new: ir.Node, like: ir.Node) -> None:
        for i, value in enumerate(new.outputs):
            name = like.outputs[min(i, len(like.outputs) - 1)].name
            value.name = value.name or f"{name}/logits"
            value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        self.model.graph.append(new)
        self.made.append(new)


def _named(value: ir.Value | None, name: str) -> ir.Value | None:
    """What a node of this name makes of a tensor."""
    return None if value is None else next((use.node.outputs[0] for use in value.uses() if use.node.name == name), None)


def _behind_tails(value: ir.Value) -> ir.Node | None:
    """What made a tensor, but for nodes that only rename axes."""
    node = value.producer()
    while node is not None and node.op_type in TAILS and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node
