"""What a step sees of a run: values, shapes, constants; and weights that are made once, where that is right."""

from __future__ import annotations

import numpy as np
import pytest
from planning import Ready, close, parsed, without_facts

from onnx_lrp import Explainer
from onnx_lrp.backends.numpy import NumpyBackend
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.fast import LayerWeights
from onnx_lrp.propagation.tape import StepOperands, Tape, Weights
from onnx_lrp.rules import Signed, pos

RNG = np.random.default_rng(0)
W, B = RNG.standard_normal((4, 4)).astype(np.float32), np.array([1, 2, 3, 4], np.float32)
X = RNG.standard_normal((3, 4)).astype(np.float32)
MODEL = parsed(
    """g (float[N, 4] x) => (float[N, 4] y) { a = Gemm(x, W, b) n = Shape(a) f = Reshape(a, n)
        m = ReduceMean<axes = [1]>(f) c = Clip(f, zero, six) s = ReduceProd(n) k = Cast<to = 1>(s) g = Mul(c, k)
        y = Add(g, m) }""",
    W=W, b=B, zero=0.0, six=6.0,
)  # fmt: skip


@pytest.fixture
def at() -> Ready:
    return Ready.of(MODEL, X)


def test_values_are_of_the_run_then_of_shapes_then_of_the_model(at: Ready) -> None:
    gemm, reshape = at.operands("a"), at.operands("f")
    assert np.array_equal(gemm.value(0), X)
    assert np.array_equal(gemm.value(1), W)
    assert gemm.value(1).dtype == np.float64
    assert np.array_equal(reshape.value(0), at.tape.values["a"])
    assert np.array_equal(reshape.value(1), [3, 4])


def test_constants_are_what_does_not_depend_on_the_data(at: Ready) -> None:
    gemm, reshape = at.operands("a"), at.operands("f")
    assert gemm.constant(0) is None
    assert np.array_equal(gemm.constant(2), B)
    assert np.array_equal(reshape.constant(1), [3, 4])
    assert gemm.constant(3) is None


def test_an_input_that_is_left_out(at: Ready) -> None:
    clip = at.step("c")
    left = StepOperands(type(clip)(clip.name, clip.op, clip.role, ("f", None, "six"), ("c",)), at.tape, at.weights)
    assert left.constant(1) is None
    for read in (left.value, left.shape):
        with pytest.raises(ValueError, match="input 1 is left out"):
            read(1)


def test_shapes_are_noted_or_those_of_values_or_of_constants(at: Ready) -> None:
    gemm = at.operands("a")
    assert [gemm.shape(i) for i in range(3)] == [(3, 4), (4, 4), (4,)]
    noted = StepOperands(gemm.step, Tape(shapes={"x": [7, 4]}), at.weights)
    assert noted.shape(0) == (7, 4)


class Counting(NumpyBackend):
    """NumPy, but it notes what is brought to it."""

    def __init__(self) -> None:
        super().__init__()
        self.brought: list[tuple[int, ...]] = []

    def asarray(self, value: np.ndarray) -> np.ndarray:
        self.brought.append(np.shape(value))
        return super().asarray(value)


def test_constants_are_brought_once() -> None:
    xp = Counting()
    weights = Weights(prepare(MODEL).model, xp)
    assert xp.brought == []
    assert all(np.array_equal(weights.on_backend("W"), W) for _ in range(3))
    assert xp.brought == [(4, 4)]
    assert weights.numpy("W") is weights.numpy("W")
    assert weights.numpy("x") is None


@pytest.mark.parametrize(("output", "kept"), [("a", True), ("m", False), ("g", False)])
def test_parameters_are_kept_if_they_are_those_of_every_run(output: str, kept: bool, at: Ready) -> None:
    """Not so a mean's, which go by the number of elements, nor a weight that is made of a shape."""
    operands = at.operands(output)
    first, second = (operands.parameters(operands.step.role) for _ in range(2))
    assert (first is second) is kept
    assert (operands.step in at.weights.parameters) is kept


def test_parameters_of_another_size_of_batch() -> None:
    """Both are right, in whatever order they come: nothing is kept of the first."""
    text = """g (float[N, 4] x) => (float[N, M] y) {
        n = Shape(x) f = Cast<to = 1>(n) s = ReduceSum<keepdims = 0>(f) a = MatMul(x, W) r = LeakyRelu(a)
        m = ReduceMean<axes = [0]>(r) y = Mul(r, s) }"""
    model = parsed(text, W=W)
    for backend, tolerance in (("numpy", 1e-9), ("torch", 1e-5)):
        explainer = Explainer(model, "gamma", backend=backend)
        for count in (3, 1, 2):
            x = X[:count]
            close(explainer(x).inputs["x"], without_facts(model, x, "gamma").inputs["x"], tolerance)


def test_modified_weights_are_made_once() -> None:
    made = LayerWeights(W)
    xp = NumpyBackend()
    assert np.array_equal(made.under(xp, pos), np.maximum(W, 0))
    assert made.under(xp, Signed(1, 0)) is made.under(xp, pos)
    calls = []
    own = lambda xp, w: calls.append(1) or w  # noqa: E731 - a user's own modifier, which may look at the time of day
    made.under(xp, own)
    made.under(xp, own)
    assert len(calls) == 2
