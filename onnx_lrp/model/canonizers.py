"""Canonizers: rewrite the graph, exactly, until every node has one of the four roles (passes over :mod:`onnx_ir`).

Each pass notes what it did in the user's words; the names of the user's nodes stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes import common as passes

from ..errors import InvalidModelError, TargetError
from ..text import clean
from .affine import Affine, after_linear
from .evaluation import evaluable, evaluate
from .graph import FLOATS, array, attributes, label

HEADS = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "ZipMap", "Normalizer", "ArrayFeatureExtractor")
TAILS = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Dropout")
MAX_NODES = 200_000


def inline(model: ir.Model, source: str) -> None:
    """Replace calls of the model's own functions by their bodies, and Constant nodes by initializers.

    Raises:
        InvalidModelError: functions that call themselves, or that would expand to an absurd number of nodes.
    """
    if model.functions:
        sizes: dict[ir.OperatorIdentifier, int] = {}
        for function in _callees_first(model, source):
            sizes[function.identifier()] = sum(sizes.get(node.op_identifier(), 1) for node in function)
        total = sum(sizes.get(node.op_identifier(), 1) for node in model.graph)
        if total > MAX_NODES:
            raise InvalidModelError(f"{source}: its local functions expand to {total} nodes; refused")
        passes.InlinePass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.RemoveInitializersFromInputsPass()(model)


def _callees_first(model: ir.Model, source: str) -> Iterator[ir.Function]:
    """Functions in an order in which each one comes after those it calls, without recursion."""
    waiting = {key: {n.op_identifier() for n in f} & set(model.functions) for key, f in model.functions.items()}
    while waiting:
        ready = [key for key, calls in waiting.items() if not calls & set(waiting)]
        if not ready:
            raise InvalidModelError(f"{source}: a local function calls itself; LRP needs a feed-forward model")
        for key in ready:
            del waiting[key]
            yield model.functions[key]


def cut(model: ir.Model, output: str | None, source: str) -> tuple[ir.Value, list[str]]:
    """Make the logit the model's only output: the tensor before the head, if there is one.

    Args:
        output: name of the output to explain; the first one by default.

    Returns:
        The explained tensor, and notes on the heads that were cut off.

    Raises:
        TargetError: no such output.
    """
    names = [value.name for value in model.graph.outputs]
    if output is not None and output not in names:
        raise TargetError(f"{source}: no output {clean(output)!r}; it has {', '.join(clean(n or '') for n in names)}")
    chosen = value = model.graph.outputs[names.index(output) if output is not None else 0]
    notes: list[str] = []
    while (node := _head_above(value)) is not None:
        notes.append(f"{node.op_type} {label(node)} is a head: cut, the explanation starts before it")
        value = node.inputs[0] or chosen
    model.graph.outputs[:] = [value]
    passes.RemoveUnusedNodesPass()(model)
    return value, notes


def _head_above(value: ir.Value) -> ir.Node | None:
    """The head that ends in this tensor, maybe behind nodes that only rename axes."""
    node = value.producer()
    while node is not None and node.op_type in TAILS and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type in HEADS else None


class FoldConstants(InPlacePass):
    """Evaluate whatever depends on constants or static shapes only, in float64 where it is about floats."""

    def __init__(self, opset: int) -> None:
        self.opset = opset

    def call(self, model: ir.Model) -> PassResult:
        """Fold, in topological order."""
        modified = False
        for node in list(model.graph):
            values = self._inputs(node)
            if values is not None and evaluable(node):
                modified = True
                self._replace(model, node, evaluate(node, values, self.opset))
        return PassResult(model, modified)

    def _inputs(self, node: ir.Node) -> list[np.ndarray | None] | None:
        """The node's inputs if all of them are known."""
        if node.op_type in ("Shape", "Size") and node.inputs[0] is not None and _static(node.inputs[0]):
            return [np.broadcast_to(np.float32(0), node.inputs[0].shape.numpy())]  # type: ignore[union-attr]
        values = [None if value is None else array(value) for value in node.inputs]
        like = node.inputs[1] if node.op_type == "CastLike" else None
        if like is not None and values[1] is None and like.dtype is not None and like.dtype in FLOATS:
            values[1] = np.zeros(())  # all floats are computed in one precision
        known = all(v is not None or given is None for v, given in zip(values, node.inputs))
        return [v if v is None or v.dtype.kind != "f" else v.astype(np.float64) for v in values] if known else None

    @staticmethod
    def _replace(model: ir.Model, node: ir.Node, results: list[np.ndarray]) -> None:
        for value, result in zip(node.outputs, results):
            if value.uses() or value.is_graph_output():
                new = ir.val(f"{value.name}", const_value=ir.tensor(result, name=value.name))
                ir.convenience.replace_all_uses_with(value, new)
                value.name = f"{value.name}/folded"
                model.graph.register_initializer(new)
        model.graph.remove(node, safe=False)


def _static(value: ir.Value) -> bool:
    return value.shape is not None and all(isinstance(d, int) for d in value.shape)


