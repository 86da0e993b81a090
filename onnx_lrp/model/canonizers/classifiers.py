"""The scores of scikit-learn's linear classifiers, before they become probabilities and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from ..graph import attributes, label


def linear_scores(model: ir.Model, node: ir.Node) -> list[ir.Node]:
    """x Wᵀ + b of a LinearClassifier; of two classes with one row of weights, -z and z."""
    given = attributes(node)
    shift = np.asarray(given.get("intercepts") or [0.0], np.float32)
    weights = np.asarray(given["coefficients"], np.float32).reshape(len(shift), -1)
    return _scores(model, node, weights, shift)


def _scores(model: ir.Model, node: ir.Node, weights: np.ndarray, shift: np.ndarray) -> list[ir.Node]:
    x = ir.node("Cast", [node.inputs[0]], {"to": int(ir.DataType.FLOAT)}, name=f"{label(node)}/float")
    product = ir.node(
        "MatMul", [x.outputs[0], _constant(model, node, "weight", weights.T)], name=f"{label(node)}/product"
    )
    scores = ir.node("Add", [product.outputs[0], _constant(model, node, "bias", shift)], name=f"{label(node)}/scores")
    made = [x, product, scores]
    if len(shift) == 1:
        other = ir.node("Neg", [scores.outputs[0]], name=f"{label(node)}/other")
        both = ir.node("Concat", [other.outputs[0], scores.outputs[0]], {"axis": 1}, name=f"{label(node)}/both")
        made += [other, both]
    for new in made:
        new.outputs[0].name = f"{new.name}/output"
    return made


def _constant(model: ir.Model, node: ir.Node, part: str, data: np.ndarray) -> ir.Value:
    name = f"{label(node)}/{part}"
    value = ir.val(name, const_value=ir.Tensor(np.ascontiguousarray(data), name=name))
    model.graph.register_initializer(value)
    return value


def vector_scores(model: ir.Model, node: ir.Node) -> list[ir.Node] | None:
    """The decision of a support vector classifier of two classes with a linear kernel; else None.

    Positive sums vote for the first class, so that the second one has the negative.
    """
    given = attributes(node)
    rho = np.asarray(given.get("rho") or [], np.float32)
    if given.get("kernel_type", "LINEAR") not in ("LINEAR", b"LINEAR") or len(rho) != 1:
        return None
    factors = np.asarray(given["coefficients"], np.float64)
    vectors = np.asarray(given["support_vectors"], np.float64).reshape(len(factors), -1)
    return _scores(model, node, -(factors @ vectors)[None].astype(np.float32), -rho)


Scores = Callable[[ir.Model, ir.Node], Sequence[ir.Node] | None]
CLASSIFIERS: dict[str, Scores] = {"LinearClassifier": linear_scores, "SVMClassifier": vector_scores}
