"""A net whose answer depends on how its pictures are prepared: it counts edges, which must be strong."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAMES = ("striped", "plain")


def edges(side: int | str = 8, channels: int = 3, **properties: str) -> onnx.ModelProto:
    """Input ``x`` (N, channels, side, side) of pixels up to 255; output ``y`` (N, 2): striped, plain."""
    laplace = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "v", "bias"], ["y"]),
    ]
    weights = {
        "w": np.tile(laplace, (1, channels, 1, 1)),
        "v": np.array([[0.2, 0]], np.float32),
        "bias": np.array([0, 1], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "edges",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", channels, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, properties)
    return model


def stripes(side: int = 8) -> np.ndarray:
    """Uint8 (side, side, 3), black and white columns."""
    return np.broadcast_to((np.arange(side) % 2 * 255).astype(np.uint8)[None, :, None], (side, side, 3)).copy()
