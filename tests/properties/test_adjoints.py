"""⟨A x, s⟩ = ⟨x, Aᵀ s⟩ for every linear map and every route, over generated attributes, on NumPy and Torch float64.

Every case is one ONNX node: its role comes from the registry, as in a model. Values are small dyadic numbers, exact in
float32, so that the forward pass can be compared with onnxruntime, and so that maxima have ties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper
from sparse_nodes import SPARSE

from onnx_lrp import backends
from onnx_lrp.backends import Backend
from onnx_lrp.backends.base import Window, sum_to
from onnx_lrp.ops import Linear, role_of

BACKENDS = [backends.create(backends.Choice(name, "float64")) for name in ("numpy", "torch")]
OPSET = 21
Draw = Callable[..., Any]


@dataclass
class Node:
    """One node with its operands: what an op sees before the run, and what its map sees during it."""

    op_type: str
    inputs: list[np.ndarray | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    variable: tuple[int, ...] = (0,)
    outputs: int = 1
    hint: str | None = None
    domain: str = ""
    opset: int = OPSET
    exact: bool = True  # whether float32 decides as float64 does
    xp: Backend = BACKENDS[0]

    @property
    def arity(self) -> int:
        return len(self.inputs)

    def has(self, position: int) -> bool:
        return position < len(self.inputs) and self.inputs[position] is not None

    def constant(self, position: int) -> np.ndarray | None:
        return self.inputs[position] if self.has(position) and position not in self.variable else None

    def is_open(self, position: int) -> bool:
        return False

    def same_rows(self, position: int) -> np.ndarray | None:
        value = self.constant(position)
        same = value is not None and value.ndim > 0 and bool((value == value[:1]).all())
        return value[0] if same and len(value) == len(self.inputs[self.variable[0]]) else None

    def is_boolean(self, position: int) -> bool:
        return self.inputs[position].dtype.kind == "b"

    def is_integer(self, position: int) -> bool:
        return self.inputs[position].dtype.kind == "i"

    def rank(self, position: int) -> int:
        return self.inputs[position].ndim

    def shape(self, position: int) -> tuple[int, ...]:
        return self.inputs[position].shape

    def value(self, position: int) -> Any:
        return self.xp.asarray(self.inputs[position])


def numbers(draw: Draw, *shape: int) -> np.ndarray:
    """Multiples of 1/4 between -2 and 2."""
    return np.asarray(np.random.default_rng(draw(st.integers(0, 2**32))).integers(-8, 9, shape) / 4.0)


def several(draw: Draw, n: int, low: int, high: int) -> list[int]:
    return draw(st.lists(st.integers(low, high), min_size=n, max_size=n))


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int64).reshape(-1)


def spatial_sizes(draw: Draw, reach: list[int], pads: list[int]) -> list[int]:
    rank = len(reach)
    least = [max(r - pads[i] - pads[rank + i], 1) for i, r in enumerate(reach)]
    return [n + extra for n, extra in zip(least, several(draw, rank, 0, 3))]


def windows(draw: Draw, rank: int) -> tuple[list[int], list[int], dict[str, Any]]:
    """Kernel, its reach, and attributes."""
    kernel = several(draw, rank, 1, 3)
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    dilations = several(draw, rank, 1, 2) if auto_pad in ("NOTSET", "VALID") else [1] * rank
    attributes = {"auto_pad": auto_pad, "strides": several(draw, rank, 1, 3), "dilations": dilations}
    return kernel, [(k - 1) * d + 1 for k, d in zip(kernel, dilations)], attributes


@st.composite
def convolutions(draw: Draw) -> Node:
    rank = draw(st.integers(1, 3))
    kernel, reach, attributes = windows(draw, rank)
    explicit = attributes["auto_pad"] == "NOTSET"
    pads = [draw(st.integers(0, 2)) if explicit else 0 for _ in range(2 * rank)]
    attributes |= {"pads": pads} if explicit else {}
    group, per_in, per_out = draw(st.sampled_from([(1, 2, 3), (1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 1)]))
    x = numbers(draw, draw(st.integers(1, 2)), group * per_in, *spatial_sizes(draw, reach, pads))
    bias = [numbers(draw, group * per_out)] if draw(st.booleans()) else []
    return Node("Conv", [x, numbers(draw, group * per_out, per_in, *kernel), *bias], {**attributes, "group": group})


@st.composite
def transposed_convolutions(draw: Draw) -> Node:
    rank = draw(st.integers(1, 3))
    kernel, reach, attributes = windows(draw, rank)
    strides, spatial = attributes["strides"], several(draw, rank, 1, 4)
    extra = [draw(st.integers(0, s - 1)) for s in strides] if draw(st.booleans()) else []
    ends = zip(spatial, strides, extra or [0] * rank, reach)
    full = [(n - 1) * s + e + r for n, s, e, r in ends]
    attributes |= {"output_padding": extra} if extra else {}
    if attributes["auto_pad"] == "NOTSET":
        before = [draw(st.integers(0, min(2, r - 1))) for r in reach]
        after = [draw(st.integers(0, min(2, r - 1, f - 1 - b))) for r, f, b in zip(reach, full, before)]
        attributes["pads"] = [*before, *after]
    elif any(extra) or any(f < n * s for f, n, s in zip(full, spatial, strides)):
        attributes["auto_pad"] = "VALID"  # onnxruntime differs from the standard where SAME would have to add
    if not extra and draw(st.booleans()):
        attributes.pop("pads", None)
        attributes["output_shape"] = [draw(st.integers(max(f - 2, 1), f)) for f in full]
    group, per_in, per_out = draw(st.sampled_from([(1, 2, 3), (1, 1, 1), (2, 1, 2), (2, 2, 1), (3, 1, 1)]))
    x = numbers(draw, draw(st.integers(1, 2)), group * per_in, *spatial)
    w = numbers(draw, group * per_in, per_out, *kernel)
    return Node("ConvTranspose", [x, w, numbers(draw, group * per_out)], {**attributes, "group": group})


@st.composite
def poolings(draw: Draw) -> Node:
    rank = draw(st.integers(1, 3))
    kernel, reach, attributes = windows(draw, rank)
    pads = [draw(st.integers(0, (r - 1) // 2)) for r in [*reach, *reach]]
    op = draw(st.sampled_from(["AveragePool", "MaxPool"]))
    if attributes["auto_pad"] == "NOTSET":
        attributes |= {"pads": pads, "ceil_mode": draw(st.integers(0, 1))}
    if op == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    tight = all(s <= r for s, r in zip(attributes["strides"], reach))
    assume(tight or not attributes["auto_pad"].startswith("SAME"))  # onnxruntime refuses negative padding
    x = numbers(draw, 2, draw(st.integers(1, 2)), *spatial_sizes(draw, reach, [0] * 2 * rank))
    return Node(op, [x], {**attributes, "kernel_shape": kernel})


@st.composite
def products(draw: Draw) -> Node:
    k, m, n = several(draw, 3, 1, 4)
    lead = several(draw, draw(st.integers(0, 2)), 1, 3)
    left = draw(st.sampled_from([[k], [m, k], [*lead, m, k], [*(1 for _ in lead), m, k]]))
    right = draw(st.sampled_from([[k], [k, n], [*lead, k, n], [*(1 for _ in lead), k, n], [2, *lead, k, n]]))
    return Node("MatMul", [numbers(draw, *left), numbers(draw, *right)], variable=(draw(st.integers(0, 1)),))


@st.composite
def gemms(draw: Draw) -> Node:
    k, m, n = several(draw, 3, 1, 4)
    data, flip = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    a, b = ((k, m) if data == 1 and flip else (m, k)), ((n, k) if data == 0 and flip else (k, n))
    c = [numbers(draw, *draw(st.sampled_from([(), (1,), (n,), (1, n), (m, 1), (m, n)])))] if draw(st.booleans()) else []
    attributes = {"alpha": 0.5, "beta": -2.0, "transA": flip if data == 1 else 0, "transB": flip if data == 0 else 0}
    return Node("Gemm", [numbers(draw, *a), numbers(draw, *b), *c], attributes, variable=(data,))


@st.composite
def diagonals(draw: Draw) -> Node:
    full = several(draw, draw(st.integers(1, 4)), 1, 3)
    a, b = ([n if draw(st.booleans()) else 1 for n in full][draw(st.integers(0, len(full))) :] for _ in range(2))
    op = draw(st.sampled_from(["Mul", "Div"]))
    data = 0 if op == "Div" else draw(st.integers(0, 1))
    first, second = numbers(draw, *a), numbers(draw, *b)
    return Node(op, [first, np.where(second == 0, 1.0, second) if op == "Div" else second], variable=(data,))


@st.composite
def norms(draw: Draw) -> Node:
    x = numbers(draw, 2, 3, *several(draw, draw(st.integers(0, 3)), 1, 3))
    return Node("BatchNormalization", [x, *(numbers(draw, 3) for _ in range(3)), numbers(draw, 3) ** 2 + 0.5])


@st.composite
def reductions(draw: Draw) -> Node:
    op = draw(
        st.sampled_from(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "GlobalAveragePool", "GlobalMaxPool"])
    )
    x = numbers(draw, *several(draw, draw(st.integers(3 if op.startswith("Global") else 1, 4)), 1, 3))
    if op.startswith("Global"):
        return Node(op, [x])
    axes = draw(st.lists(st.integers(0, x.ndim - 1), unique=True, max_size=x.ndim))
    signed = [a - x.ndim if draw(st.booleans()) else a for a in axes]
    attributes = {"keepdims": draw(st.integers(0, 1)), "noop_with_empty_axes": draw(st.integers(0, 1))}
    return Node(op, [x, ints(*signed)] if signed or draw(st.booleans()) else [x], attributes)


def shaped(draw: Draw, low: int = 1, high: int = 4) -> np.ndarray:
    return numbers(draw, *several(draw, draw(st.integers(low, high)), 1, 4))


@st.composite
def reshapes(draw: Draw) -> Node:
    op = draw(st.sampled_from(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast"]))
    x = shaped(draw)
    if op == "Reshape":
        shape = draw(st.permutations(x.shape)) + draw(st.sampled_from([[], [1]]))
        shape[draw(st.integers(0, len(shape) - 1))] = -1
        return Node(op, [x, ints(*shape)])
    if op == "Flatten":
        return Node(op, [x], {"axis": draw(st.integers(-x.ndim, x.ndim))})
    if op == "Squeeze":
        ones = [a - x.ndim * draw(st.integers(0, 1)) for a, n in enumerate(x.shape) if n == 1]
        return Node(op, [x, ints(*ones)] if ones and draw(st.booleans()) else [x])
    if op == "Unsqueeze":
        rank = x.ndim + 2
        axes = draw(st.lists(st.integers(0, rank - 1), min_size=2, max_size=2, unique=True))
        return Node(op, [x, ints(*(a - rank * draw(st.integers(0, 1)) for a in axes))])
    return Node(op, [x], {"to": TensorProto.FLOAT} if op == "Cast" else {})


@st.composite
def transpositions(draw: Draw) -> Node:
    x = shaped(draw, 2)
    return Node("Transpose", [x], {"perm": draw(st.permutations(range(x.ndim)))} if draw(st.booleans()) else {})


@st.composite
def slices(draw: Draw) -> Node:
    x = shaped(draw)
    axes = draw(st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1, max_size=x.ndim))
    starts, ends, steps = [], [], [draw(st.sampled_from([-3, -2, -1, 1, 2, 3])) for _ in axes]
    for n, step in zip((x.shape[axis] for axis in axes), steps):
        i = draw(st.integers(0, n - 1))  # every way to write a start and an end: from either side, or beyond
        if step < 0:
            starts.append(draw(st.sampled_from([i, i - n] + [n + 2] * (i == n - 1))))
            j = draw(st.integers(-1, i - 1))
            ends.append(draw(st.sampled_from([j, j - n] if j >= 0 else [-n - 1, -n - 3])))
        else:
            starts.append(draw(st.sampled_from([i, i - n] + [-n - 2] * (i == 0))))
            j = draw(st.integers(i + 1, n))
            ends.append(draw(st.sampled_from([j, j - n] if j < n else [n, n + 3])))
    signed = [a - x.ndim * draw(st.integers(0, 1)) for a in axes]
    return Node("Slice", [x, ints(*starts), ints(*ends), ints(*signed), ints(*steps)])


@st.composite
def splits(draw: Draw) -> Node:
    sizes = several(draw, draw(st.integers(1, 3)), 1, 3)
    axis, shape = draw(st.integers(-3, 2)), several(draw, 3, 1, 3)
    if draw(st.booleans()):
        shape[axis] = sum(sizes)
        return Node("Split", [numbers(draw, *shape), ints(*sizes)], {"axis": axis}, outputs=len(sizes))
    shape[axis] = n = draw(st.integers(1, 7))
    parts = draw(st.sampled_from([p for p in range(1, 5) if -(-n // p) * (p - 1) < n]))
    return Node("Split", [numbers(draw, *shape)], {"axis": axis, "num_outputs": parts}, outputs=parts)


@st.composite
def gathers(draw: Draw) -> Node:
    x = shaped(draw)
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    n, shape = x.shape[axis], draw(st.sampled_from([(), (1,), (4,), (2, 3)]))
    indices = np.random.default_rng(draw(st.integers(0, 99))).integers(-n, n, shape)
    return Node("Gather", [x, np.asarray(indices, np.int64)], {"axis": axis})


@st.composite
def enlargements(draw: Draw) -> Node:
    op = draw(st.sampled_from(["Tile", "Expand", "Concat", "DepthToSpace", "SpaceToDepth"]))
    x = shaped(draw)
    if op == "Tile":
        return Node(op, [x, ints(*several(draw, x.ndim, 1, 3))])
    if op == "Expand":
        full = [draw(st.sampled_from([1, n] if n > 1 else [1, 3])) for n in x.shape]
        return Node(op, [x, ints(*draw(st.sampled_from([full, [2, *full], full[1:]])))])
    if op == "Concat":
        axis = draw(st.integers(-x.ndim, x.ndim - 1))
        shapes = [[n if i == axis % x.ndim else m for i, m in enumerate(x.shape)] for n in several(draw, 3, 1, 3)]
        operands = [numbers(draw, *shape) for shape in shapes]
        variable = draw(st.sampled_from([(0, 1, 2), (0, 2), (1,)]))
        return Node(op, [a if i in variable else 0 * a for i, a in enumerate(operands)], {"axis": axis}, variable)
    n, c, h, w, b = several(draw, 5, 1, 3)
    if op == "SpaceToDepth":
        return Node(op, [numbers(draw, n, c, h * b, w * b)], {"blocksize": b})
    return Node(
        op, [numbers(draw, n, c * b * b, h, w)], {"blocksize": b, "mode": draw(st.sampled_from(["DCR", "CRD"]))}
    )


@st.composite
def pads(draw: Draw) -> Node:
    mode = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    x = shaped(draw)
    axes = draw(st.lists(st.integers(0, x.ndim - 1), unique=True, min_size=1, max_size=x.ndim))
    before, after = [], []
    for n in (x.shape[axis] for axis in axes):
        free = mode in ("constant", "edge")  # the others need something to show
        before.append(draw(st.integers(-1 if n > 2 else 0, 3 if free else min(n - 1, 1))))
        after.append(draw(st.integers(-1 if n > 2 else 0, 3 if free else min(n - 1, 1))))
    widths = [*before, *after]
    return Node("Pad", [x, ints(*widths), None, ints(*axes)], {"mode": mode})


@st.composite
def resizings(draw: Draw) -> Node:
    x = numbers(draw, 1, draw(st.integers(1, 2)), *several(draw, 2, 1, 5))
    attributes = {
        "mode": draw(st.sampled_from(["nearest", "nearest", "linear", "cubic"])),
        "coordinate_transformation_mode": draw(
            st.sampled_from(["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"])
        ),
        "nearest_mode": draw(st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])),
    }
    if attributes["mode"] != "nearest":
        attributes |= {"antialias": draw(st.integers(0, 1)), "cubic_coeff_a": draw(st.sampled_from([-0.75, -0.5]))}
        attributes["exclude_outside"] = draw(st.integers(0, 1)) if attributes["mode"] == "cubic" else 0
    if draw(st.booleans()):
        sizes = several(draw, 2, 1, 7)
        exact = all(float(np.float32(m / n)) == m / n for n, m in zip(x.shape[2:], sizes))
        return Node("Resize", [x, None, None, ints(1, x.shape[1], *sizes)], attributes, exact=exact)
    scales = [draw(st.sampled_from([0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0])) for _ in range(2)]
    made = [int(n * f) for n, f in zip(x.shape[2:], scales)]
    assume(min(made) > 0 and (made != list(x.shape[2:]) or scales == [1, 1]))  # onnxruntime copies an unchanged shape
    return Node("Resize", [x, None, np.array([1, 1, *scales], np.float32)], attributes)


@st.composite
def tables(draw: Draw) -> Node:
    x = shaped(draw)
    depth, rows = draw(st.integers(1, x.ndim)), draw(st.integers(1, 6))
    table = [[draw(st.integers(-n, n - 1)) for n in x.shape[:depth]] for _ in range(rows)]
    shape = draw(st.sampled_from([(rows,), (1, rows)]))
    return Node("GatherND", [x, np.array(table, np.int64).reshape(*shape, depth)])


@st.composite
def choices(draw: Draw) -> Node:
    x, y = shaped(draw), draw(st.sampled_from(["same", "column", "number"]))
    shape = {"same": x.shape, "column": (1, *x.shape[1:]), "number": ()}[y]
    condition = numbers(draw, *x.shape) > 0
    return Node("Where", [condition, x, numbers(draw, *shape)], variable=(1, 2))


STRATEGIES = {
    "convolution": convolutions(), "transposed convolution": transposed_convolutions(), "pooling": poolings(),
    "product": products(), "gemm": gemms(), "diagonal": diagonals(), "norm": norms(), "reduction": reductions(),
    "reshape": reshapes(), "slice": slices(), "split": splits(), "gather": gathers(), "enlargement": enlargements(),
    "pad": pads(), "resize": resizings(), "transposition": transpositions(),
    "table": tables(), "choice": choices(),
    **{name: strategy.map(lambda given: Node(*given[:3], **given[3])) for name, strategy in SPARSE.items()},
}  # fmt: skip


def dot(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(sum((a * b).sum() for a, b in pairs))


def agree(a: list[np.ndarray], s: list[np.ndarray], x: list[np.ndarray], back: list[np.ndarray]) -> bool:
    """⟨a, s⟩ = ⟨x, back⟩ to 1e-12 of the sizes involved."""
    size = sum(np.linalg.norm(u) * np.linalg.norm(v) for u, v in [*zip(a, s), *zip(x, back)])
    return abs(dot(list(zip(a, s))) - dot(list(zip(x, back)))) <= 1e-12 * size


def ran(node: Node, xp: Backend) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The node's outputs, and what its adjoint makes of random cotangents; the dot test is done on the way."""
    node.xp = xp
    role = role_of(node, node.attributes)
    outputs = [xp.to_numpy(a) for a in role.forward(xp, node)]
    rng = np.random.default_rng(0)
    cotangents = [rng.standard_normal(a.shape) for a in outputs]
    positions = role.data if isinstance(role.data, tuple) else (role.data,)
    x = [node.inputs[i] for i in positions]
    images = outputs
    if isinstance(role, Linear):
        w, _ = role.parameters(xp, node)
        images = [xp.to_numpy(role.map.forward(xp, xp.asarray(x[0]), w))]
        back = [role.map.transpose(xp, xp.asarray(cotangents[0]), w, x[0].shape)]
    else:
        back = role.map.adjoint(xp, [xp.asarray(s) for s in cotangents], node)
    relevance = [xp.to_numpy(r) for r in back]
    assert [r.shape for r in relevance] == [a.shape for a in x]
    assert agree(images, cotangents, x, relevance)
    return outputs, relevance


