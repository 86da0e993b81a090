"""Paddle: layers exported by paddle2onnx; steps 1 and 3 by paddle.grad in float64."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812

from . import network as net
from .native import make
from .network import Array, Layer, Network, Task
from .record import Golden, Model, named

TOOL = f"paddle.grad ({named('paddlepaddle')})"
EXPORTER = f"paddle.onnx.export ({named('paddle2onnx', 'paddlepaddle')})"


def apply(layer: Layer, x: Any) -> Any:
    """The layer's output, in Paddle."""
    if isinstance(layer, net.Conv):
        weight, bias = paddle.to_tensor(layer.weight), paddle.to_tensor(layer.bias)
        return F.conv2d(x, weight, bias, layer.stride, layer.padding)
    if isinstance(layer, net.Dense):
        return x @ paddle.to_tensor(layer.weight.T) + paddle.to_tensor(layer.bias)
    if isinstance(layer, net.MaxPool):
        return F.max_pool2d(x, layer.size, layer.size)
    if isinstance(layer, net.AveragePool):
        return F.avg_pool2d(x, layer.size, layer.size)
    return x.flatten(1) if isinstance(layer, net.Flatten) else F.relu(x)


def forward(layer: Layer, a: Array) -> Array:
    """Step 1."""
    return apply(layer, paddle.to_tensor(a)).numpy()


def gradient(layer: Layer, a: Array, s: Array) -> Array:
    """Step 3."""
    x = paddle.to_tensor(a, stop_gradient=False)
    (c,) = paddle.grad([apply(layer, x)], [x], [paddle.to_tensor(s)])
    return c.numpy()


class Sum(nn.Layer):
    """A residual connection."""

    def __init__(self, body: nn.Layer, shortcut: nn.Layer) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Any) -> Any:
        """Adds the branches."""
        return self.body(x) + self.shortcut(x)


def module(layers: Network) -> nn.Layer:
    """The network as Paddle's layers, float32."""
    return nn.Sequential(*map(_module, layers))


def _module(layer: Layer) -> nn.Layer:
    if isinstance(layer, net.Conv):
        outputs, inputs, *kernel = layer.weight.shape
        conv = nn.Conv2D(inputs, outputs, kernel, layer.stride, layer.padding)
        return _set(conv, weight=layer.weight, bias=layer.bias)
    if isinstance(layer, net.Dense):
        return _set(nn.Linear(*layer.weight.shape[::-1]), weight=layer.weight.T, bias=layer.bias)
    if isinstance(layer, net.Norm):
        norm = nn.BatchNorm2D(len(layer.scale), epsilon=layer.epsilon)
        return _set(norm, weight=layer.scale, bias=layer.shift, _mean=layer.mean, _variance=layer.variance)
    if isinstance(layer, net.Residual):
        return Sum(module(layer.body), module(layer.shortcut) if layer.shortcut else nn.Identity())
    if isinstance(layer, (net.MaxPool, net.AveragePool)):
        pool = nn.MaxPool2D if isinstance(layer, net.MaxPool) else nn.AvgPool2D
        return pool(layer.size, layer.size)
    return nn.Flatten() if isinstance(layer, net.Flatten) else nn.ReLU()


def _set(layer: nn.Layer, **values: Array) -> nn.Layer:
    for name, value in values.items():
        getattr(layer, name).set_value(value.astype(np.float32))
    return layer


def export(task: Task, golden: Golden) -> Array:
    """Write the files; returns the module's own logits."""
    model = module(task.network)
    model.eval()
    spec = [paddle.static.InputSpec([None, *task.inputs.shape[1:]], "float32", "x")]
    for version in (11, 17):
        file = f"paddle2onnx-{version}.onnx"
        prefix = str(golden.path(file).with_suffix(""))
        paddle.onnx.export(model, prefix, input_spec=spec, opset_version=version)
        golden.add_model(Model(file, EXPORTER))
    return model(paddle.to_tensor(task.inputs.astype(np.float32))).numpy()


def main() -> None:
    """Make both goldens."""
    for task in (net.digits(), net.residual()):
        make("paddle", TOOL, task, sys.modules[__name__], export).save()
