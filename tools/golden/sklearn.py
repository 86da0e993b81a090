"""scikit-learn's MLPClassifier, exported by skl2onnx; LRP of dense layers by hand, from ``coefs_``, in NumPy float64."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from . import network as net
from .lrp import composites, explain
from .native import add_native
from .network import Array, Layer, Task
from .record import Golden, Model, named

SKLEARN = named("scikit-learn")
TOOL = f"hand from MLPClassifier.coefs_ ({SKLEARN}, {named('numpy')})"
EXPORTER = f"skl2onnx.to_onnx ({named('skl2onnx')}, {SKLEARN})"


def forward(layer: Layer, a: Array) -> Array:
    """Step 1."""
    return a @ layer.weight.T + layer.bias if isinstance(layer, net.Dense) else net_relu(a)


def net_relu(a: Array) -> Array:
    """The only activation here."""
    return np.maximum(a, 0.0)


def gradient(layer: Layer, a: Array, s: Array) -> Array:
    """Step 3: the gradient of a dense layer is its transposed weight."""
    assert isinstance(layer, net.Dense)
    return s @ layer.weight
