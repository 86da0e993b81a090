"""A model whose weights, from the output down, are noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from ..errors import ModelError

NOISED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN")
FLOATING = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)


def weights(model: onnx.ModelProto, target: str) -> list[tuple[str, ...]]:
    """The weights of each layer, by name, from the explained tensor down.

    A layer is a node of :data:`NOISED` with initializers or constants of two axes or more; only nodes count that the
    explained tensor depends on, each weight once.

    Args:
        model: with its weights inside.
        target: the explained tensor's name; where the model has none of that name, all nodes count.
    """
    stored = set(_tensors(model))
    seen: set[str] = set()
    found = []
    for node in _upwards(model.graph, target):
        names = tuple(n for n in dict.fromkeys(node.input) if n in stored - seen) if node.op_type in NOISED else ()
        seen |= set(names)
        found += [names] * bool(names)
    return found


def randomised(model: onnx.ModelProto, layers: list[tuple[str, ...]], depth: float, seed: int = 0) -> onnx.ModelProto:
    """A copy whose first layers hold normal noise of their weights' own mean and standard deviation.

    Args:
        model: with its weights inside.
        layers: what :func:`weights` found.
        depth: the share of the layers that lose their weights, at least one; a deeper copy has the same noise on top.
        seed: of the noise.

    Raises:
        ModelError: there is no layer.
    """
    if not layers:
        raise ModelError("no layer stores its weights as floating-point numbers, so there is nothing to randomise")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensors, random = _tensors(copy), np.random.default_rng(seed)
    for name in (name for names in layers[: max(1, round(depth * len(layers)))] for name in names):
        tensor = tensors[name]
        data = numpy_helper.to_array(tensor)
        wide = data.astype(np.float64)
        noise = wide.mean() + wide.std() * random.standard_normal(data.shape)
        tensor.CopyFrom(numpy_helper.from_array(noise.astype(data.dtype), tensor.name))
    return copy


def _tensors(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Floating-point weights of two axes or more, by the name that nodes read."""
    constants = {
        node.output[0]: attribute.t
        for node in model.graph.node if node.op_type == "Constant"
        for attribute in node.attribute if attribute.name == "value"
    }  # fmt: skip
    stored = {tensor.name: tensor for tensor in model.graph.initializer} | constants
    return {name: t for name, t in stored.items() if len(t.dims) >= 2 and t.data_type in FLOATING}


def _upwards(graph: onnx.GraphProto, target: str) -> Iterator[onnx.NodeProto]:
    """The nodes that the target depends on, the last one first."""
    made = {name for node in graph.node for name in node.output}
    needed = {target} if target in made else made
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            yield node
