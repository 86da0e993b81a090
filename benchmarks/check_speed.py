"""How long ``check`` takes for each node of large graphs: chains, and windows of attention as exporters write them.

    python -m benchmarks.check_speed [NODES]

Each graph is checked three times; the smallest and the median time are printed, in milliseconds a node.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import onnx_lrp as lrp

ROUNDS = 3
CHAINS = {
    "relu": ("Relu",),
    "add, relu": ("Add", "Relu"),
    "gemm, relu": ("Gemm", "Relu"),
    "affine": ("MatMul", "Add", "Mul", "Relu"),
}
READS = {"Add": ["g"], "Mul": ["g"], "Gemm": ["w", "g"], "MatMul": ["w"], "Relu": []}


def chain(ops: tuple[str, ...], nodes: int) -> onnx.ModelProto:
    """One node behind the other."""
    made, last = [], "x"
    for i in range(nodes):
        op = ops[i % len(ops)]
        made.append(helper.make_node(op, [last, *READS[op]], [f"t{i}"], name=f"n{i}"))
        last = f"t{i}"
    weights = {"g": np.full(4, 1.01), "w": np.eye(4)}
    return _model(made, weights, last, ["n", 4])


class Windows:
    """Blocks of shifted windows: shapes are computed from shapes, and norms and softmax written out."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        """Append a node; returns its output."""
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def number(self, value: object, dtype: type = np.int64) -> str:
        """A constant, each time a new one, as exporters write them."""
        name = f"c{len(self.weights)}"
        self.weights[name] = np.asarray(value, dtype)
        return name

    def size(self, x: str, axis: int) -> str:
        """One entry of a tensor's shape, as a vector."""
        one = self.node("Gather", self.node("Shape", x), self.number(axis), axis=0)
        return self.node("Unsqueeze", one, self.number([0]))

    def norm(self, x: str, width: int) -> str:
        """A LayerNorm in elementary ops."""
        centred = self.node("Sub", x, self.node("ReduceMean", x, axes=[-1]))
        variance = self.node("ReduceMean", self.node("Pow", centred, self.number(2.0, np.float32)), axes=[-1])
        root = self.node("Sqrt", self.node("Add", variance, self.number(1e-5, np.float32)))
        scaled = self.node("Mul", self.node("Div", centred, root), self.number(np.ones(width), np.float32))
        return self.node("Add", scaled, self.number(np.zeros(width), np.float32))

    def block(self, x: str, width: int, side: int, window: int) -> str:
        """Shift, cut into windows, attend, put together, shift back."""
        y = self.norm(x, width)
        batch = self.size(y, 0)
        for axis in (1, 2):  # torch.roll
            first = self.node("Slice", y, self.number([2]), self.number([2**62]), self.number([axis]))
            rest = self.node("Slice", y, self.number([0]), self.number([2]), self.number([axis]))
            y = self.node("Concat", first, rest, axis=axis)
        n = side // window
        cut = self.node("Concat", batch, *(self.number([k]) for k in (n, window, n, window, width)), axis=0)
        y = self.node("Transpose", self.node("Reshape", y, cut), perm=[0, 1, 3, 2, 4, 5])
        tokens = self.node("Reshape", y, self.number([-1, window * window, width]))
        q, k, v = (self.linear(tokens, width, width) for _ in range(3))
        scores = self.node("MatMul", q, self.node("Transpose", k, perm=[0, 2, 1]))
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        y = self.node(
            "Reshape",
            mixed,
            self.node("Concat", batch, *(self.number([k]) for k in (n, n, window, window, width)), axis=0),
        )
        y = self.node("Transpose", y, perm=[0, 1, 3, 2, 4, 5])
        y = self.node(
            "Reshape", y, self.node("Concat", batch, *(self.number([k]) for k in (side, side, width)), axis=0)
        )
        x = self.node("Add", x, self.linear(y, width, width))
        hidden = self.linear(self.norm(x, width), width, 2 * width)
        smooth = self.node("Mul", hidden, self.node("Erf", hidden))
        return self.node("Add", x, self.linear(smooth, 2 * width, width))

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """MatMul and Add."""
        product = self.node("MatMul", x, self.number(np.full((inputs, outputs), 0.01), np.float32))
        return self.node("Add", product, self.number(np.zeros(outputs), np.float32))


def windows(nodes: int) -> onnx.ModelProto:
    """As many blocks as make so many nodes."""
    net, x = Windows(), "x"
    while len(net.nodes) < nodes:
        x = net.block(x, 8, 8, 4)
    return _model(net.nodes, net.weights, x, ["n", 8, 8, 8])


def _model(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], last: str, shape: list[str | int]
) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", last)]
    stored = [
        numpy_helper.from_array(a.astype(np.float32) if a.dtype == np.float64 else a, name)
        for name, a in weights.items()
    ]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def milliseconds(model: onnx.ModelProto) -> list[float]:
    """For each round, per node."""
    data, found = model.SerializeToString(), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        lrp.check(data)
        found.append(1e3 * (time.perf_counter() - start) / len(model.graph.node))
    return found


def graphs(nodes: int) -> Iterator[tuple[str, Callable[[], onnx.ModelProto]]]:
    """Their names, and what makes them."""
    for name, ops in CHAINS.items():
        yield f"chain of {name}", lambda ops=ops: chain(ops, nodes)
    yield "shifted windows", lambda: windows(nodes * 6 // 5)


def main() -> None:
    """Print a table."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    print(f"{'graph':24}{'nodes':>8}{'min':>8}{'median':>8}  ms a node")
    for name, make in graphs(nodes):
        model = make()
        found = milliseconds(model)
        print(f"{name:24}{len(model.graph.node):8}{min(found):8.3f}{statistics.median(found):8.3f}", flush=True)


if __name__ == "__main__":
    main()
