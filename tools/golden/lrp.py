"""LRP in the four steps of Montavon et al. 2019 (section 10.2.2), for any framework that can differentiate.

1. z = forward pass through the modified layer; 2. s = R / z; 3. c = gradient of the sum of z·s with respect to the
input; 4. R = a · c. Steps 1 and 3 are the framework's own, in float64; a framework is an object with two methods::

    forward(layer, a)       the layer's output, NumPy to NumPy
    gradient(layer, a, s)   the gradient of sum(forward(layer, a) * s) with respect to a

A rule is a function of a layer with weights, its input and the relevance of its output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from .network import Array, AveragePool, Conv, Dense, Flatten, Layer, MaxPool, Network, Norm, Relu, Residual, Task

EPSILON = 1e-6


class Framework(Protocol):
    """A framework's forward pass and gradient, layer by layer, float64, (N, C, H, W)."""

    def forward(self, layer: Layer, a: Array) -> Array:
        """The layer's output."""

    def gradient(self, layer: Layer, a: Array, s: Array) -> Array:
        """The gradient of sum(forward(layer, a) * s) with respect to a."""


Rule = Callable[[Framework, "Conv | Dense", Array, Array], Array]


def stabilised(z: Array, epsilon: float = EPSILON) -> Array:
    """Z moved away from 0 by epsilon; 0 counts as positive."""
    return z + np.where(z >= 0, epsilon, -epsilon)


def share(framework: Framework, layers: list[Layer], inputs: list[Array], relevance: Array) -> Array:
    """The four steps for a sum of modified layers, each on its own modified input."""
    z = sum(framework.forward(layer, a) for layer, a in zip(layers, inputs))
    s = relevance / stabilised(z)
    return sum(a * framework.gradient(layer, a, s) for layer, a in zip(layers, inputs))


def modified(layer: Conv | Dense, change: Callable[[Array], Array], bias: bool = True) -> Conv | Dense:
    """The layer with changed weights, and a changed bias or none."""
    return replace(layer, weight=change(layer.weight), bias=change(layer.bias) if bias else 0 * layer.bias)


def positive(a: Array) -> Array:
    """max(a, 0)."""
    return np.maximum(a, 0.0)


def negative(a: Array) -> Array:
    """min(a, 0)."""
    return np.minimum(a, 0.0)


def epsilon_rule(framework: Framework, layer: Conv | Dense, a: Array, relevance: Array) -> Array:
    """Bach et al. 2015, eq. 58."""
    return share(framework, [layer], [a], relevance)


def signed_rule(kept: Callable[[Array], Array], other: Callable[[Array], Array]) -> Rule:
    """Positive inputs meet weights that ``kept`` changed, negative ones those of ``other``; the bias is ``kept``'s."""

    def rule(framework: Framework, layer: Conv | Dense, a: Array, relevance: Array) -> Array:
        layers = [modified(layer, kept), modified(layer, other, bias=False)]
        return share(framework, layers, [positive(a), negative(a)], relevance)

    return rule


plus_rule = signed_rule(positive, negative)  # Montavon et al. 2017
minus_rule = signed_rule(negative, positive)


def alpha2_beta1_rule(framework: Framework, layer: Conv | Dense, a: Array, relevance: Array) -> Array:
    """Bach et al. 2015, eq. 60."""
    return 2 * plus_rule(framework, layer, a, relevance) - minus_rule(framework, layer, a, relevance)


def gamma_rule(framework: Framework, layer: Conv | Dense, a: Array, relevance: Array) -> Array:
    """Andéol et al. 2021, the form for inputs of any sign; gamma is 0.25."""
    z = framework.forward(layer, a)

    def up(w: Array) -> Array:
        return w + 0.25 * positive(w)

    def down(w: Array) -> Array:
        return w + 0.25 * negative(w)

    above = signed_rule(up, down)(framework, layer, a, np.where(z > 0, relevance, 0))
    return above + signed_rule(down, up)(framework, layer, a, np.where(z < 0, relevance, 0))


