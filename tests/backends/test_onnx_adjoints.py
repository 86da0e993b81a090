"""What the recording backend appends to a graph computes, in onnxruntime, what NumPy computes in float64.

Values are small dyadic numbers, exact in float32, and so are all of their products and sums: results must be equal.
The first axis stays open while a function is recorded, and its size is known only to the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnx_lrp.backends.base import Window, sum_to
from onnx_lrp.backends.numpy import NumpyBackend
from onnx_lrp.backends.onnx import OnnxBackend
from onnx_lrp.backends.symbols import BatchSize, Graph

NUMPY = NumpyBackend("float64")
SAMPLES = 2
Function = Callable[..., Any]
by_opset = pytest.mark.parametrize("opset", [9, 10, 13, 18])


def recorded(function: Function, arrays: list[np.ndarray], opset: int, batched: int = 1) -> np.ndarray:
    """The function as a model of its own, run by onnxruntime; the first ``batched`` arrays have an open batch."""
    shapes = [(BatchSize(), *a.shape[1:]) if i < batched else a.shape for i, a in enumerate(arrays)]
    declared = [[None if isinstance(n, BatchSize) else n for n in shape] for shape in shapes]
    made = ir.Graph([], [], nodes=[], opset_imports={"": opset}, name="recorded")
    made.inputs.extend(ir.val(f"x{i}", ir.DataType.FLOAT, shape) for i, shape in enumerate(declared))
    graph = Graph(made, opset, made.inputs[0])
    result = function(OnnxBackend(graph), *map(graph.wrap, made.inputs, shapes))
    graph.output(result, "y", [None if isinstance(n, BatchSize) else n for n in result.shape])
    graph.prune(set())
    proto = ir.to_proto(ir.Model(made, ir_version=8))
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {f"x{i}": a.astype(np.float32) for i, a in enumerate(arrays)}
    y = session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})[0]
    assert y.shape == tuple(n.times * len(arrays[0]) if isinstance(n, BatchSize) else n for n in result.shape)
    return y


def agree(function: Function, arrays: list[np.ndarray], opset: int, batched: int = 1, tolerance: float = 0) -> None:
    expected = np.asarray(function(NUMPY, *arrays))
    np.testing.assert_allclose(recorded(function, arrays, opset, batched), expected, rtol=tolerance)


def numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Multiples of 1/4 between -2 and 2."""
    return rng.integers(-8, 9, shape) / 4.0


def drawn(rng: np.random.Generator, rank: int, *choices: int) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.choice(choices, rank))


def convolution(rng: np.random.Generator) -> tuple[Window, tuple[int, ...], tuple[int, int]]:
    """Window, spatial shape, and (O, C); redrawn until the kernel stands somewhere."""
    while True:
        rank = int(rng.choice([1, 2, 2, 2, 3]))
        kernel = (1,) * rank if rng.random() < 0.2 else drawn(rng, rank, 1, 2, 3, 5)
        before, after = drawn(rng, rank, 0, 0, 1, 2, -1), drawn(rng, rank, 0, 0, 1, 2, -1)
        channels, groups = int(rng.choice([4, 12])), int(rng.choice([1, 1, 2, 4]))
        outputs = groups * int(rng.choice([1, 2, 3]))
        if rng.random() < 0.3:
            groups, outputs = channels, channels * int(rng.choice([1, 2]))
        window = Window(kernel, drawn(rng, rank, 1, 2, 3), before, after, drawn(rng, rank, 1, 1, 1, 2), groups)
        spatial = tuple(int(n) for n in rng.integers(4, 10, rank))
        if min(window.output(spatial)) >= 1:
            return window, spatial, (outputs, channels)