def onnxruntime(node: Node) -> list[np.ndarray]:
    names = ["" if a is None else f"i{i}" for i, a in enumerate(node.inputs)]
    made = [f"o{i}" for i in range(node.outputs)]
    floats = [a if a is None or a.dtype.kind in "ib" else a.astype(np.float32) for a in node.inputs]
    graph = helper.make_graph(
        [helper.make_node(node.op_type, names, made, **node.attributes)],
        "node",
        [helper.make_tensor_value_info(names[i], TensorProto.FLOAT, node.inputs[i].shape) for i in node.variable],
        [ValueInfoProto(name=name) for name in made],
        [numpy_helper.from_array(a, n) for i, (n, a) in enumerate(zip(names, floats)) if n and i not in node.variable],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)], ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(made, {names[i]: floats[i] for i in node.variable})


@pytest.mark.parametrize("name", STRATEGIES)
@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(data=st.data())
def test_dot_test_and_forward(name: str, data: st.DataObject) -> None:
    node = data.draw(STRATEGIES[name])
    (made, back), (torch_made, torch_back) = (ran(node, xp) for xp in BACKENDS)
    for mine, other in zip([*made, *back], [*torch_made, *torch_back]):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)
    for mine, runtime in zip(made, onnxruntime(node) if node.exact else ()):
        assert mine.shape == runtime.shape
        np.testing.assert_allclose(mine, runtime, rtol=1e-5, atol=1e-5)


