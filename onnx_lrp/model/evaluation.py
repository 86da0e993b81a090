"""Values that do not depend on the data: one node at a time, size-guarded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from ..backends.numpy import NumpyBackend
from ..errors import InvalidModelError
from ..ops import Operands, Role, Unsupported, role_of
from ..text import printable
from .dependence import Dependence
from .graph import attributes, label
from .onenode import is_function_of_its_inputs, result, result_size
from .site import NodeSite

MOST_ELEMENTS = 2**27  # elements; far above any weight or shape, far below what would exhaust memory

# Deterministic ops whose output is no larger than their broadcast inputs, or whose size `_size` knows
ELEMENTWISE = {
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Div", "Equal", "Exp", "Floor", "Greater",
    "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow",
    "Reciprocal", "Relu", "Round", "Sign", "Sqrt", "Sub", "Sum", "Where", "Acos", "Asin", "Atan", "Cos", "Cosh",
    "CumSum", "Elu", "Erf", "LeakyRelu", "LogSoftmax", "Sigmoid", "Sin", "Sinh", "Softmax", "Softplus", "Tan", "Tanh",
}  # fmt: skip
SHRINKING = {
    "Concat", "Constant", "Flatten", "Gather", "GatherElements", "GatherND", "NonZero", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterElements", "ScatterND", "Shape", "Size", "Slice",
    "Split", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
GROWING = {"ConstantOfShape", "Expand", "Gemm", "MatMul", "Pad", "Range", "Tile"}
QUANTIZING = {"QuantizeLinear", "DequantizeLinear"}
EVALUABLE = ELEMENTWISE | SHRINKING | GROWING | QUANTIZING

Inputs = Sequence[np.ndarray | None]


def evaluable(node: ir.Node, opset: int) -> bool:
    """Whether :func:`evaluate_node` can compute this node."""
    quantizes = node.op_type in QUANTIZING and node.domain in ("", "ai.onnx")
    return is_function_of_its_inputs(node) and (not quantizes or _quantizer(node, opset) is not None)


def evaluate_node(node: ir.Node, inputs: Inputs, opset: int) -> list[np.ndarray]:
    """The node's outputs for these inputs (None: left out).

    Raises:
        InvalidModelError: the inputs do not fit the op, or the result would be huge.
    """
    familiar = node.op_type in EVALUABLE and node.domain in ("", "ai.onnx")
    size = _size(node.op_type, inputs) if familiar else result_size(node, inputs, opset)
    if size > MOST_ELEMENTS:
        raise InvalidModelError(
            f"node {label(node)} ({printable(node.op_type)}) would make a constant of {size} elements; refused"
        )
    if familiar and node.op_type in QUANTIZING:
        return [_quantized(node, inputs, opset)]
    return result(node, inputs, opset, standard_first=familiar)


@dataclass(frozen=True)
class Known(Operands):
    """Operands that are all known; integers are widened."""

    arrays: Inputs

    def value(self, position: int) -> np.ndarray:
        """The input's array."""
        return np.asarray(self.arrays[position]).astype(np.float64)

    def shape(self, position: int) -> tuple[int, ...]:
        """The input's shape."""
        return self.value(position).shape

    def constant(self, position: int) -> np.ndarray | None:
        """The input's array; None if it is left out."""
        return self.arrays[position] if position < len(self.arrays) else None


def _quantizer(node: ir.Node, opset: int) -> Role | None:
    """What quantises, or the reverse; None if it is not supported."""
    constant = {value: Dependence.CONSTANT for value in node.inputs if value is not None}
    try:
        return role_of(NodeSite(node, constant, opset), attributes(node))
    except Unsupported:
        return None


def _quantized(node: ir.Node, inputs: Inputs, opset: int) -> np.ndarray:
    """In double precision, which the reference implementation does not have here; integers in their own type."""
    role = _quantizer(node, opset)
    assert role is not None, "it is evaluable"
    result = np.asarray(role.forward(NumpyBackend(), Known(inputs))[0])
    if node.op_type == "DequantizeLinear":
        return result
    kind = node.outputs[0].dtype
    zero = inputs[2] if len(inputs) > 2 else None
    return result.astype(zero.dtype if zero is not None else np.uint8 if kind is None else kind.numpy())


def _size(op: str, inputs: Inputs) -> int:
    """An upper bound of the output's elements."""
    shapes = [a.shape for a in inputs if a is not None]
    if op == "Range":
        start, limit, delta = (float(np.asarray(a).reshape(-1)[0]) for a in inputs if a is not None)
        return int(max((limit - start) / delta, 0)) if delta else MOST_ELEMENTS + 1
    if op == "ConstantOfShape":
        return _product(inputs[0])
    if op == "Expand":
        wanted = tuple(max(int(n), 1) for n in np.asarray(inputs[1]).reshape(-1)[:64])
        return math.prod(max(axis) for axis in _aligned([shapes[0], wanted]))
    if op == "Tile":
        return math.prod(shapes[0]) * _product(inputs[1])
    if op == "Pad":
        widths = int(np.abs(np.asarray(inputs[1], np.int64)).max(initial=0)) if len(inputs) > 1 else 0
        return math.prod(n + 2 * widths for n in shapes[0])
    if op in ELEMENTWISE:
        return math.prod(max(axis) for axis in _aligned(shapes))
    if op == "MatMul":
        return _product_size(*shapes[:2])
    if op == "Gemm":  # whatever is transposed
        return int(max(shapes[0]) * max(shapes[1]))
    return sum(map(math.prod, shapes))


def _product_size(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Elements of a matrix product; a vector has no outer axis."""
    stacks = math.prod(max(axis) for axis in _aligned([a[:-2], b[:-2]]))
    return stacks * math.prod(a[-2:-1]) * math.prod(b[-1:] if len(b) > 1 else ())


def _product(a: np.ndarray | None) -> int:
    return math.prod(max(int(n), 0) for n in np.asarray(a).reshape(-1)[:64])


def _aligned(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    rank = max(map(len, shapes), default=0)
    return list(zip(*((1,) * (rank - len(s)) + s for s in shapes)))


def opset_of(model: ir.Model | onnx.ModelProto) -> int:
    """Version of the standard operator set that a model imports."""
    if isinstance(model, onnx.ModelProto):
        return int(max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")))
    return int(model.opset_imports.get("", model.opset_imports.get("ai.onnx", 0)))
