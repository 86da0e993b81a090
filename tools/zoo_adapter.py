"""Adapter between a zoo of exported models with native references and onnx_lrp.

Backend and precision come from the environment: ``LRP_BACKEND=numpy|torch|onnx``, ``LRP_DTYPE=float64|float32``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import onnx_lrp as lrp
from onnx_lrp.composites import LayerInfo

BACKEND = os.environ.get("LRP_BACKEND", "numpy")
DTYPE = os.environ.get("LRP_DTYPE")

# The zoo's names for one rule on every weighted layer
UNIFORM = {"epsilon_0.1": "epsilon", "alpha2_beta1": "alpha_beta"}
UNIFORM_PRESETS = ("gamma", "zplus", "alpha_beta")
STABILIZER = 1e-6  # of averages and merges in every reference, whatever ε the layers have


@dataclass(frozen=True)
class FirstExecuted(lrp.Selector):
    """Of several first layers the one that runs first: the references of nets with two stems know no other."""

    def select(self, layers: Iterable[LayerInfo]) -> list[LayerInfo]:
        """At most one layer."""
        return super().select(layers)[:1]


def composite(name: str, params: dict[str, Any]) -> lrp.Composite:
    """The zoo's composite with its parameters."""
    known = {"epsilon", "gamma", "alpha", "beta", "stabilizer", "low", "high"}
    given = {"stabilizer": STABILIZER, **params}
    settings = ",".join(f"{key}={value}" for key, value in given.items() if key in known)
    found = lrp.Composite.parse(f"{UNIFORM.get(name, name)}:{settings}")
    entries = [(FirstExecuted(s.ops, strict=s.strict) if s.first else s, rule) for s, rule in found.entries]
    if found.name in UNIFORM_PRESETS:  # the zoo's rule is on a BatchNormalization that is not merged, too
        entries.append((lrp.Selector(("BatchNormalization",), strict=False), entries[0][1]))
    return replace(found, entries=tuple(entries))


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