@by_opset
@pytest.mark.parametrize("part", range(5))
def test_convolution_and_its_adjoint(opset: int, part: int) -> None:
    rng = np.random.default_rng([opset, part])
    for _ in range(15):
        window, spatial, (outputs, channels) = convolution(rng)
        x, s = numbers(rng, SAMPLES, channels, *spatial), numbers(rng, SAMPLES, outputs, *window.output(spatial))
        w = numbers(rng, outputs, channels // window.groups, *window.kernel)
        agree(lambda xp, x, w: xp.conv(x, w, window), [x, w], opset)
        agree(lambda xp, s, w: xp.conv_transpose(s, w, window, spatial), [s, w], opset)


POOLINGS = {  # kernel, strides, before, after, dilations, spatial shape
    "disjoint": Window((2, 2), (2, 2), (0, 0), (0, 0), (1, 1)),
    "overlapping": Window((3, 3), (2, 2), (0, 0), (0, 0), (1, 1)),
    "dense": Window((3, 2), (1, 1), (0, 0), (0, 0), (1, 1)),
    "padded": Window((3, 3), (2, 2), (1, 1), (1, 1), (1, 1)),
    "ceil": Window((3, 3), (2, 2), (0, 1), (1, 1), (1, 1)),
    "jumping": Window((2, 1), (3, 2), (0, 0), (0, 0), (1, 1)),
    "cropped": Window((1, 2), (3, 4), (0, 0), (-1, -2), (1, 1)),
    "dilated": Window((2, 2), (1, 2), (1, 0), (0, 1), (2, 3)),
    "line": Window((3,), (2,), (1,), (0,), (1,)),
    "cube": Window((2, 2, 3), (2, 1, 1), (0, 0, 1), (0, 0, 1), (1, 1, 1)),
}


def pooled_inputs(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """An input with many ties, and a value for every window."""
    rng = np.random.default_rng(0)
    spatial = (7, 8, 5)[: len(window.kernel)]
    return rng.integers(-1, 3, (SAMPLES, 3, *spatial)) / 1.0, numbers(rng, SAMPLES, 3, *window.output(spatial))


@by_opset
@pytest.mark.parametrize("kind", POOLINGS)
def test_max_pooling_and_its_adjoint(kind: str, opset: int) -> None:
    window = POOLINGS[kind]
    if opset < 10 and max(window.dilations) > 1:
        pytest.skip("MaxPool has dilations since opset 10")
    x, s = pooled_inputs(window)
    agree(lambda xp, x: xp.max_pool(x, window)[0], [x], opset)
    agree(lambda xp, x, s: xp.max_unpool(s, xp.max_pool(x, window)[1], window, xp.shape(x)), [x, s], opset, batched=2)


@by_opset
def test_the_first_of_several_maxima_wins(opset: int) -> None:
    window = POOLINGS["overlapping"]
    x = np.full((1, 1, 5, 5), 3.0)

    def winners(xp: Any, x: Any, s: Any) -> Any:
        return xp.max_unpool(s, xp.max_pool(x, window)[1], window, xp.shape(x))

    expected = np.zeros((1, 1, 5, 5))
    expected[..., :3:2, :3:2] = [[1, 2], [3, 4]]
    s = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    np.testing.assert_array_equal(recorded(winners, [x, s], opset, batched=2), expected)


@by_opset
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0, 0, 1, 0), (0, 0, 0, 2)),
        ((0, 0, -1, 0), (0, 0, 0, -2)),
        ((0, 1, -1, 2), (0, -1, 3, -3)),
        ((0, 0, 0, 0), (0, 0, 0, 0)),
    ],
)
def test_pad(before: tuple[int, ...], after: tuple[int, ...], opset: int) -> None:
    agree(lambda xp, a: xp.pad(a, before, after), [numbers(np.random.default_rng(0), SAMPLES, 3, 4, 5)], opset)