def flat_rule(framework: Framework, layer: Conv | Dense, a: Array, relevance: Array) -> Array:
    """Lapuschkin et al. 2019."""
    return share(framework, [modified(layer, np.ones_like, bias=False)], [np.ones_like(a)], relevance)


def box_rule(low: float, high: float) -> Rule:
    """Montavon et al. 2017, for inputs between low and high."""

    def rule(framework: Framework, layer: Conv | Dense, a: Array, relevance: Array) -> Array:
        changes: tuple[Callable[[Array], Array], ...] = (np.array, lambda w: -positive(w), lambda w: -negative(w))
        layers = [modified(layer, change, bias=False) for change in changes]
        return share(framework, layers, [a, np.full_like(a, low), np.full_like(a, high)], relevance)

    return rule


@dataclass(frozen=True)
class Composite:
    """Which rule goes to convolutions, to dense layers, and to the first layer; ``name`` is how onnx_lrp calls it."""

    name: str
    convolution: Rule
    dense: Rule
    first: Rule | None = None


def composites(low: float, high: float) -> tuple[Composite, ...]:
    """Those that every golden has."""
    box = f"epsilon_gamma_box:low={low:g},high={high:g}"
    return (
        Composite("epsilon", epsilon_rule, epsilon_rule),
        Composite("gamma", gamma_rule, gamma_rule),
        Composite("epsilon_plus", plus_rule, epsilon_rule),
        Composite("epsilon_plus_flat", plus_rule, epsilon_rule, flat_rule),
        Composite("epsilon_alpha2_beta1", alpha2_beta1_rule, epsilon_rule),
        Composite(box, gamma_rule, epsilon_rule, box_rule(low, high)),
    )


def run(framework: Framework, layers: Network, a: Array) -> list[Array]:
    """The input and every layer's output."""
    values = [a]
    for layer in layers:
        values.append(output(framework, layer, values[-1]))
    return values


def output(framework: Framework, layer: Layer, a: Array) -> Array:
    """One layer's output."""
    if isinstance(layer, Residual):
        return run(framework, layer.body, a)[-1] + run(framework, layer.shortcut, a)[-1]
    return framework.forward(layer, a)


def explain(framework: Framework, task: Task, network: Network, composite: Composite) -> tuple[Array, Array]:
    """Logits and relevance of the input; ``network`` is the task's with BatchNorm merged."""
    logits = run(framework, network, task.inputs)[-1]
    seed = np.zeros_like(logits)
    rows = np.arange(len(logits))
    seed[rows, task.target] = logits[rows, task.target]
    return logits, backward(framework, network, task.inputs, seed, composite, first=network[0])


def backward(
    framework: Framework, layers: Network, a: Array, relevance: Array, composite: Composite, first: Layer | None = None
) -> Array:
    """Relevance of a chain's input."""
    inputs = run(framework, layers, a)
    for layer, x in reversed(list(zip(layers, inputs))):
        relevance = step(framework, layer, x, relevance, composite, layer is first)
    return relevance


def step(framework: Framework, layer: Layer, a: Array, relevance: Array, composite: Composite, is_first: bool) -> Array:
    """Relevance of one layer's input."""
    if isinstance(layer, (Conv, Dense)):
        rule = composite.convolution if isinstance(layer, Conv) else composite.dense
        return (composite.first if is_first and composite.first else rule)(framework, layer, a, relevance)
    if isinstance(layer, AveragePool):
        return share(framework, [layer], [a], relevance)
    if isinstance(layer, (MaxPool, Flatten)):
        return framework.gradient(layer, a, relevance)
    if isinstance(layer, Residual):
        branches = (layer.body, layer.shortcut)
        ends = [run(framework, branch, a)[-1] for branch in branches]
        s = relevance / stabilised(ends[0] + ends[1])
        return sum(backward(framework, branch, a, z * s, composite) for branch, z in zip(branches, ends))
    assert isinstance(layer, Relu), f"{type(layer).__name__} has no rule; a {Norm.__name__} should have been merged"
    return relevance
