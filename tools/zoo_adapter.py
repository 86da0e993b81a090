"""Adapter between a zoo of exported models with native references and onnx_lrp.

Backend and precision come from the environment: ``LRP_BACKEND=numpy|torch|onnx``, ``LRP_DTYPE=float64|float32``.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import onnx_lrp as lrp

BACKEND = os.environ.get("LRP_BACKEND", "numpy")
DTYPE = os.environ.get("LRP_DTYPE")

# The zoo's names for one rule on every weighted layer
UNIFORM = {"epsilon_0.1": "epsilon", "alpha2_beta1": "alpha_beta"}


def composite(name: str, params: dict[str, Any]) -> lrp.Composite:
    """The zoo's composite with its parameters."""
    known = {"epsilon", "gamma", "alpha", "beta", "stabilizer", "low", "high"}
    settings = ",".join(f"{key}={value}" for key, value in params.items() if key in known)
    return lrp.Composite.parse(f"{UNIFORM.get(name, name)}:{settings}")


def explain(
    model_path: str, inputs: dict[str, np.ndarray], composite_name: str, params: dict[str, Any], target: int
) -> dict[str, np.ndarray]:
    """Relevance by input name; ``target`` is a flat index into each sample's output."""
    explainer = lrp.Explainer(
        model_path,
        composite(composite_name, params),
        output=params.get("output"),
        backend=BACKEND,
        dtype=DTYPE,
        batchnorm=params.get("bn", "affine"),
    )
    return explainer(inputs, target).inputs
