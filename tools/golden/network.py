"""Networks as plain data: a list of layers with NumPy weights, which every framework's module turns into its own.

Everything here is channels-first: activations (N, C, H, W), convolution weights (out, in, height, width), dense weights
(out, in). Weights are float32 numbers held as float64, so that a file of float32 weights holds the very same network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import numpy_helper
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
Array = np.ndarray


@dataclass(frozen=True)
class Conv:
    """A convolution; ``SAME`` means what TensorFlow means, with the odd row of padding at the end."""

    weight: Array
    bias: Array
    stride: int = 1
    padding: Literal["VALID", "SAME"] = "VALID"


@dataclass(frozen=True)
class Dense:
    """x Wᵀ + b."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Norm:
    """BatchNorm as it is after training, behind a convolution."""

    scale: Array
    shift: Array
    mean: Array
    variance: Array
    epsilon: float = 2.0**-10  # Keras' 1e-3, nearly, and exact in float32


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class MaxPool:
    """Windows of size x size that do not overlap."""

    size: int


@dataclass(frozen=True)
class AveragePool:
    """Windows of size x size that do not overlap."""

    size: int


@dataclass(frozen=True)
class Flatten:
    """(N, C, H, W) to (N, C·H·W); ``shape`` is (C, H, W), which a channels-last framework needs to know."""

    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Residual:
    """The sum of two branches; an empty shortcut is the identity."""

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


Layer = Conv | Dense | Norm | Relu | MaxPool | AveragePool | Flatten | Residual
Network = Sequence[Layer]


@dataclass(frozen=True)
class Task:
    """A network, a batch of inputs (N, C, H, W), the output to explain for each sample, and bounds of the inputs."""

    name: str
    description: str
    network: Network
    inputs: Array
    target: Array
    low: float
    high: float


def digits() -> Task:
    """The digit net of ``models/``, on a three, explained as a three, and on a five, also explained as a three."""
    parameters = {i.name: numpy_helper.to_array(i) for i in onnx.load(MODELS / "mnist_cnn.onnx").graph.initializer}

    def weights(name: str) -> tuple[Array, Array]:
        return parameters[f"{name}.weight"].astype(np.float64), parameters[f"{name}.bias"].astype(np.float64)

    network = (
        *(Conv(*weights("0")), Relu(), MaxPool(2), Conv(*weights("3")), Relu(), MaxPool(2)),
        *(Flatten((16, 4, 4)), Dense(*weights("7")), Relu(), Dense(*weights("9"))),
    )
    pixels = [np.asarray(Image.open(MODELS / "digits" / f"{digit}.png").convert("L")) for digit in (3, 5)]
    inputs = (np.stack(pixels)[:, None] / np.float32(255)).astype(np.float32).astype(np.float64)
    text = "the digit net of models/mnist_cnn.onnx: two convolutions with max pooling, two dense layers"
    return Task("digits", text, network, inputs, np.array([3, 3]), 0.0, 1.0)


def residual() -> Task:
    """A residual net with BatchNorm, strides with padding SAME, average pooling: random weights, inputs of any sign."""
    random = np.random.default_rng(7)
    network = (
        *(*_conv_norm(random, 2, 4, 3, 1), Relu()),
        Residual(
            (*_conv_norm(random, 4, 6, 3, 2), Relu(), *_conv_norm(random, 6, 6, 3, 1)),
            _conv_norm(random, 4, 6, 1, 2),
        ),
        *(Relu(), AveragePool(2)),
        *(Residual((*_conv_norm(random, 6, 6, 3, 1), Relu())), Flatten((6, 2, 2))),
        Dense(_exact(random.normal(size=(4, 24)) / 4), _exact(random.normal(size=4) / 4)),
    )
    inputs = _exact(random.normal(size=(2, 2, 8, 8)))
    text = "a residual CNN: BatchNorm behind each convolution, stride 2 with padding SAME, average pooling, dense"
    return Task("residual", text, network, inputs, np.array([0, 2]), -4.0, 4.0)


def _conv_norm(random: Any, inputs: int, outputs: int, kernel: int, stride: int) -> tuple[Layer, ...]:
    scale = np.sqrt(2 / (inputs * kernel**2))
    weight = _exact(random.normal(size=(outputs, inputs, kernel, kernel)) * scale)
    conv = Conv(weight, _exact(random.normal(size=outputs) / 10), stride, "SAME")
    mean, shift = _exact(random.normal(size=(2, outputs)) / 5)
    gain, variance = _exact(random.uniform(0.5, 1.5, (2, outputs)))
    return conv, Norm(gain, shift, mean, variance)


def _exact(values: Array) -> Array:
    """Rounded to float32, held as float64."""
    return values.astype(np.float32).astype(np.float64)


def merged(network: Network) -> tuple[Layer, ...]:
    """The same function without BatchNorm: each one is merged into the convolution before it, in float64."""
    layers: list[Layer] = []
    for layer in network:
        if isinstance(layer, Norm):
            conv = layers.pop()
            assert isinstance(conv, Conv)
            factor = layer.scale / np.sqrt(layer.variance + layer.epsilon)
            bias = (conv.bias - layer.mean) * factor + layer.shift
            layers.append(replace(conv, weight=conv.weight * factor[:, None, None, None], bias=bias))
        elif isinstance(layer, Residual):
            layers.append(Residual(merged(layer.body), merged(layer.shortcut)))
        else:
            layers.append(layer)
    return tuple(layers)


def channels_last(network: Network) -> tuple[Layer, ...]:
    """The same network for a framework that flattens (N, H, W, C): the rows of the next dense weight are reordered."""
    layers = list(network)
    for i, layer in enumerate(layers[:-1]):
        following = layers[i + 1]
        if isinstance(layer, Flatten) and isinstance(following, Dense):
            weight = following.weight.reshape(-1, *layer.shape).transpose(0, 2, 3, 1)
            layers[i + 1] = replace(following, weight=weight.reshape(len(weight), -1))
    return tuple(layers)
