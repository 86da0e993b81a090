"""Values that are nodes of a graph under construction, and sizes that are multiples of an unknown batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir


@dataclass(frozen=True)
class BatchSize:
    """``times`` × the number of samples, which only a run knows."""

    times: int = 1

    def __mul__(self, n: int) -> BatchSize:
        return BatchSize(self.times * n)

    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        return self.times // other.times if isinstance(other, BatchSize) else BatchSize(self.times // other)

    def __sub__(self, n: int) -> BatchSize:
        if n:
            raise TypeError("the batch cannot be cut")
        return self


Size = Any  # an int, or a BatchSize
SymbolicShape = tuple[Size, ...]


class Symbol:
    """One tensor of the graph under construction: its shape, and operators that append nodes."""

    __array_ufunc__ = None  # or NumPy would swallow it

    def __init__(self, graph: Graph, value: ir.Value, shape: Sequence[Size]) -> None:
        self.graph, self.value, self.shape = graph, value, tuple(shape)

    @property
    def node(self) -> ir.Node | None:
        """What makes it."""
        return self.value.producer()

    def __add__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Sub", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Sub", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return self if isinstance(other, float | int) and other == 1 else self.graph.elementwise("Mul", self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Div", self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Div", other, self)

    def __neg__(self) -> Symbol:
        return self.graph.emit("Neg", [self], self.shape)

    def __lt__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Less", self, other)

    def __gt__(self, other: Any) -> Symbol:
        return self.graph.elementwise("Greater", self, other)

    def __eq__(self, other: object) -> Any:
        if self.graph.opset >= 11:
            return self.graph.elementwise("Equal", self, other)
        differs = self.graph.elementwise("Or", self < other, self > other)  # Equal took no floats before
        return self.graph.emit("Not", [differs], differs.shape)

    __hash__ = object.__hash__


SMALL = 2**16  # bytes of a constant, up to which it is computed here: a runtime takes longer to load a node
EAGER: dict[str, Callable[..., np.ndarray]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Relu": lambda a: np.maximum(a, 0),
    "LeakyRelu": lambda a, alpha: np.where(a < 0, np.float32(alpha) * a, a),
    "Neg": np.negative,
}


class Graph:
    """Appends nodes to a graph; the same node is never made twice.

    Args:
        graph: where to append; nodes that are there already are left alone.
        opset: version of the standard operator set, 9 or newer.
        samples: a tensor whose first axis counts samples.
    """

    def __init__(self, graph: ir.Graph, opset: int, samples: ir.Value, prefix: str = "lrp/") -> None:
        self.graph, self.opset, self.samples, self.prefix = graph, opset, samples, prefix
        self._made: dict[Any, tuple[Symbol, ...]] = {}
        self._symbols: dict[ir.Value, Symbol] = {}
        self._small: dict[ir.Value, np.ndarray] = {}
        self.taken = {value.name for node in graph for value in node.outputs}
        self.taken |= {value.name for value in (*graph.inputs, *graph.initializers.values())}
        self._count = 0

    def wrap(self, value: ir.Value, shape: Sequence[Size]) -> Symbol:
        """A tensor that the model has already."""
        return self._symbols.setdefault(value, Symbol(self, value, shape))

    def sources(self, symbol: Symbol) -> list[Symbol]:
        """The inputs of the node that made this (see :meth:`is_made`)."""
        assert symbol.node is not None
        return [self._symbols[value] for value in symbol.node.inputs if value is not None]

    def is_made(self, symbol: Symbol, op: str) -> bool:
        """Whether a node of this type made the tensor, and all that it reads is known here."""
        node = symbol.node
        return (
            node is not None
            and node.op_type == op
            and node.domain == ""
            and all(value in self._symbols for value in node.inputs if value is not None)
        )

    def is_small(self, symbol: Symbol) -> bool:
        """Whether it is a constant with which this graph computes at once."""
        return symbol.value in self._small

    def constant(self, array: np.ndarray) -> Symbol:
        """A constant."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._made:
            value = ir.val(self._name("const"), const_value=ir.Tensor(np.ascontiguousarray(array)))
            value.const_value.name = value.name  # type: ignore[union-attr]
            self.graph.register_initializer(value)
            self._made[key] = (self.wrap(value, array.shape),)
            if array.nbytes <= SMALL:
                self._small[value] = array
        return self._made[key][0]

    def ints(self, values: Any) -> Symbol:
        """A vector of int64."""
        return self.constant(np.asarray(values, np.int64).reshape(-1))

    def sizes(self, shape: Sequence[Size]) -> Symbol:
        """A shape as a vector of int64, computed during the run if the batch is in it."""
        if all(isinstance(n, int) for n in shape):
            return self.ints(shape)
        batch = self.emit("Gather", [self.emit("Shape", [Symbol(self, self.samples, ())], (1,)), self.ints([0])], (1,))
        parts = [batch * self.ints([n.times]) if isinstance(n, BatchSize) else self.ints([n]) for n in shape]
        return self.emit("Concat", parts, (len(shape),), axis=0) if len(parts) > 1 else parts[0]

    def symbol(self, value: Any) -> Symbol:
        """A number as a float32 scalar; a symbol as it is."""
        return value if isinstance(value, Symbol) else self.constant(np.asarray(value, np.float32))

    def elementwise(self, op: str, a: Any, b: Any) -> Symbol:
        """A binary node with broadcasting, so that an Expand before it is not needed."""
        left, right = self.symbol(a), self.symbol(b)
        shape = broadcast(left.shape, right.shape)
        left, right = self._unexpanded(left, right, shape), self._unexpanded(right, left, shape)
        return self.emit(op, [left, right], shape)

    def _unexpanded(self, a: Symbol, other: Symbol, shape: SymbolicShape) -> Symbol:
        if not self.is_made(a, "Expand") or other.shape != shape or self.is_made(other, "Expand"):
            return a
        return self.sources(a)[0]

    def emit(self, op: str, inputs: Sequence[Symbol | None], shape: Sequence[Size], **attributes: Any) -> Symbol:
        """A node with one output."""
        return self.emit_all(op, inputs, [shape], **attributes)[0]

    def emit_all(
        self, op: str, inputs: Sequence[Symbol | None], shapes: Sequence[Sequence[Size]], **attributes: Any
    ) -> tuple[Symbol, ...]:
        """A node with several outputs."""
        key = (op, tuple(None if s is None else id(s.value) for s in inputs), repr(sorted(attributes.items())))
        if key not in self._made and op in EAGER and all(s is None or s.value in self._small for s in inputs):
            arrays = [self._small[s.value] for s in inputs if s is not None]
            self._made[key] = (self.constant(EAGER[op](*arrays, **attributes)),)
        if key not in self._made:
            node = ir.node(
                op, [None if s is None else s.value for s in inputs], attributes, num_outputs=len(shapes),
                name=self._name(op),
            )  # fmt: skip
            for i, value in enumerate(node.outputs):
                value.name = f"{node.name}:{i}"
            self.graph.append(node)
            self._made[key] = tuple(self.wrap(v, s) for v, s in zip(node.outputs, shapes))
        return self._made[key]

    def again(self, node: ir.Node, inputs: Sequence[ir.Value | None]) -> Sequence[ir.Value]:
        """The same node on other inputs; its outputs have its own types."""
        name = self._name(node.op_type)
        copy = ir.node(node.op_type, inputs, dict(node.attributes), num_outputs=len(node.outputs), name=name)
        for i, (made, value) in enumerate(zip(copy.outputs, node.outputs)):
            made.name, made.type = f"{name}:{i}", value.type
        self.graph.append(copy)
        return copy.outputs

    def output(self, symbol: Symbol, name: str, shape: Sequence[int | str | None]) -> None:
        """Make a tensor an output of the graph, float32, under a name of its own."""
        node = ir.node("Identity", [symbol.value], name=self._name("Identity"))
        made = node.outputs[0]
        made.name, made.shape, made.type = name, ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        self.taken.add(name)
        self.graph.append(node)
        self.graph.outputs.append(made)

    def prune(self, kept: set[ir.Node]) -> None:
        """Take out what nothing reads, of what was appended to these nodes."""
        for node in reversed(list(self.graph)):
            if node not in kept and not any(value.uses() or value.is_graph_output() for value in node.outputs):
                self.graph.remove(node, safe=True)
        for symbol in {id(made[0]): made[0] for made in self._made.values()}.values():
            if symbol.node is None and not symbol.value.uses():
                del self.graph.initializers[symbol.value.name or ""]

    def _name(self, what: str) -> str:
        name = None
        while name is None or name in self.taken:
            self._count += 1
            name = f"{self.prefix}{what}_{self._count}"
        return name


def broadcast(a: Sequence[Size], b: Sequence[Size]) -> SymbolicShape:
    """The shape of an elementwise node's output."""
    rank = max(len(a), len(b))
    pairs = list(zip((1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b)))
    if any(n != m and 1 not in (n, m) for n, m in pairs):
        raise ValueError(f"{tuple(a)} and {tuple(b)} cannot be broadcast")
    return tuple(n if m == 1 else m for n, m in pairs)
