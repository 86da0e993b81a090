"""Models of one layer or two, and runs over arrays with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnx_lrp import Explainer
from onnx_lrp.batch.blocks import Block
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.grouping import Reader, reader_of
from onnx_lrp.batch.inventory import Inventory
from onnx_lrp.batch.order import Order
from onnx_lrp.batch.sources.opening import source_of
from onnx_lrp.batch.work import Work

WEIGHTS = np.random.default_rng(1).standard_normal((10, 3)).astype(np.float32)
KERNEL = np.random.default_rng(2).standard_normal((4, 3, 3, 3)).astype(np.float32)
Shape = Sequence[int | str]


def net(nodes: Sequence[tuple[Any, ...]], inputs: dict[str, Shape], output: Shape, **weights: Any) -> onnx.ModelProto:
    """Nodes are (op, inputs, output, attributes); the output is ``y``."""
    graph = helper.make_graph(
        [helper.make_node(op, ins, [out], **attributes) for op, ins, out, attributes in nodes], "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def linear(samples: int | str = "n", weights: np.ndarray = WEIGHTS) -> onnx.ModelProto:
    """Ten features, three classes."""
    return net([("Gemm", ["x", "w"], "y", {})], {"x": (samples, 10)}, (samples, 3), w=weights)


def centred() -> onnx.ModelProto:
    """As :func:`linear`, less the mean of the batch."""
    nodes = [
        ("Gemm", ["x", "w"], "z", {}), ("ReduceMean", ["z"], "m", {"axes": [0]}), ("Sub", ["z", "m"], "y", {}),
    ]  # fmt: skip
    return net(nodes, {"x": ("n", 10)}, ("n", 3), w=WEIGHTS)


def averaged() -> onnx.ModelProto:
    """One answer to all of a batch."""
    nodes = [("Gemm", ["x", "w"], "z", {}), ("ReduceMean", ["z"], "y", {"axes": [0], "keepdims": 0})]
    return net(nodes, {"x": ("n", 10)}, (3,), w=WEIGHTS)


def unbatched() -> onnx.ModelProto:
    """One sample without an axis for it."""
    return net([("MatMul", ["x", "w"], "y", {})], {"x": (10,)}, (3,), w=WEIGHTS)


def joined() -> onnx.ModelProto:
    """As :func:`linear`, in two parts ``a`` and ``b``."""
    nodes = [("Concat", ["a", "b"], "x", {"axis": 1}), ("Gemm", ["x", "w"], "y", {})]
    return net(nodes, {"a": ("n", 4), "b": ("n", 6)}, ("n", 3), w=WEIGHTS)


def scaled(samples: int | str = "n") -> onnx.ModelProto:
    """As :func:`linear`, times a number ``s`` that all of a batch have, if it is held fixed."""
    nodes = [("Mul", ["x", "s"], "z", {}), ("Gemm", ["z", "w"], "y", {})]
    return net(nodes, {"x": (samples, 10), "s": ()}, (samples, 3), w=WEIGHTS)


def pooled() -> onnx.ModelProto:
    """Pictures of any size."""
    nodes = [
        ("Conv", ["x", "k"], "a", {"pads": [1] * 4}), ("Relu", ["a"], "r", {}),
        ("GlobalAveragePool", ["r"], "p", {}), ("Flatten", ["p"], "y", {}),
    ]  # fmt: skip
    return net(nodes, {"x": ("n", 3, "h", "w")}, ("n", 4), k=KERNEL)


def rows(count: int) -> np.ndarray:
    """Inputs of :func:`linear`."""
    return np.random.default_rng(3).standard_normal((count, 10)).astype(np.float32)


def files(folder: Path, arrays: Sequence[np.ndarray]) -> str:
    """Each in a file of its own."""
    folder.mkdir(exist_ok=True)
    for i, array in enumerate(arrays):
        np.save(folder / f"{i:04}.npy", array)
    return str(folder)


def work(
    model: onnx.ModelProto | Explainer, inputs: Any, out: Path, lanes: int = 1, options: dict[str, Any] | None = None,
    **order: Any,
) -> Work:  # fmt: skip
    """Of a run with an inventory; maps of ten numbers unless the order says otherwise."""
    out.mkdir(exist_ok=True)
    folder, source = Folder(out), source_of(inputs, **(options or {}))
    Inventory.write(folder.inputs, source)
    explainer = model if isinstance(model, Explainer) else Explainer(model, threads=1)
    whole = Order(**{"batch": 4, "block": 16, "shapes": {"x": (10,)}, "output": (3,), "precision": "float32", **order})
    return Work(explainer, source, whole, folder, lanes)


def reader(model: onnx.ModelProto, inputs: Any, out: Path, size: int = 4) -> Reader:
    """Of the inputs of a model."""
    inventory, source = Inventory.write(out / "inputs.arrow", source_of(inputs)), source_of(inputs)
    return reader_of(Explainer(model, threads=1), source, inventory, size)


def block(stop: int, start: int = 0, number: int = 0) -> Block:
    """These rows."""
    return Block(number, start, stop)
