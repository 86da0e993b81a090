"""JAX: flax modules exported by jax2onnx; steps 1 and 3 by jax.vjp in float64."""

from __future__ import annotations

import sys
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import lax
from jax import numpy as jnp
from jax2onnx import to_onnx

from . import network as net
from .native import make
from .network import Array, Layer, Network, Task
from .record import Golden, Model, named

TOOL = f"jax.vjp ({named('jax')})"
AVERAGES = (5e-6, "nnx.avg_pool is a sum and a division, and jax2onnx writes both: three stabilizers instead of one")
EXPORTER = f"jax2onnx.to_onnx ({named('jax2onnx', 'flax', 'jax')})"


def apply(layer: Layer, x: Any) -> Any:
    """The layer's output, in JAX."""
    if isinstance(layer, net.Conv):
        numbers = ("NCHW", "OIHW", "NCHW")
        strides = (layer.stride, layer.stride)
        y = lax.conv_general_dilated(x, layer.weight, strides, layer.padding, dimension_numbers=numbers)
        return y + layer.bias[:, None, None]
    if isinstance(layer, net.Dense):
        return x @ layer.weight.T + layer.bias
    if isinstance(layer, (net.MaxPool, net.AveragePool)):
        window = (1, 1, layer.size, layer.size)
        if isinstance(layer, net.MaxPool):
            return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
        return lax.reduce_window(x, 0.0, lax.add, window, window, "VALID") / layer.size**2
    return x.reshape(len(x), -1) if isinstance(layer, net.Flatten) else jnp.maximum(x, 0)


def forward(layer: Layer, a: Array) -> Array:
    """Step 1."""
    with jax.enable_x64(True):
        return np.asarray(apply(layer, jnp.asarray(a)))


def gradient(layer: Layer, a: Array, s: Array) -> Array:
    """Step 3."""
    with jax.enable_x64(True):
        _, transpose = jax.vjp(lambda x: apply(layer, x), jnp.asarray(a))
        return np.asarray(transpose(jnp.asarray(s))[0])


class Sum(nnx.Module):
    """A residual connection."""

    def __init__(self, body: nnx.Module, shortcut: nnx.Module) -> None:
        self.body, self.shortcut = body, shortcut

    def __call__(self, x: Any) -> Any:
        """Adds the branches."""
        return self.body(x) + self.shortcut(x)


def module(layers: Network) -> nnx.Module:
    """The network as flax modules, channels last, float32."""
    return nnx.Sequential(*map(_module, net.channels_last(layers)))


def _module(layer: Layer) -> Any:
    if isinstance(layer, net.Conv):
        outputs, inputs, *kernel = layer.weight.shape
        conv = nnx.Conv(inputs, outputs, kernel, layer.stride, padding=layer.padding, rngs=nnx.Rngs(0))
        return _set(conv, kernel=layer.weight.transpose(2, 3, 1, 0), bias=layer.bias)
    if isinstance(layer, net.Dense):
        dense = nnx.Linear(layer.weight.shape[1], layer.weight.shape[0], rngs=nnx.Rngs(0))
        return _set(dense, kernel=layer.weight.T, bias=layer.bias)
    if isinstance(layer, net.Norm):
        norm = nnx.BatchNorm(len(layer.scale), use_running_average=True, epsilon=layer.epsilon, rngs=nnx.Rngs(0))
        return _set(norm, scale=layer.scale, bias=layer.shift, mean=layer.mean, var=layer.variance)
    if isinstance(layer, net.Residual):
        return Sum(module(layer.body), module(layer.shortcut) if layer.shortcut else nnx.identity)
    if isinstance(layer, (net.MaxPool, net.AveragePool)):
        pool = nnx.max_pool if isinstance(layer, net.MaxPool) else nnx.avg_pool
        window = (layer.size, layer.size)
        return lambda x: pool(x, window_shape=window, strides=window)
    return (lambda x: x.reshape(x.shape[0], -1)) if isinstance(layer, net.Flatten) else nnx.relu


def _set(layer: Any, **values: Array) -> Any:
    for name, value in values.items():
        getattr(layer, name)[...] = jnp.asarray(value, jnp.float32)
    return layer


def export(task: Task, golden: Golden) -> Array:
    """Write the files; returns the module's own logits."""
    model = module(task.network)
    channels, *size = task.inputs.shape[1:]
    shape = ("B", *size, channels)
    for file, layout, options in (
        ("jax2onnx-default.onnx", "NHWC", {}),
        ("jax2onnx-21.onnx", "NHWC", {"opset": 21}),
        ("jax2onnx-nchw.onnx", "NCHW", {"inputs_as_nchw": [0]}),
    ):
        to_onnx(model, [shape], return_mode="file", output_path=str(golden.path(file)), **options)
        golden.add_model(Model(file, EXPORTER, layout, *AVERAGES if task.name == "residual" else ()))
    return np.asarray(model(jnp.asarray(task.inputs.transpose(0, 2, 3, 1), jnp.float32)))


def main() -> None:
    """Make both goldens."""
    for task in (net.digits(), net.residual()):
        make("jax", TOOL, task, sys.modules[__name__], export).save()
