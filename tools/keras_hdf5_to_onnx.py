"""Converts a small functional Keras model, saved as HDF5, to an ONNX graph in channels-first layout.

Only the layers of mini-Xception are known. BatchNorm stays a node of its own, and "same" padding becomes explicit pads.
The only requirement beyond onnx is h5py: the layers are read from the file's own description, without Keras.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
Array = npt.NDArray[np.float32]


class ConversionError(ValueError):
    """The file holds something that this converter does not know."""


class Layer(NamedTuple):
    """One Keras layer: its configuration, its weights by short name, and the layers that feed it."""

    name: str
    kind: str
    config: dict[str, Any]
    weights: dict[str, Array]
    inbound: list[str]


class Value(NamedTuple):
    """A tensor of the graph; the shape is channels-first and leaves out the batch."""

    name: str
    shape: tuple[int, ...]


class Graph:
    """The ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[Value] = []

    def constant(self, name: str, array: Array) -> str:
        """Adds an initializer and returns its name."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Adds a node with a single output and returns the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output


def pads_and_size(padding: str, size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int, int]:
    """Padding before and after one axis, and the size that results; "same" puts the odd one after."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return 0, 0, (size - reach) // stride + 1
    if padding != "same":
        raise ConversionError(f"padding {padding!r} is not supported")
    result = -(-size // stride)
    total = max((result - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2, result


def window(layer: Layer, kernel: list[int], shape: tuple[int, ...]) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The attributes of a sliding window, and the height and width that it leaves."""
    if layer.config.get("data_format", "channels_last") != "channels_last":
        raise ConversionError(f"{layer.name}: only channels-last models are supported")
    strides, dilations = layer.config["strides"], layer.config.get("dilation_rate", [1, 1])
    axes = [pads_and_size(layer.config["padding"], *axis) for axis in zip(shape[1:], kernel, strides, dilations)]
    pads = [axis[0] for axis in axes] + [axis[1] for axis in axes]
    attributes = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}
    return attributes, tuple(axis[2] for axis in axes)


def activate(graph: Graph, layer: Layer, source: str) -> None:
    """Ends a layer with the activation that its configuration names."""
    kind = layer.config.get("activation", "linear")
    if kind == "softmax":
        graph.node("Softmax", [source], layer.name, axis=1)  # Keras' last axis holds the channels, here it is the first
    elif kind in ("relu", "linear"):
        graph.node("Relu" if kind == "relu" else "Identity", [source], layer.name)
    else:
        raise ConversionError(f"{layer.name}: activation {kind!r} is not supported")


def convolve(graph: Graph, layer: Layer, source: str, kernel: Array, **attributes: Any) -> int:
    """The convolution that ends a layer, with its bias and activation; returns the number of channels."""
    inputs = [source, graph.constant(f"{layer.name}/kernel", kernel.transpose(3, 2, 0, 1))]
    if layer.config.get("use_bias", True):
        inputs.append(graph.constant(f"{layer.name}/bias", layer.weights["bias"]))
    linear = layer.config.get("activation", "linear") == "linear"
    output = graph.node("Conv", inputs, layer.name if linear else f"{layer.name}/linear", **attributes)
    if not linear:
        activate(graph, layer, output)
    return int(kernel.shape[3])


def conv2d(graph: Graph, layer: Layer, x: Value) -> Value:
    """Conv2D."""
    kernel = layer.weights["kernel"]
    attributes, size = window(layer, list(kernel.shape[:2]), x.shape)
    channels = convolve(graph, layer, x.name, kernel, group=layer.config.get("groups", 1), **attributes)
    return Value(layer.name, (channels, *size))


def separable_conv2d(graph: Graph, layer: Layer, x: Value) -> Value:
    """SeparableConv2D: one convolution within each channel, then one of size 1x1 across them."""
    kernel = layer.weights["depthwise_kernel"]
    height, width, channels, multiplier = kernel.shape
    attributes, size = window(layer, [height, width], x.shape)
    within = kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    inputs = [x.name, graph.constant(f"{layer.name}/depthwise_kernel", within)]
    depthwise = graph.node("Conv", inputs, f"{layer.name}/depthwise", group=channels, **attributes)
    return Value(layer.name, (convolve(graph, layer, depthwise, layer.weights["pointwise_kernel"]), *size))


def batch_normalization(graph: Graph, layer: Layer, x: Value) -> Value:
    """BatchNormalization over the channels, with the statistics of training."""
    axis = layer.config["axis"]
    if axis not in (-1, len(x.shape), [len(x.shape)]):
        raise ConversionError(f"{layer.name}: normalization of axis {axis} is not supported")
    channels = np.ones(x.shape[0], np.float32)
    arrays = {"gamma": channels, "beta": 0 * channels, **layer.weights}  # Keras leaves out what is switched off
    order = ("gamma", "beta", "moving_mean", "moving_variance")
    weights = [graph.constant(f"{layer.name}/{name}", arrays[name]) for name in order]
    epsilon = float(layer.config["epsilon"])
    return Value(graph.node("BatchNormalization", [x.name, *weights], layer.name, epsilon=epsilon), x.shape)


def activation(graph: Graph, layer: Layer, x: Value) -> Value:
    """Activation."""
    activate(graph, layer, x.name)
    return Value(layer.name, x.shape)


def max_pooling2d(graph: Graph, layer: Layer, x: Value) -> Value:
    """MaxPooling2D; padding never wins, in Keras as in ONNX."""
    attributes, size = window(layer, layer.config["pool_size"], x.shape)
    return Value(graph.node("MaxPool", [x.name], layer.name, **attributes), (x.shape[0], *size))


def add(graph: Graph, layer: Layer, first: Value, *others: Value) -> Value:
    """Add: of two or more tensors of one shape."""
    total = first.name
    for index, other in enumerate(others, start=1):
        if other.shape != first.shape:
            raise ConversionError(f"{layer.name}: adding different shapes is not supported")
        last = index == len(others)
        total = graph.node("Add", [total, other.name], layer.name if last else f"{layer.name}/{index}")
    return Value(total, first.shape)


def global_average_pooling2d(graph: Graph, layer: Layer, x: Value) -> Value:
    """GlobalAveragePooling2D, which also drops the axes it averages over."""
    mean = graph.node("GlobalAveragePool", [x.name], f"{layer.name}/mean")
    return Value(graph.node("Flatten", [mean], layer.name, axis=1), (x.shape[0],))


def input_layer(graph: Graph, layer: Layer) -> Value:
    """InputLayer: height, width and channels must be known."""
    _, *size, channels = layer.config["batch_input_shape"]
    if None in (*size, channels) or prod((*size, channels)) < 1:
        raise ConversionError(f"{layer.name}: the size of the input is open")
    graph.inputs.append(Value(layer.name, (channels, *size)))
    return graph.inputs[-1]


HANDLERS: dict[str, Callable[..., Value]] = {
    "InputLayer": input_layer,
    "Conv2D": conv2d,
    "SeparableConv2D": separable_conv2d,
    "BatchNormalization": batch_normalization,
    "Activation": activation,
    "MaxPooling2D": max_pooling2d,
    "Add": add,
    "GlobalAveragePooling2D": global_average_pooling2d,
}


def read_weights(group: Any) -> dict[str, Array]:
    """A layer's arrays by the last part of their names: "conv_1/kernel:0" is "kernel"."""
    names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
    return {name.rsplit("/", 1)[-1].split(":")[0]: np.asarray(group[name], np.float32) for name in names}


def read_layers(model: dict[str, Any], weights: Any) -> Iterator[Layer]:
    """The layers of a model description, in its order, which is one of execution."""
    for entry in model["layers"]:
        name, calls = entry["name"], entry["inbound_nodes"]
        if len(calls) > 1 or any(index for call in calls for _, *indices, _ in call for index in indices):
            raise ConversionError(f"{name}: a layer used more than once is not supported")
        inbound = [source for call in calls for source, *_ in call]
        yield Layer(name, entry["class_name"], entry["config"], read_weights(weights[name]), inbound)


def build(model: dict[str, Any], weights: Any) -> onnx.ModelProto:
    """The ONNX model of a functional Keras model."""
    graph, values = Graph(), dict[str, Value]()
    for layer in read_layers(model, weights):
        if layer.kind not in HANDLERS:
            raise ConversionError(f"{layer.name}: layer {layer.kind} is not supported")
        values[layer.name] = HANDLERS[layer.kind](graph, layer, *(values[name] for name in layer.inbound))
    inputs, outputs = (
        [helper.make_tensor_value_info(value.name, TensorProto.FLOAT, ["N", *value.shape]) for value in ends]
        for ends in (graph.inputs, [values[name] for name, *_ in model["output_layers"]])
    )
    body = helper.make_graph(graph.nodes, model["name"], inputs, outputs, graph.weights)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(body, producer_name="keras_hdf5_to_onnx", ir_version=IR_VERSION, opset_imports=opsets)


def convert(source: BinaryIO) -> onnx.ModelProto:
    """Converts the Keras HDF5 file behind an open binary stream."""
    import h5py  # here, so that only those who convert need it

    try:
        with h5py.File(source) as file:
            description = json.loads(file.attrs["model_config"])
            if description["class_name"] not in ("Model", "Functional"):
                raise ConversionError(f"a {description['class_name']} model is not supported")
            model = build(description["config"], file["model_weights"])
        onnx.checker.check_model(model, full_check=True)
    except (OSError, KeyError, TypeError, IndexError, json.JSONDecodeError, onnx.checker.ValidationError) as error:
        raise ConversionError(f"not a Keras model that can be converted: {error}") from error
    return model
