"""Keras 3 on its torch backend, exported by model.export; steps 1 and 3 by keras.ops and torch.autograd in float64."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras import layers, ops

from . import network as net
from .native import make
from .network import Array, Layer, Network, Task
from .record import EXACT, FOLDED, Golden, Model, named

TOOL = f"keras.ops with torch.autograd.grad ({named('keras', 'torch')})"
EXPORTER = f"keras.Model.export ({named('keras', 'torch', 'onnxscript')})"
FIRST = "channels_first"


def apply(layer: Layer, x: Any) -> Any:
    """The layer's output, in Keras."""
    if isinstance(layer, net.Conv):
        kernel = torch.tensor(layer.weight.transpose(2, 3, 1, 0).copy())
        y = ops.conv(x, kernel, layer.stride, layer.padding.lower(), FIRST)
        return y + torch.tensor(layer.bias)[:, None, None]
    if isinstance(layer, net.Dense):
        return x @ torch.tensor(layer.weight.T) + torch.tensor(layer.bias)  # ops.matmul computes in float32
    if isinstance(layer, net.MaxPool):
        return ops.max_pool(x, layer.size, layer.size, "valid", FIRST)
    if isinstance(layer, net.AveragePool):
        return ops.average_pool(x, layer.size, layer.size, "valid", FIRST)
    return ops.reshape(x, (len(x), -1)) if isinstance(layer, net.Flatten) else ops.relu(x)


def forward(layer: Layer, a: Array) -> Array:
    """Step 1."""
    return apply(layer, torch.tensor(a)).numpy()


def gradient(layer: Layer, a: Array, s: Array) -> Array:
    """Step 3."""
    x = torch.tensor(a, requires_grad=True)
    (c,) = torch.autograd.grad(apply(layer, x), x, torch.tensor(s))
    return c.numpy()


def module(task: Task, layout: str) -> keras.Model:
    """The network as a functional Keras model."""
    channels, *size = task.inputs.shape[1:]
    keras.config.set_image_data_format("channels_last" if layout == "NHWC" else FIRST)
    chain = net.channels_last(task.network) if layout == "NHWC" else task.network
    image = keras.Input((*size, channels) if layout == "NHWC" else (channels, *size), name="image")
    return keras.Model(image, _chain(chain, image))


def _chain(chain: Network, x: Any) -> Any:
    for layer in chain:
        x = _call(layer, x)
    return x


def _call(layer: Layer, x: Any) -> Any:
    if isinstance(layer, net.Residual):
        return layers.add([_chain(layer.body, x), _chain(layer.shortcut, x)])
    made = _made(layer)
    y = made(x)
    if isinstance(layer, net.Conv):
        made.set_weights([layer.weight.transpose(2, 3, 1, 0), layer.bias])
    elif isinstance(layer, net.Dense):
        made.set_weights([layer.weight.T, layer.bias])
    elif isinstance(layer, net.Norm):
        made.set_weights([layer.scale, layer.shift, layer.mean, layer.variance])
    return y


def _made(layer: Layer) -> Any:
    if isinstance(layer, net.Conv):
        return layers.Conv2D(len(layer.weight), layer.weight.shape[2:], layer.stride, layer.padding.lower())
    if isinstance(layer, net.Dense):
        return layers.Dense(len(layer.weight))
    if isinstance(layer, net.Norm):
        axis = 1 if keras.config.image_data_format() == FIRST else -1
        return layers.BatchNormalization(axis=axis, epsilon=layer.epsilon)
    if isinstance(layer, (net.MaxPool, net.AveragePool)):
        return (layers.MaxPooling2D if isinstance(layer, net.MaxPool) else layers.AveragePooling2D)(layer.size)
    return layers.Flatten(data_format="channels_last") if isinstance(layer, net.Flatten) else layers.ReLU()


def export(task: Task, golden: Golden) -> Array:
    """Write the files; returns the model's own logits."""
    tolerance = FOLDED if any(isinstance(layer, net.Norm) for layer in task.network) else EXACT
    x = task.inputs.astype(np.float32)
    for file, layout, options in (
        ("keras-nchw.onnx", "NCHW", {}),
        ("keras-18.onnx", "NHWC", {"opset_version": 18}),
        ("keras.onnx", "NHWC", {}),
    ):
        model = module(task, layout)
        logits = model(x if layout == "NCHW" else x.transpose(0, 2, 3, 1))  # export needs a model that was called
        model.export(golden.path(file), format="onnx", verbose=False, **options)
        golden.add_model(Model(file, EXPORTER, layout, tolerance))
    return ops.convert_to_numpy(logits)


def main() -> None:
    """Make both goldens."""
    for task in (net.digits(), net.residual()):
        make("keras", TOOL, task, sys.modules[__name__], export).save()