def one_node(op: str, x: np.ndarray, *constants: np.ndarray | None, **attributes: Any) -> None:
    node = Node(op, [x, *constants], attributes)
    for mine, runtime in zip(ran(node, BACKENDS[0])[0], onnxruntime(node)):
        np.testing.assert_array_equal(mine, runtime)


NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def test_resize_moves_values_along_an_axis_that_keeps_its_size() -> None:
    one_node("Resize", np.arange(6.0).reshape(1, 1, 3, 2), None, np.array([1, 1, 1.2, 2], np.float32), **NEAREST)


def test_resize_rounds_sizes_as_onnxruntime_does() -> None:
    one_node("Resize", np.arange(10.0).reshape(1, 1, 10), None, np.array([1, 1, 0.7], np.float32), **NEAREST)


def test_resize_takes_the_same_neighbours_as_onnxruntime() -> None:
    """Else relevance goes to the pixel beside the one that was shown; torch exports this mode."""
    for n in range(1, 20):
        for out in range(1, 20):
            one_node("Resize", np.arange(1.0 * n).reshape(1, 1, n), None, None, ints(1, 1, out), **NEAREST)


def test_a_backward_slice_from_before_the_beginning() -> None:
    one_node("Slice", np.arange(5.0), ints(-100), ints(-100), ints(0), ints(-1))


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.name)
def test_output_padding_of_a_stride_or_more(xp: Backend) -> None:
    ran(Node("ConvTranspose", [np.ones((1, 1, 4)), np.ones((1, 1, 3))], {"dilations": [2], "output_padding": [1]}), xp)


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.name)
def test_padding_beyond_the_kernel(xp: Backend) -> None:
    ran(Node("Conv", [np.ones((1, 1, 1)), np.ones((1, 1, 1))], {"strides": [3], "pads": [2, 0]}), xp)


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.name)
def test_a_split_of_which_only_one_part_is_relevant(xp: Backend) -> None:
    node = Node("Split", [np.ones((2, 7)), ints(3, 1, 3)], {"axis": 1}, outputs=3, xp=xp)
    split = role_of(node, node.attributes).map
    (back,) = split.adjoint(xp, [None, xp.asarray(np.full((2, 1), 5.0)), None], node)
    np.testing.assert_array_equal(xp.to_numpy(back), [[0, 0, 0, 5, 0, 0, 0]] * 2)
    first, last = (xp.asarray(np.full((2, 3), n)) for n in (1.0, 2.0))
    (back,) = split.adjoint(xp, [first, None, last], node)
    np.testing.assert_array_equal(xp.to_numpy(back), [[1, 1, 1, 0, 2, 2, 2]] * 2)


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.name)
def test_primitives_and_their_adjoints(xp: Backend) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 4, 5))
    rows = rng.integers(0, 5, (3, 4, 7))
    maps: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
        (lambda a: xp.take(a, ints(3, 0, 3, 1, 3), 1), lambda s: xp.put(s, ints(3, 0, 3, 1, 3), 1, 4)),
        (lambda a: xp.gather(a, xp.asarray(rows)), lambda s: xp.scatter(s, xp.asarray(rows), 5)),
        (lambda a: xp.pad(a, (2, -1, 0), (0, 1, -3)), lambda s: xp.pad(s, (-2, 1, 0), (0, -1, 3))),
        (lambda a: xp.expand(a, (2, 3, 4, 5)), lambda s: sum_to(xp, s, (3, 4, 5))),
        (lambda a: xp.expand(a[:, :1], (6, 3, 4, 5)), lambda s: xp.pad(sum_to(xp, s, (3, 1, 5)), (0,) * 3, (0, 3, 0))),
        (lambda a: xp.permute(a, (2, 0, 1)), lambda s: xp.permute(s, (1, 2, 0))),
        (lambda a: xp.sum(a, [0, 2], keepdims=True), lambda s: xp.expand(s, (3, 4, 5))),
        (lambda a: xp.sum(a, []), lambda s: s),
    ]
    for forward, adjoint in maps:
        image = xp.to_numpy(forward(xp.asarray(x)))
        s = rng.standard_normal(image.shape)
        back = xp.to_numpy(adjoint(xp.asarray(s)))
        assert back.shape == x.shape
        assert agree([image], [s], [x], [back])


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.name)
def test_the_first_of_several_maxima_wins(xp: Backend) -> None:
    x = xp.asarray(np.array([[0.0, 2.0, 2.0, 1.0, 2.0], [-1.0, -1.0, -1.0, -1.0, -1.0]]))
    assert xp.to_numpy(xp.argmax(x)).tolist() == [[1], [0]]
    window = Window((3,), (1,), (1,), (1,), (1,))
    assert xp.to_numpy(xp.max_pool(x[None], window)[1]).tolist() == [[[1, 1, 1, 2, 4], [0, 0, 1, 2, 3]]]


@pytest.mark.parametrize("xp", BACKENDS, ids=lambda xp: xp.name)
@pytest.mark.parametrize(("before", "after"), [(-1, 2), (2, -1), (-1, -2), (3, 0)])
def test_a_window_that_crops(xp: Backend, before: int, after: int) -> None:
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((1, 2, 8)), rng.standard_normal((3, 2, 3))
    window = Window((3,), (2,), (before,), (after,), (1,))
    padded = np.pad(x[:, :, max(-before, 0) : 8 - max(-after, 0)], [(0, 0)] * 2 + [(max(before, 0), max(after, 0))])
    starts = range(0, padded.shape[2] - 2, 2)
    expected = np.stack([np.einsum("ncl,ocl->no", padded[:, :, i : i + 3], w) for i in starts], 2)
    z = xp.to_numpy(xp.conv(xp.asarray(x), xp.asarray(w), window))
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-12)
    s = rng.standard_normal(z.shape)
    back = xp.to_numpy(xp.conv_transpose(xp.asarray(s), xp.asarray(w), window, (8,)))
    assert agree([z], [s], [x], [back])
