"""scikit-learn's MLPClassifier, exported by skl2onnx; LRP by hand, from ``coefs_``, in NumPy float64."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from .lrp import composites, explain
from .network import Array, Dense, Layer, Relu, Task
from .record import Golden, Model, Reference, named

SKLEARN = named("scikit-learn")
TOOL = f"LRP by hand from MLPClassifier.coefs_ ({SKLEARN}, {named('numpy')})"
EXPORTER = f"skl2onnx.to_onnx ({named('skl2onnx')}, {SKLEARN})"
RULES = ("epsilon", "gamma", "epsilon_plus_flat")  # what the others do without a convolution


def forward(layer: Layer, a: Array) -> Array:
    """Step 1."""
    return a @ layer.weight.T + layer.bias if isinstance(layer, Dense) else np.maximum(a, 0.0)


def gradient(layer: Layer, a: Array, s: Array) -> Array:
    """Step 3: a dense layer's gradient is its transposed weight."""
    assert isinstance(layer, Dense)
    return s @ layer.weight


def trained() -> MLPClassifier:
    """A classifier of scikit-learn's own 8x8 digits; its numbers are rounded to float32."""
    data = load_digits()
    model = MLPClassifier((24, 12), random_state=0, max_iter=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data.data / 16, data.target)
    for values in (*model.coefs_, *model.intercepts_):
        values[...] = values.astype(np.float32)
    return model


def task(model: MLPClassifier) -> Task:
    """The classifier's coefficients as a network, and two digits."""
    layers: list[Layer] = []
    for weight, bias in zip(model.coefs_, model.intercepts_):
        layers += [Dense(weight.T, bias), Relu()]
    inputs = load_digits().data[[3, 5]] / 16
    text = "MLPClassifier, two hidden layers, of 8x8 digits; explained are the logits before its softmax"
    return Task("mlp", text, layers[:-1], inputs, np.array([3, 9]), 0.0, 1.0)


def export(model: MLPClassifier, golden: Golden) -> None:
    """Write the files."""
    ways: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("skl2onnx-12.onnx", np.float32, {"target_opset": 12}),
        ("skl2onnx-18.onnx", np.float32, {"target_opset": 18, "options": {"zipmap": False}}),
        ("skl2onnx-18-float64.onnx", np.float64, {"target_opset": 18}),
    )
    for file, dtype, how in ways:  # the first output is the label, which hides the logits behind an ArgMax, too
        onnx_model = to_onnx(model, golden.inputs[:1].astype(dtype), **how)
        golden.path(file).write_bytes(onnx_model.SerializeToString())
        golden.add_model(Model(file, EXPORTER, output="probabilities" if "options" in how else None))


def main() -> None:
    """Make the golden."""
    model = trained()
    mlp = task(model)
    found = {c.name: explain(sys.modules[__name__], mlp, mlp.network, c) for c in composites(mlp.low, mlp.high)}
    logits = found["epsilon"][0]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(shares, model.predict_proba(mlp.inputs))
    golden = Golden("sklearn-mlp", mlp.description, mlp.inputs, logits, mlp.target)
    for name in RULES:
        golden.add(Reference(TOOL, name), found[name][1])
    export(model, golden)
    golden.save()
