"""The model-zoo architectures inside the onnx package, with seeded random weights where theirs are all the same number.

They are read where onnx is installed, because a copy in a cache could be of another version. Their weights are made in
the graph, by ConstantOfShape, which keeps the files small. They then say nothing about which channel went where: random
ones, scaled as He et al. 2015 (equation 10) initialise, do.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LIGHT = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19",
         "zfnet512")  # fmt: skip
MOVERS = ("Unsqueeze", "Reshape")
Reader = tuple[onnx.NodeProto, int]


def light(name: str) -> onnx.ModelProto:
    """One of :data:`LIGHT`, as it is."""
    return onnx.load(FOLDER / f"light_{name}.onnx")


def light_random(name: str, seed: int = 1) -> onnx.ModelProto:
    """One of them, with a random initializer in the place of every ConstantOfShape."""
    made = light(name)
    made.ir_version = max(made.ir_version, 4)  # the first in which initializers need not be inputs, too
    generator = np.random.default_rng(seed)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    for node in [node for node in made.graph.node if node.op_type == "ConstantOfShape"]:
        weight = draw(generator, tuple(shapes[node.input[0]]), reader(made.graph, node.output[0]))
        made.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float32), node.output[0]))
        made.graph.node.remove(node)
    return made


def reader(graph: onnx.GraphProto, name: str) -> Reader:
    """The node that computes with a tensor, and at which position it takes it."""
    node, position = next((n, list(n.input).index(name)) for n in graph.node if name in n.input)
    return reader(graph, node.output[0]) if node.op_type in MOVERS else (node, position)


def draw(generator: np.random.Generator, shape: tuple[int, ...], user: Reader) -> np.ndarray:
    """Weights that keep the size of activations about the same from layer to layer."""
    node, position = user
    kind = (node.op_type, position)
    if kind in (("Conv", 1), ("Gemm", 1)):
        rows = shape if kind[0] == "Conv" or _transposed(node) else shape[::-1]
        return generator.normal(0.0, math.sqrt(2 / max(math.prod(rows[1:]), 1)), shape)
    if kind in (("BatchNormalization", 1), ("BatchNormalization", 4), ("Mul", 1)):
        return generator.uniform(0.5, 1.5, shape)  # scales and variances
    if kind in (("Conv", 2), ("Gemm", 2), ("BatchNormalization", 2), ("BatchNormalization", 3), ("Add", 1)):
        return generator.normal(0.0, 0.1, shape)  # biases and means
    raise ValueError(f"what {node.op_type} reads at {position} has no scale yet")


def _transposed(gemm: onnx.NodeProto) -> bool:
    return any(attribute.name == "transB" and attribute.i for attribute in gemm.attribute)