@by_opset
@pytest.mark.parametrize(
    ("starts", "stops", "steps"),
    [
        ((0, 1, 0), (SAMPLES, 3, 6), (1, 1, 1)),
        ((0, 0, 1), (SAMPLES, 4, 6), (1, 3, 2)),
        ((0, 0, 0), (SAMPLES, 4, 7), (1, -1, -2)),
        ((0, 2, 3), (SAMPLES, 2, 4), (1, 1, 1)),
    ],
)
def test_slice(starts: tuple[int, ...], stops: tuple[int, ...], steps: tuple[int, ...], opset: int) -> None:
    a = numbers(np.random.default_rng(0), SAMPLES, 4, 7)
    index = tuple(slice(b, e, t) if t > 0 else slice(None, None, t) for b, e, t in zip(starts, stops, steps))
    made = recorded(lambda xp, a: xp.slice(a, starts, (a.shape[0], *stops[1:]), steps), [a], opset)
    np.testing.assert_array_equal(made, a[index])


ELEMENTWISE: dict[str, Function] = {
    "take": lambda xp, a: xp.take(a, np.array([3, 0, 0]), 1),
    "put": lambda xp, a: xp.put(a, np.array([5, 0, 5, 1]), 1, 7),
    "put_last": lambda xp, a: xp.put(a, np.array([0, 2, 3, 3, 1]), 2, 4),
    "put_take": lambda xp, a: xp.put(xp.take(a, np.array([1, 1]), 2), np.array([4, 1]), 2, 5),
    "sum": lambda xp, a: xp.sum(a, [2]),
    "sum_keepdims": lambda xp, a: xp.sum(a, [2, 1], keepdims=True),
    "sum_batch": lambda xp, a: xp.sum(a, [0, 2]),
    "sum_all": lambda xp, a: xp.sum(a, range(3)),
    "sum_none": lambda xp, a: xp.sum(a, []),
    "sum_to": lambda xp, a: sum_to(xp, a, (1, 5)),
    "sum_to_itself": lambda xp, a: sum_to(xp, a, xp.shape(a)),
    "expand": lambda xp, a: xp.expand(xp.sum(a, [1], keepdims=True), xp.shape(a)),
    "expand_rank": lambda xp, a: xp.expand(a, (3, *xp.shape(a))),
    "expand_number": lambda xp, a: xp.expand(xp.asarray(np.array(0.5)), xp.shape(a)),
    "expand_in_sum": lambda xp, a: xp.expand(xp.asarray(np.array(0.5)), xp.shape(a)) + a,
    "zeros_ones": lambda xp, a: xp.zeros_like(a) - xp.ones_like(a),
    "reshape": lambda xp, a: xp.reshape(a, (*xp.shape(a)[:1], -1)),
    "reshape_into_batch": lambda xp, a: xp.reshape(a, (xp.shape(a)[0] * 4, 5)),
    "permute": lambda xp, a: xp.permute(xp.permute(a, [0, 2, 1]), [1, 0, 2]),
    "permute_back": lambda xp, a: xp.permute(xp.permute(a, [2, 0, 1]), [1, 2, 0]),
    "concat": lambda xp, a: xp.concat([a, -a, a * 2], 1),
    "matmul": lambda xp, a: xp.matmul(a, xp.permute(a, [0, 2, 1])),
    "scatter": lambda xp, a: xp.scatter(xp.gather(a, xp.argmax(a)), xp.argmax(a), 6),
    "argmax_of_ties": lambda xp, a: xp.gather(xp.expand(xp.asarray(np.arange(5.0)), xp.shape(a)), xp.argmax(a)),
    "where": lambda xp, a: xp.where(a < 0, a * 2, 1.0) + xp.where(a > 1, -1.0, a),
    "equal": lambda xp, a: xp.where(a == 0, 1.0, 0.0) + xp.where(a == 0.25, 4.0, 0.0),
    "maximum": lambda xp, a: xp.maximum(a, 0.0) + 2 * xp.maximum(a, 0.25) + 4 * xp.maximum(a, -1.5),
    "minimum": lambda xp, a: xp.minimum(a, 0.0) + 2 * xp.minimum(a, 0.25) + 4 * xp.minimum(a, -1.5),
    "arithmetic": lambda xp, a: (1 - a) * (a + 0.5) + (-xp.abs(a)) - 2 / (xp.abs(a) * 0 + 4),
}  # fmt: skip


