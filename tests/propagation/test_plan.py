"""Plans: one step per node that relevance meets, what the walk reads, and what names stand for."""

from __future__ import annotations

import numpy as np
import pytest
from planning import parsed, planned

from onnx_lrp import TargetError
from onnx_lrp.propagation.plan import resolve_layers
from onnx_lrp.rules import Epsilon, Pass

RNG = np.random.default_rng(0)
W = RNG.standard_normal((3, 3))
ROW = "g (float[N, 3] x) => (float[N, 3] y) { %s }"
LAYERS = parsed(ROW % "a = MatMul(x, W) r = Relu(a) b = MatMul(r, W) l = LeakyRelu(b) y = MatMul(l, W)", W=W)


def test_steps_are_nodes_in_the_order_of_execution() -> None:
    plan = planned(LAYERS)
    assert [step.op for step in plan.steps] == ["MatMul", "Relu", "MatMul", "LeakyRelu", "MatMul"]
    assert [step.outputs for step in plan.steps] == [("a",), ("r",), ("b",), ("l",), ("y",)]
    assert (plan.inputs, plan.target) == (("x",), "y")
    assert [isinstance(step.rule, Epsilon) for step in plan.steps] == [True, False, True, False, True]


def test_steps_carry_what_is_claimed_of_them() -> None:
    first, _, second, _, third = planned(LAYERS).steps
    assert (first.nonnegative, first.masked) == (False, "r")
    assert (second.nonnegative, second.masked) == (True, None)
    assert (third.nonnegative, third.masked) == (False, None)


def test_without_facts_nothing_is_claimed() -> None:
    plan = planned(LAYERS, facts=False)
    assert not plan.facts
    assert plan.differences == {}
    assert not any(step.masked or step.nonnegative for step in plan.steps)


def test_shape_arithmetic_is_derived() -> None:
    plan = planned(parsed(ROW % "a = MatMul(x, W) n = Shape(a) b = Reshape(a, n) y = Relu(b)", W=W))
    assert [node.op_type for node in plan.derived] == ["Shape"]
    assert [step.op for step in plan.steps] == ["MatMul", "Reshape", "Relu"]


READS: list[tuple[str, str, set[str], set[str]]] = [
    # a layer's input, and its output or its ReLU's
    ("a = MatMul(x, W) r = Relu(a) y = MatMul(r, W)", "epsilon", {"x", "r", "y"}, set()),
    ("a = MatMul(x, W) r = LeakyRelu(a) y = MatMul(r, W)", "epsilon", {"x", "a", "r", "y"}, set()),
    ("a = MatMul(x, W) r = LeakyRelu(a) y = MatMul(r, W)", "zplus", {"x", "r", "y"}, set()),
    ("a = MatMul(x, W) r = LeakyRelu(a) y = MatMul(r, W)", "gamma", {"x", "a", "r", "y"}, set()),
    ("a = MatMul(x, W) r = Relu(a) y = MatMul(r, W)", "alpha_beta", {"x", "r", "y"}, set()),
    # of routes, shapes; of a max, values
    ("a = Flatten(x) y = Relu(a)", "epsilon", {"y"}, {"x"}),
    ("a = Neg(x) b = Max(x, a) y = Relu(b)", "epsilon", {"x", "a", "y"}, set()),
    # summands, and the sum
    ("a = Neg(x) b = Flatten(a) s = Add(b, x) y = LeakyRelu(s)", "epsilon", {"x", "b", "s", "y", "a"}, set()),
]


@pytest.mark.parametrize(("text", "composite", "values", "shapes"), READS)
def test_what_the_walk_reads(text: str, composite: str, values: set[str], shapes: set[str]) -> None:
    assert planned(parsed(ROW % text, W=W), composite).needs() == (values, shapes)


def test_without_facts_no_output_is_read() -> None:
    """The formula makes its denominators itself."""
    assert planned(LAYERS, "gamma", facts=False).needs() == ({"x", "r", "l", "y"}, set())


def test_what_passes_needs_shapes_only() -> None:
    model = parsed(ROW % "r = Relu(x) b = BatchNormalization(r, c, c, c, c) y = Relu(b)", c=[1.0, 2.0, 3.0])
    plan = planned(model, batchnorm="pass")
    assert [step.rule for step in plan.steps if step.rule] == [Pass()]
    assert plan.needs() == ({"y"}, {"x", "r"})


def test_only_what_relevance_reaches_is_read() -> None:
    """The gates of a recurrent layer decide, and get nothing."""
    weights = {"W": RNG.standard_normal((1, 8, 3)), "R": RNG.standard_normal((1, 8, 2))}
    text = "g (float[2, 1, 3] x) => (float[2, 1, 1, 2] y) { y = LSTM<hidden_size = 2>(x, W, R) }"
    plan = planned(parsed(text, **weights))
    left = [step for step in plan.steps if step not in set(plan.reached())]
    assert [step.op for step in left].count("Sigmoid") == 2  # of all gates together, at each of two steps
    alone = {name for step in left for name in step.outputs}
    read = {name for step in plan.reached() for name in step.receivers}
    assert not alone & read


@pytest.mark.parametrize("composite", ["zplus", "epsilon_plus_flat"])
def test_masks_are_for_layers_alone(composite: str) -> None:
    """What no rule looks at, and what passes unchanged, claims nothing."""
    model = parsed(ROW % "f = Flatten(x) r = Relu(f) b = MatMul(r, W) y = Relu(b)", W=W)
    assert [step.masked for step in planned(model, composite).steps] == [None] * 4


NAMED = parsed(ROW % "[first] a = MatMul(x, W) [bend] r = Relu(a) [last] y = MatMul(r, W)", W=W)


def test_layers_are_named_by_node_or_by_tensor() -> None:
    plan = planned(NAMED)
    assert resolve_layers(plan, ["first", "r"], "m") == {"first": "a", "r": "r"}
    assert resolve_layers(plan, "last", "m") == {"last": "y"}
    assert resolve_layers(plan, [], "m") == {}


@pytest.mark.parametrize("name", ["x", "nothing", ""])
def test_names_that_stand_for_nothing(name: str) -> None:
    with pytest.raises(TargetError, match=r"m\.onnx: no node or tensor"):
        resolve_layers(planned(NAMED), ["first", name], "m.onnx")
