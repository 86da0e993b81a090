"""TensorFlow: Keras layers exported by tf2onnx; steps 1 and 3 by tf.GradientTape in float64."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf2onnx

from . import network as net
from .native import make
from .network import ROOT, Array, Layer, Network, Task
from .record import EXACT, FOLDED, Golden, Model, Reference, named

TENSORFLOW = named("tensorflow")
TOOL = f"tf.GradientTape ({TENSORFLOW})"
EXPORTER = f"tf2onnx.convert.from_keras ({named('tf2onnx')}, {TENSORFLOW})"
EPSILONS = (1e-6, 0.1)  # of innvestigate's relevances
layers = tf.keras.layers


def apply(layer: Layer, x: Any) -> Any:
    """The layer's output, in TensorFlow, whose convolutions on a CPU are channels-last."""
    if isinstance(layer, net.Dense):
        return x @ layer.weight.T + layer.bias
    if isinstance(layer, net.Flatten):
        return tf.reshape(x, (len(x), -1))
    if isinstance(layer, net.Relu):
        return tf.nn.relu(x)
    return tf.transpose(_apply_last(layer, tf.transpose(x, (0, 2, 3, 1))), (0, 3, 1, 2))


def _apply_last(layer: Layer, x: Any) -> Any:
    if isinstance(layer, net.Conv):
        return tf.nn.conv2d(x, layer.weight.transpose(2, 3, 1, 0), layer.stride, layer.padding) + layer.bias
    if isinstance(layer, net.MaxPool):
        return tf.nn.max_pool2d(x, layer.size, layer.size, "VALID")
    return tf.nn.avg_pool2d(x, layer.size, layer.size, "VALID")


def forward(layer: Layer, a: Array) -> Array:
    """Step 1."""
    return apply(layer, tf.constant(a)).numpy()


def gradient(layer: Layer, a: Array, s: Array) -> Array:
    """Step 3."""
    x = tf.constant(a)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = apply(layer, x)
    return tape.gradient(z, x, tf.constant(s)).numpy()


def add_innvestigate(golden: Golden) -> None:
    """Add innvestigate's relevances to the golden of the digit net; it needs a process that is not eager."""
    tool = named("innvestigate", "tensorflow")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relevances.npy"
        command = [sys.executable, "-m", f"{__package__}.innvestigate", path, *map(str, EPSILONS)]
        subprocess.run(command, cwd=ROOT / "tools", check=True)
        for epsilon, relevance in zip(EPSILONS, np.load(path)):
            golden.add(Reference(tool, f"epsilon:epsilon={epsilon:g},stabilizer={epsilon:g}"), relevance)


def module(task: Task) -> tf.keras.Model:
    """The network as a functional Keras model, channels last, in Keras' current float type."""
    channels, *size = task.inputs.shape[1:]
    image = tf.keras.Input((*size, channels), name="image")
    return tf.keras.Model(image, _chain(net.channels_last(task.network), image))


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
        return layers.BatchNormalization(epsilon=layer.epsilon)
    if isinstance(layer, (net.MaxPool, net.AveragePool)):
        return (layers.MaxPooling2D if isinstance(layer, net.MaxPool) else layers.AveragePooling2D)(layer.size)
    return layers.Flatten() if isinstance(layer, net.Flatten) else layers.Activation("relu")


def export(task: Task, golden: Golden) -> Array:
    """Write the files; returns the model's own logits."""
    model = module(task)
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")]
    tolerance = FOLDED if any(isinstance(layer, net.Norm) for layer in task.network) else EXACT
    for version, layout in ((9, "NHWC"), (13, "NHWC"), (17, "NCHW"), (18, "NHWC")):
        file = f"tf2onnx-{version}.onnx" if layout == "NHWC" else f"tf2onnx-{version}-nchw.onnx"
        nchw = ["image"] if layout == "NCHW" else None
        path = str(golden.path(file))
        tf2onnx.convert.from_keras(model, signature, opset=version, inputs_as_nchw=nchw, output_path=path)
        golden.add_model(Model(file, EXPORTER, layout, tolerance))
    return model(task.inputs.transpose(0, 2, 3, 1).astype(np.float32)).numpy()


def main() -> None:
    """Make both goldens."""
    for task in (net.digits(), net.residual()):
        golden = make("tensorflow", TOOL, task, sys.modules[__name__], export)
        if task.name == "digits":
            add_innvestigate(golden)
        golden.save()
