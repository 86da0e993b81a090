"""The forward pass through our own maps: it is onnxruntime's answer, and what cannot be computed names its node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from planning import Ready, parsed, planned

from onnx_lrp import CompositeError, Explainer, InvalidModelError
from onnx_lrp.backends.numpy import NumpyBackend
from onnx_lrp.model.preparation import prepare
from onnx_lrp.propagation.forward import ForwardRecorder, StepError, floating
from onnx_lrp.propagation.tape import Tape, Weights

RNG = np.random.default_rng(0)
W = RNG.standard_normal((4, 4))
X = RNG.standard_normal((3, 4)).astype(np.float32)
NET = """g (float[N, %s] x) => (float[N, 4] y) { [first] a = Gemm(x, W, b) n = Shape(a) c = Concat<axis = 0>(n, one)
    f = Reshape(a, c) m = Mul(f, h) d = ReduceSum<keepdims = 0>(m, minus) r = LeakyRelu(d) [last] y = MatMul(r, W) }"""
WEIGHTS = {"W": W, "b": [0.5, -1.0, 0.25, 1.0], "one": [1], "h": 0.5, "minus": [-1]}


def test_it_is_onnxruntime_s_answer() -> None:
    model = parsed(NET % "4", **WEIGHTS)
    names = [name for node in model.graph.node for name in node.output]
    wanted = onnx.ModelProto()
    wanted.CopyFrom(model)
    del wanted.graph.output[:]
    wanted.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(wanted.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = dict(zip(names, session.run(names, {"x": X})))
    tape = Ready.of(model, X).tape
    assert {"y", "r", "a"} <= set(tape.values)
    for name in set(tape.values) & set(expected):
        np.testing.assert_allclose(tape.values[name], expected[name], rtol=1e-5, atol=1e-6)
    assert np.array_equal(tape.derived["c"], [3, 4, 1])


def recorder(model: onnx.ModelProto) -> ForwardRecorder:
    ready = prepare(model)
    return ForwardRecorder(ready.model, planned(model), Weights(ready.model, NumpyBackend()), "m.onnx")


def test_what_cannot_be_computed_names_its_node() -> None:
    made = recorder(parsed(NET % "M", **WEIGHTS))
    feeds = {"x": np.ones((3, 5))}
    with pytest.raises(StepError, match=r"^node first \(Gemm\) cannot be computed: "):
        made.run(Tape(values=dict(feeds)))
    with pytest.raises(InvalidModelError, match=r"^m\.onnx: node first \(Gemm\)") as caught:
        made.record(feeds, set())
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("facts", [True, False])
def test_it_is_an_error_of_the_explainer_s(facts: bool, backend: str) -> None:
    explainer = Explainer(parsed(NET % "M", **WEIGHTS), backend=backend, dtype="float64", facts=facts)
    with pytest.raises(InvalidModelError, match=r"node first \(Gemm\)"):
        explainer(np.ones((3, 5), np.float32))
    explainer(X)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError(), "RuntimeError"), (ValueError("one\ntwo"), "one$"), (KeyError("k"), "'k'$"),
        (ZeroDivisionError("zero"), "zero$"), (ValueError("\x1b[31m"), r"^[^\x1b]*$"),
    ],
    ids=repr,
)  # fmt: skip
def test_errors_become_one_line(error: Exception, said: str) -> None:
    with pytest.raises(StepError, match=said):
        failing(error)


@pytest.mark.parametrize("error", [CompositeError("of our own"), AssertionError("a fault"), MemoryError("full")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        failing(error)


def failing(error: Exception) -> None:
    """A forward pass in which the first step raises this."""

    def refuse(*_: object) -> None:
        raise error

    made = recorder(parsed(NET % "4", **WEIGHTS))
    first, *others = made.plan.steps
    made.plan = replace(made.plan, steps=(replace(first, role=replace(first.role, parameters=refuse)), *others))
    made.run(Tape(values={"x": X}))


def test_integers_become_floats() -> None:
    assert floating(np.array([1, 2])).dtype == floating(np.array([True])).dtype == np.float64
    half = np.ones(2, np.float16)
    assert floating(half) is half
