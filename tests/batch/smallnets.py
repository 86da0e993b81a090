"""Small networks in all the forms that a run meets: written as ONNX's own text, with seeded weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

# By name: the graph, and the shapes of its weights
NETS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "table": (
        "net (float[n,4] x) => (float[n,3] y) { h = Gemm (x, w, b) r = Relu (h) y = Gemm (r, v, c) }",
        {"w": (4, 6), "b": (6,), "v": (6, 3), "c": (3,)},
    ),
    "softmax": (
        "net (float[n,4] x) => (float[n,3] y) { h = Gemm (x, w, b) r = Relu (h) z = Gemm (r, v, c) "
        "y = Softmax <axis = -1> (z) }",
        {"w": (4, 6), "b": (6,), "v": (6, 3), "c": (3,)},
    ),
    "sigmoid": (
        "net (float[n,4] x) => (float[n,1] y) { h = Gemm (x, w, b) r = Relu (h) z = Gemm (r, v, c) y = Sigmoid (z) }",
        {"w": (4, 6), "b": (6,), "v": (6, 1), "c": (1,)},
    ),
    "unbatched": (
        "net (float[4] x) => (float[3] y) { h = MatMul (x, w) r = Relu (h) y = MatMul (r, v) }",
        {"w": (4, 6), "v": (6, 3)},
    ),
    "two": (
        "net (float[n,4] a, float[n,2,3] b) => (float[n,3] y) { f = Flatten (b) j = Concat <axis = 1> (a, f) "
        "h = Gemm (j, w, c) r = Relu (h) y = MatMul (r, v) }",
        {"w": (10, 6), "c": (6,), "v": (6, 3)},
    ),
    "eight": (
        "net (float[8,4] x) => (float[8,3] y) { h = Gemm (x, w, b) r = Relu (h) y = MatMul (r, v) }",
        {"w": (4, 6), "b": (6,), "v": (6, 3)},
    ),
    "one": (
        "net (float[1,1,6,6] x) => (float[1,3] y) { h = Conv <pads = [1,1,1,1]> (x, w) r = Relu (h) f = Flatten (r) "
        "y = MatMul (f, v) }",
        {"w": (2, 1, 3, 3), "v": (72, 3)},
    ),
    "sequence": (
        "net (float[n,l,4] x) => (float[n,3] y) { h = MatMul (x, w) r = Relu (h) "
        "m = ReduceMean <axes = [1], keepdims = 0> (r) y = MatMul (m, v) }",
        {"w": (4, 6), "v": (6, 3)},
    ),
    "dense": (
        "net (float[n,1,5,5] x) => (float[n,3,5,5] y) { h = Conv <pads = [1,1,1,1]> (x, w) r = Relu (h) "
        "y = Conv (r, v) }",
        {"w": (4, 1, 3, 3), "v": (3, 4, 1, 1)},
    ),
}  # fmt: skip


def small_net(name: str, folder: Path) -> Path:
    """One of them in a file."""
    graph, weights = NETS[name]
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {graph}')
    rng = np.random.default_rng(len(name))
    for weight, shape in weights.items():
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, weight))
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return path


def samples_for(name: str, count: int) -> dict[str, np.ndarray]:
    """Inputs of one of them by name, a row each, without an axis of samples."""
    rng = np.random.default_rng(7)
    shapes = {"two": {"a": (4,), "b": (2, 3)}, "one": {"x": (1, 6, 6)}, "sequence": {"x": (5, 4)},
              "dense": {"x": (1, 5, 5)}}  # fmt: skip
    return {
        key: rng.normal(size=(count, *shape)).astype(np.float32) for key, shape in shapes.get(name, {"x": (4,)}).items()
    }