class MergeAffine(InPlacePass):
    """Merge BatchNormalization, and constant scales and shifts per channel, into the linear layer before them.

    Exact: with y = s·(Wx + b) + t the layer becomes W' = sW, b' = sb + t in float64, also when Identity, Cast,
    Transpose, Squeeze, Unsqueeze or Reshape nodes stand between the two.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def call(self, model: ir.Model) -> PassResult:
        """Merge behind every linear layer with a constant weight."""
        for node in list(model.graph):
            affine = after_linear(node)
            if affine is not None and affine.merged:
                MERGE[node.op_type](model, node, affine)
                for gone in affine.merged:
                    last = self._bypass(model, gone)
                    self.notes.append(f"{gone.op_type} {label(gone)} merged into {node.op_type} {label(node)}")
                self._rename_between(node, last)
        return PassResult(model, bool(self.notes))

    @staticmethod
    def _bypass(model: ir.Model, node: ir.Node) -> ir.Value:
        """Take an affine node out; the tensor that it made keeps its name (rules, layers and targets go by it)."""
        kept = next(v for v in node.inputs if v is not None and v.const_value is None)
        output = node.outputs[0]
        name, kept_name = output.name, kept.name
        ir.convenience.replace_all_uses_with(output, kept, replace_graph_outputs=True)
        output.name, kept.name = f"{kept_name}/merged", name
        model.graph.remove(node, safe=True)
        return kept

    @staticmethod
    def _rename_between(linear: ir.Node, last: ir.Value) -> None:
        """What stands between the layer and the end of the merged chain holds other values than in the source."""
        node = last.producer()
        while node is not None and node is not linear:
            value = next(v for v in node.inputs if v is not None and v.const_value is None)
            value.name = f"{value.name}/scaled"
            node = value.producer()


@dataclass(frozen=True)
class Scaled:
    """How a merged weight is made: the tensor of this name in the source, times a gain that broadcasts to it."""

    base: str
    gain: np.ndarray


def scaled_from(value: ir.Value) -> Scaled | None:
    """Where a merged weight comes from."""
    origin = value.meta.get(ORIGIN)
    return origin if isinstance(origin, Scaled) else None


ORIGIN = "onnx_lrp.origin"


def _initializer(model: ir.Model, name: str, data: np.ndarray | ir.LazyTensor) -> ir.Value:
    while name in model.graph.initializers:
        name += "'"
    tensor = ir.tensor(data) if isinstance(data, np.ndarray) else data
    tensor.name = name
    value = ir.val(name, const_value=tensor)
    model.graph.register_initializer(value)
    return value


def _scale_weight(model: ir.Model, node: ir.Node, gain: np.ndarray) -> None:
    """Multiply a layer's weight by a gain, in float64 when it is read, and note where it came from."""
    base = node.inputs[1]
    assert base is not None
    assert base.const_value is not None

    def product() -> ir.TensorProtocol:
        return ir.tensor(np.asarray(array(base)).astype(np.float64) * gain)

    lazy = ir.LazyTensor(product, ir.DataType.DOUBLE, ir.Shape(base.const_value.shape.numpy()))
    value = _initializer(model, f"{label(node)}/weight", lazy)
    value.meta[ORIGIN] = Scaled(base.name or "", gain)
    node.replace_input_with(1, value)


def _constant(node: ir.Node, position: int) -> np.ndarray | None:
    value = array(node.inputs[position]) if position < len(node.inputs) else None
    return None if value is None else value.astype(np.float64)


def _set_bias(model: ir.Model, node: ir.Node, b: np.ndarray) -> None:
    node.resize_inputs(3)
    node.replace_input_with(2, _initializer(model, f"{label(node)}/bias", b))


def _merge_conv(model: ir.Model, node: ir.Node, affine: Affine) -> None:
    w, b = _constant(node, 1), _constant(node, 2)
    assert w is not None
    gain = affine.scale
    if node.op_type == "ConvTranspose":  # (C, O/group, ...): a group's outputs repeat over its inputs
        groups = attributes(node).get("group", 1)
        gain = gain.reshape(groups, 1, -1).repeat(w.shape[0] // groups, 1).reshape(w.shape[:2])
    if affine.scales:
        _scale_weight(model, node, gain.reshape(*gain.shape, *(1,) * (w.ndim - gain.ndim)))
    _set_bias(model, node, affine.shift + (0 if b is None else b * affine.scale))


def _merge_gemm(model: ir.Model, node: ir.Node, affine: Affine) -> None:
    w, b, given = _constant(node, 1), _constant(node, 2), attributes(node)
    assert w is not None
    beta = given.get("beta", 1.0)
    if affine.scales:
        _scale_weight(model, node, affine.scale[:, None] if given.get("transB", 0) else affine.scale)
    _set_bias(model, node, affine.shift + (0 if b is None else beta * b * affine.scale))
    node.attributes["beta"] = ir.AttrFloat32("beta", 1.0)


def _merge_matmul(model: ir.Model, node: ir.Node, affine: Affine) -> None:
    """A MatMul has no bias: an Add right behind it carries it, and the plan takes the two as one layer."""
    w = _constant(node, 1)
    assert w is not None
    if affine.scales:
        _scale_weight(model, node, affine.scale)
    if not affine.shift.any():
        return
    output = node.outputs[0]
    bias = _initializer(model, f"{label(node)}/bias", affine.shift)
    add = ir.node("Add", [output, bias], name=f"{node.name or label(node)}/bias")
    add.outputs[0].name, add.outputs[0].shape, add.outputs[0].type = f"{output.name}/biased", output.shape, output.type
    ir.convenience.replace_all_uses_with(output, add.outputs[0], replace_graph_outputs=True)
    add.replace_input_with(0, output)
    model.graph.insert_after(node, add)


MERGE: dict[str, Callable[[ir.Model, ir.Node, Affine], None]] = {
    "Conv": _merge_conv,
    "ConvTranspose": _merge_conv,
    "Gemm": _merge_gemm,
    "MatMul": _merge_matmul,
}
