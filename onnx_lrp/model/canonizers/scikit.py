"""Elementary forms of the domain ai.onnx.ml, which skl2onnx writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...ops import Unsupported
from ...ops.columns import TABLES
from .expanding import Builder, expands


@expands(TABLES, "Scaler")
def scaler(build: Builder) -> Sequence[ir.Value]:
    """(x - offset) · scale, one number for all features or one for each."""
    x = _float(build, 0)
    for op, name, neutral in (("Sub", "offset", 0.0), ("Mul", "scale", 1.0)):
        numbers = np.asarray(build.attributes.get(name, [neutral]), np.float32)
        x = build.node(op, [x, build.constant(numbers, name)], "" if op == "Mul" else "centred")
    return [x]


@expands(TABLES, "LinearRegressor")
def linear_regressor(build: Builder) -> Sequence[ir.Value]:
    """x Wᵀ + b."""
    given = build.attributes
    targets = int(given.get("targets", 1))
    weights = np.asarray(given["coefficients"], np.float32).reshape(targets, -1)
    return [_regressed(build, weights, np.asarray(given.get("intercepts") or [0.0], np.float32))]


@expands(TABLES, "SVMRegressor")
def vector_regressor(build: Builder) -> Sequence[ir.Value]:
    """A support vector machine with a linear kernel: one weight, the sum of all vectors."""
    given = build.attributes
    factors = np.asarray(given["coefficients"], np.float64)
    if _text(given.get("kernel_type", "LINEAR")) != "LINEAR" or given.get("one_class"):
        raise Unsupported("a kernel that is not linear", "train it with kernel='linear'")
    vectors = np.asarray(given["support_vectors"], np.float64).reshape(len(factors), -1)
    weights = (factors @ vectors)[None].astype(np.float32)
    return [_regressed(build, weights, np.asarray(given.get("rho") or [0.0], np.float32))]


def _regressed(build: Builder, weights: np.ndarray, shift: np.ndarray) -> ir.Value:
    transform = _text(build.attributes.get("post_transform", "NONE"))
    if transform != "NONE":
        raise Unsupported(f"a regression behind {transform}", "export it without")
    product = build.node("MatMul", [_float(build, 0), build.constant(weights.T, "weight")])
    return build.node("Add", [product, build.constant(shift, "bias")], "shifted")


@expands(TABLES, "FeatureVectorizer")
def feature_vectorizer(build: Builder) -> Sequence[ir.Value]:
    """The inputs side by side, as floats."""
    columns = [_float(build, i) for i in range(len(build.old.inputs))]
    return [build.node("Concat", columns, axis=1)]


def _float(build: Builder, position: int) -> ir.Value:
    return build.node("Cast", [build.value(position)], f"float{position or ''}", to=int(ir.DataType.FLOAT))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
