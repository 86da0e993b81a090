"""A graph under construction: nodes, constants, and the shape of every tensor, by the standard's own shape inference.

Axis 0 of every tensor counts samples and is left alone, so that the batch may be declared open or fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_node_outputs

Draw = Callable[..., Any]
Shape = tuple[int, ...]
LARGEST = 400  # elements of a tensor


class MisfitError(Exception):
    """A step cannot be taken here: its tensor has the wrong rank, or would become empty or too large."""


class Sketch:
    """What the steps add nodes to; ``fresh`` are tensors that nothing reads yet, ``made`` are all."""

    def __init__(self, draw: Draw, opset: int, samples: int, fixed: bool) -> None:
        self.draw, self.opset, self.samples, self.fixed = draw, opset, samples, fixed
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        self.limit = LARGEST
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.derived: dict[str, np.ndarray] = {}
        self.shapes: dict[str, Shape] = {}
        self.types: dict[str, int] = {}
        self.curved = False  # whether steps may be taken that are not piecewise linear
        self.inputs: list[str] = []
        self.fresh: list[str] = []
        self.made: list[str] = []

    # What steps draw

    def chance(self, percent: int = 50) -> bool:
        return self.draw(st.integers(0, 99)) < percent

    def pick(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def whole(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def wholes(self, n: int, low: int, high: int) -> list[int]:
        return [self.whole(low, high) for _ in range(n)]

    def shuffled(self, values: Sequence[int]) -> list[int]:
        return list(self.draw(st.permutations(list(values))))

    # What steps add

    def input(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs.append(name)
        self.shapes[name], self.types[name] = (self.samples, *shape), TensorProto.FLOAT
        self.fresh.append(name)
        self.made.append(name)
        return name

    def constant(self, value: Any) -> str:
        """Floats as float32, lists and numbers as int64, other arrays of integers and booleans as they are."""
        a = np.asarray(value, np.int64 if isinstance(value, list) else None)
        a = a.astype(np.float32) if a.dtype.kind == "f" else a
        name = f"c{len(self.shapes)}"
        self.shapes[name], self.constants[name] = a.shape, a
        self.types[name] = helper.np_dtype_to_tensor_dtype(a.dtype)
        return name

    def weight(self, *shape: int, fan_in: int | None = None) -> str:
        """Normally distributed; now and then one that another layer has already."""
        same = [n for n, a in self.constants.items() if a.shape == shape and a.dtype.kind == "f"]
        if same and self.chance(25):
            return self.pick(same)
        return self.constant(self.rng.standard_normal(shape) * math.sqrt(2 / (fan_in or 8)))

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node: the name of its output, or a list of names.

        Raises:
            MisfitError: the result is not worth having.
        """
        names = self._node(kind, *inputs, outputs=outputs, **attributes)
        if any(not self.shapes[name] for name in names):
            raise MisfitError
        self.fresh += names
        self.made += names
        return names if outputs > 1 else names[0]

    def hidden(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node as :meth:`op` adds it, but its outputs are for its own step only: integers, or other axes in front.

        Raises:
            MisfitError: the result is not worth having.
        """
        names = self._node(kind, *inputs, outputs=outputs, **attributes)
        return names if outputs > 1 else names[0]

    def shaped(self, kind: str, *inputs: str, shape: Shape, **attributes: Any) -> str:
        """A node as :meth:`op` adds it, whose output's shape is known better than by inference."""
        name = f"t{len(self.shapes)}"
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(helper.make_node(kind, inputs, [name], f"{kind}_{len(self.nodes)}", **given))
        self.shapes[name], self.types[name] = shape, TensorProto.FLOAT
        self.fresh = [n for n in self.fresh if n not in inputs] + [name]
        self.made.append(name)
        return name

    def _node(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        names = [f"t{len(self.shapes) + i}" for i in range(outputs)]
        given = {k: v for k, v in attributes.items() if v is not None}
        node = helper.make_node(kind, inputs, names, f"{kind}_{len(self.nodes)}", **given)
        types, shapes = self._inferred(node)
        if any(min(s, default=1) < 1 or math.prod(s) > self.limit or len(s) > 6 for s in shapes):
            raise MisfitError
        self.shapes.update(zip(names, shapes))
        self.types.update(zip(names, types))
        self.nodes.append(node)
        self.fresh = [n for n in self.fresh if n not in inputs]
        return names

    def arithmetic(self, kind: str, *inputs: str, value: Sequence[int], **attributes: Any) -> str:
        """A node whose output depends on shapes only; ``value`` is what it will be."""
        name = f"t{len(self.shapes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"{kind}_{len(self.nodes)}", **attributes))
        self.derived[name] = np.array(value, np.int64)
        self.shapes[name], self.types[name] = self.derived[name].shape, TensorProto.INT64
        return name

    def _inferred(self, node: onnx.NodeProto) -> tuple[list[int], list[Shape]]:
        """Types and shapes of a node's outputs."""
        given = [n for n in node.input if n]
        types = {n: helper.make_tensor_type_proto(self.types[n], self.shapes[n]) for n in given}
        values = {**self.constants, **self.derived}
        known = {n: numpy_helper.from_array(values[n], n) for n in given if n in values}
        try:
            schema, opsets = onnx.defs.get_schema(node.op_type, self.opset), [helper.make_opsetid("", self.opset)]
            found = infer_node_outputs(schema, node, types, known, opset_imports=opsets, ir_version=8)
        except (onnx.shape_inference.InferenceError, onnx.defs.SchemaError):
            raise MisfitError from None
        tensors = [found[n].tensor_type for n in node.output]
        return [t.elem_type for t in tensors], [tuple(d.dim_value for d in t.shape.dim) for t in tensors]

    def attempt(self, step: Callable[..., str], *arguments: Any) -> str | None:
        """Take a step whole, or leave no trace of it."""
        kept = (self.fresh, self.made, self.constants, self.derived, self.shapes, self.types)
        count, before = len(self.nodes), [copy(part) for part in kept]
        try:
            return step(self, *arguments)
        except MisfitError:
            self.fresh, self.made, self.constants, self.derived, self.shapes, self.types = before
            del self.nodes[count:]
            return None

    def rank(self, name: str) -> int:
        return len(self.shapes[name])


def need(condition: bool) -> None:
    """Else the step cannot be taken."""
    if not condition:
        raise MisfitError