@pytest.mark.parametrize("opset", [9, 10, 11, 13, 18])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions(name: str, opset: int) -> None:
    agree(ELEMENTWISE[name], [numbers(np.random.default_rng(1), SAMPLES, 4, 5)], opset)


SIZES = np.array([0.0, -0.0, 1.2e-38, 1e-30, 3e-19, 1e-9, 1e-6, 1e-3, 1.0, 7.5, 1e9, 1e30, 3e38])
SIGNED = np.concatenate([SIZES, -SIZES]).astype(np.float32).astype(np.float64)[None]


@by_opset
@pytest.mark.parametrize("epsilon", [1e-12, 1e-6, 0.25, 10.0])
def test_stabilize(epsilon: float, opset: int) -> None:
    expected = NUMPY.stabilize(SIGNED, epsilon)
    made = recorded(lambda xp, z: xp.stabilize(z, epsilon), [SIGNED], opset)
    np.testing.assert_allclose(made, expected, rtol=1e-6)


@by_opset
@pytest.mark.parametrize("epsilon", [1e-30, 1e-21, 1e-19, 1e-6, 0.25])
@pytest.mark.parametrize("nonnegative", [False, True])
def test_stabilized_ratio(epsilon: float, nonnegative: bool, opset: int) -> None:
    a = SIGNED[np.abs(SIGNED) <= (1e38 * epsilon if epsilon > 1e-20 else np.inf)][None]
    a = np.abs(a) if nonnegative else a
    expected = NUMPY.stabilized_ratio(a, epsilon, nonnegative)
    made = recorded(lambda xp, a: xp.stabilized_ratio(a, epsilon, nonnegative), [a], opset)
    np.testing.assert_allclose(made, expected, rtol=1e-6, atol=1e-30)


BEYOND = pytest.mark.xfail(reason="a / ε overflows, and Softsign of infinity is NaN", raises=AssertionError)


@pytest.mark.parametrize(("value", "epsilon"), [(1e20, 1e-19), (1e26, 1e-12), pytest.param(1e33, 1e-6, marks=BEYOND)])
def test_stabilized_ratio_what_is_huge(value: float, epsilon: float) -> None:
    made = recorded(lambda xp, a: xp.stabilized_ratio(a, epsilon), [np.array([[value]])], 18)
    np.testing.assert_array_equal(made, [[1.0]])


@by_opset
def test_stabilized_ratio_a_difference(opset: int) -> None:
    rng = np.random.default_rng(0)
    a, b = numbers(rng, SAMPLES, 9), numbers(rng, SAMPLES, 9)
    agree(lambda xp, a, b: xp.stabilized_ratio(a - b, 1e-6), [a, b], opset, batched=2, tolerance=1e-6)


def test_the_same_node_is_made_once() -> None:
    made = ir.Graph([], [], nodes=[], opset_imports={"": 18})
    graph = Graph(made, 18, ir.val("x"))
    xp, x = OnnxBackend(graph), graph.wrap(ir.val("x", ir.DataType.FLOAT), (BatchSize(), 4))
    assert xp.maximum(x, 0) is xp.maximum(x, 0)
    assert (x * 2).value is (x * 2).value
    assert len(list(made)) == 2


def test_shapes_that_do_not_fit_are_refused() -> None:
    graph = Graph(ir.Graph([], [], nodes=[], opset_imports={"": 18}), 18, ir.val("x"))
    xp, x = OnnxBackend(graph), graph.wrap(ir.val("x"), (BatchSize(), 4))
    with pytest.raises(ValueError, match="broadcast"):
        x + xp.asarray(np.ones(3))
    with pytest.raises(ValueError, match="multiplied"):
        xp.matmul(x, xp.asarray(np.ones((3, 2))))
    with pytest.raises(TypeError, match="no numbers"):
        xp.to_numpy(x)
