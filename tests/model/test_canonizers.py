"""Canonizers are exact: in float64 the rewritten graph answers like the original to 1e-12, and keeps its names."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from onnx_lrp import Composite, Explainer
from onnx_lrp.backends.numpy import NumpyBackend
from onnx_lrp.model import preparation
from onnx_lrp.model.canonizers import MergeAffine
from onnx_lrp.model.preparation import prepare
from onnx_lrp.model.prepared import Prepared
from onnx_lrp.propagation.forward import ForwardRecorder
from onnx_lrp.propagation.plan import make_plan
from onnx_lrp.propagation.tape import Weights

HEADER = '<ir_version: 8, opset_import: ["": 17]>\n'
NORM = "BatchNormalization<epsilon=0.01>"


def net(text: str, seed: int = 0, **initializers: tuple[int, ...] | np.ndarray) -> onnx.ModelProto:
    """A model from ONNX text; a shape among the initializers stands for random numbers away from 0."""
    rng = np.random.default_rng(seed)
    model = parser.parse_model(HEADER + text)
    for name, given in initializers.items():
        noise = rng.uniform(0.5, 1.5, given if isinstance(given, tuple) else ()) * rng.choice([-1.0, 1.0])
        value = np.asarray(noise, np.float32) if isinstance(given, tuple) else given
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node{i}"
    return model


def inputs(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {i.name: [d.dim_value or 2 for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def forward(prepared: Prepared, feeds: dict[str, np.ndarray]) -> np.ndarray:
    plan = make_plan(prepared.verdict, prepared.model, Composite.parse("epsilon"))
    return (
        ForwardRecorder(prepared.model, plan, Weights(prepared.model, NumpyBackend()), prepared.source)
        .record(feeds, set())
        .values[plan.target]
    )


class NoMerge:
    """Stands in for the canonizer to see what the graph answers without it."""

    notes: tuple[str, ...] = ()

    def __call__(self, model: ir.Model) -> None:
        pass


def compared(model: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, head: str | None = None) -> Prepared:
    """The canonized model, after its answer has been compared with the unmerged one's."""
    merged = prepare(model, head)
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "MergeAffine", NoMerge)
        plain = prepare(model, head)
    feeds = inputs(model)
    expected = forward(plain, feeds)
    got = forward(merged, feeds)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    return merged


def ops(prepared: Prepared) -> list[str]:
    return [node.op_type for node in prepared.model.graph]


CONV = "g (float[N,4,5,5] x) => (float y) { h = Conv<pads=[1,1,1,1]>(x, w) "
LAYERS = {
    "conv": (CONV, {"w": (6, 4, 3, 3)}),
    "conv with a bias": (CONV.replace("w)", "w, c)"), {"w": (6, 4, 3, 3), "c": (6,)}),
    "grouped conv": (CONV.replace("<", "<group=2,"), {"w": (6, 2, 3, 3)}),
    "conv transpose": (CONV.replace("Conv", "ConvTranspose"), {"w": (4, 6, 3, 3)}),
    "grouped conv transpose": (CONV.replace("Conv<", "ConvTranspose<group=2,"), {"w": (4, 3, 3, 3)}),
    "grouped conv transpose with a bias": (
        CONV.replace("Conv<", "ConvTranspose<group=4,").replace("w)", "w, c)"), {"w": (4, 3, 3, 3), "c": (12,)},
    ),
}  # fmt: skip
STATISTICS = "s, t, m, v"

# What stands behind a layer with channels at axis 1, ready to be merged as a whole; CH is the number of channels
BEHIND = {
    "norm": f"y = {NORM}(h, {STATISTICS})",
    "identity": f"a = Identity(h) y = {NORM}(a, {STATISTICS})",
    "cast": f"a = Cast<to=1>(h) y = {NORM}(a, {STATISTICS})",
    "dropout": f"a = Dropout(h) y = {NORM}(a, {STATISTICS})",
    "transpose": f"a = Transpose<perm=[0,1,3,2]>(h) y = {NORM}(a, {STATISTICS})",
    "channels last": "a = Transpose<perm=[0,2,3,1]>(h) b = Mul(a, s) c1 = Add(t, b) y = Transpose<perm=[0,3,1,2]>(c1)",
    "reshape": f"a = Reshape(h, flat) y = {NORM}(a, {STATISTICS})",
    "unsqueeze": f"a = Unsqueeze(h, four) b = Squeeze(a, four) y = {NORM}(b, {STATISTICS})",
    "bias": f"a = Add(h, k) y = {NORM}(a, {STATISTICS})",
    "chain": "a = Sub(h, k) b = Mul(k, a) d = Div(b, k1) e = Sub(k1, d) f = Mul(e, one) y = Add(f, one)",
    "two norms": f"a = {NORM}(h, {STATISTICS}) b = {NORM}(a, {STATISTICS}) y = Identity(b)",
}
MOVES = {"Identity", "Cast", "Dropout", "Transpose", "Reshape", "Unsqueeze", "Squeeze"}


def constants(count: int) -> dict[str, tuple[int, ...] | np.ndarray]:
    spread = np.linspace(0.3, 2.0, count).astype(np.float32)
    return {
        "s": spread[::-1].copy(), "t": (count,), "m": spread - 1, "v": spread, "k": spread[:, None, None] - 1.1,
        "k1": spread[None, ::-1, None, None].copy(), "one": np.float32(1.7), "flat": np.array([0, count, -1]),
        "four": np.array([4]),
    }  # fmt: skip


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("layer", LAYERS)
def test_scales_and_shifts_merge_into_a_convolution(layer: str, behind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, weights = LAYERS[layer]
    shape = weights["w"]
    groups = int(text.partition("group=")[2][:1] or 1)
    count = shape[1] * groups if "Transpose" in text else shape[0]
    model = net(text + BEHIND[behind] + " }", **weights, **constants(count))
    prepared = compared(model, monkeypatch)
    assert set(ops(prepared)) - MOVES == {model.graph.node[0].op_type}
    assert prepared.output == "y"
    gone = [node for node in model.graph.node[1:] if node.op_type not in MOVES]
    assert len(prepared.notes) == len(gone)
    for node, note in zip(gone, prepared.notes):
        assert note == f"{node.op_type} {node.name} merged into {model.graph.node[0].op_type} node0"


GEMMS = [
    (transposed, alpha, beta, shape)
    for transposed in (0, 1)
    for alpha, beta in ((1.0, 1.0), (0.5, -2.0))
    for shape in (None, (), (1,), (6,), (1, 6), (2, 1), (2, 6))
]


@pytest.mark.parametrize(("transposed", "alpha", "beta", "shape"), GEMMS)
def test_a_norm_merges_into_a_gemm(
    transposed: int, alpha: float, beta: float, shape: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {} if shape is None else {"c": shape}
    layer = f"h = Gemm<transB={transposed}, alpha={alpha}, beta={beta}>(x, w{', c' * bool(given)})"
    more = {"v": np.ones(6, np.float32)}
    for behind in (f"y = {NORM}(h, s, t, m, v)", "a = Sub(h, t) b = Mul(s, a) y = Div(b, m)", "y = Add(t, h)"):
        weights = {"w": (6, 3) if transposed else (3, 6), **given, **dict.fromkeys("stm", (6,))}
        model = net(f"g (float[2,3] x) => (float y) {{ {layer} {behind} }}", **weights, **more)
        assert ops(compared(model, monkeypatch)) == ["Gemm"]


def test_a_division_is_as_exact_as_its_merged_form(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net("g (float[2,3] x) => (float y) { h = MatMul(x, w) y = Div(h, s) }", w=(3, 6), s=(6,))
    assert ops(compared(model, monkeypatch)) == ["MatMul"]


@pytest.mark.parametrize(
    ("behind", "left"),
    [
        (f"y = {NORM}(h, s, t, m, v)", ["MatMul", "Add"]),
        ("y = Mul(h, s)", ["MatMul"]),
        ("a = Mul(s, h) y = Add(a, row)", ["MatMul", "Add"]),
        (f"a = Reshape(h, square) b = {NORM}(a, s, t, m, v) y = Flatten(b)", ["MatMul", "Add", "Reshape", "Flatten"]),
    ],
)
def test_a_norm_merges_into_a_matmul(behind: str, left: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = {"w": (3, 6), "s": (6,), "t": (6,), "m": (6,), "row": (1, 6)}
    more = {"v": np.ones(6, np.float32), "square": np.array([0, 6, 1, 1])}
    model = net(f"g (float[N,3] x) => (float y) {{ h = MatMul(x, w) {behind} }}", **shapes, **more)
    assert sorted(ops(compared(model, monkeypatch))) == sorted(left)


def test_a_norm_merges_into_a_matmul_of_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"h = MatMul(x, w) a = Transpose<perm=[0,2,1]>(h) y = {NORM}(a, s, t, m, v)"
    shapes = {"w": (3, 4), "s": (4,), "t": (4,), "m": (4,)}
    model = net(f"g (float[N,4,3] x) => (float y) {{ {text} }}", **shapes, v=np.ones(4, np.float32))
    assert ops(compared(model, monkeypatch)) == ["MatMul", "Add", "Transpose"]


UNMERGED = {
    "a second consumer": (f"a = {NORM}(h, s, t, m, v) r = Relu(h) y = Add(a, r)", "BatchNormalization"),
    "a second consumer of what lies between": ("a = Identity(h) b = Mul(a, k) r = Relu(a) y = Add(b, r)", "Mul"),
    "a constant per column": ("y = Mul(h, column)", "Mul"),
    "a constant per position": ("y = Add(h, plane)", "Add"),
    "a constant per sample": ("y = Mul(h, sample)", "Mul"),
    "a constant per channel and column": ("y = Mul(h, both)", "Mul"),
    "channels that moved away": ("a = Transpose<perm=[0,2,1,3]>(h) y = Mul(a, k)", "Mul"),
    "a norm of another axis": (f"a = Transpose<perm=[0,2,1,3]>(h) y = {NORM}(a, s, t, m, v)", "BatchNormalization"),
    "channels that were mixed": ("a = Reshape(h, mixed) y = Mul(a, column)", "Mul"),
    "an activation between": (f"a = Relu(h) y = {NORM}(a, s, t, m, v)", "BatchNormalization"),
    "a sum with itself": ("y = Add(h, h)", "Add"),
    "a variable": ("y = Sub(x, h)", "Sub"),
}


@pytest.mark.parametrize("name", UNMERGED)
def test_what_must_not_be_merged(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, op = UNMERGED[name]
    shapes = {"w": (4, 4, 3, 3), "s": (4,), "t": (4,), "m": (4,), "k": (4, 1, 1), "column": (4,), "plane": (4, 4)}
    shapes |= {"sample": (2, 1, 1, 1), "both": (4, 1, 4)}
    more = {"v": np.ones(4, np.float32), "mixed": np.array([0])}
    spread = {n: np.arange(1, np.prod(s) + 1, dtype=np.float32).reshape(s) / 4 for n, s in shapes.items() if n != "w"}
    body = "g (float[2,4,4,4] x) => (float y) { h = Conv<pads=[1,1,1,1]>(x, w) " + text + " }"
    if name == "channels that were mixed":
        body, more["mixed"] = body.replace("[2,4,4,4]", "[2,4,2,8]"), np.array([2, 16, 4])
    prepared = compared(net(body, w=shapes["w"], **spread, **more), monkeypatch)
    assert op in ops(prepared)
    assert not prepared.notes


def test_a_layer_whose_output_is_a_graph_output_is_left_alone() -> None:
    text = "g (float[N,3] x) => (float[N,6] y, float[N,6] h) { h = MatMul(x, w) y = Mul(h, s) }"
    model = ir.from_proto(net(text, w=(3, 6), s=(6,)))
    merge = MergeAffine()
    assert not merge(model).modified
    assert [node.op_type for node in model.graph] == ["MatMul", "Mul"]


def test_the_division_by_a_layer_and_by_zero_are_left_alone() -> None:
    for text, value in (("y = Div(s, h)", np.ones(6)), ("y = Div(h, s)", np.arange(6.0))):
        model = ir.from_proto(
            net(f"g (float[N,3] x) => (float y) {{ h = MatMul(x, w) {text} }}", w=(3, 6), s=value.astype(np.float32))
        )
        assert not MergeAffine()(model).modified


def test_a_shared_weight_changes_for_one_layer_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"h = MatMul(x, w) a = {NORM}(h, s, t, m, v) r = Relu(a) y = MatMul(r, w)"
    shapes = {"w": (3, 3), "s": (3,), "t": (3,), "m": (3,)}
    model = net(f"g (float[N,3] x) => (float y) {{ {text} }}", **shapes, v=np.ones(3, np.float32))
    assert ops(compared(model, monkeypatch)) == ["MatMul", "Add", "Relu", "MatMul"]


def test_names_survive() -> None:
    text = f"h = Conv(x, w) n = {NORM}(h, s, t, m, v) r = Relu(n) p = GlobalAveragePool(r) y = Flatten(p)"
    model = net(f"g (float[N,2,4,4] x) => (float y) {{ {text} }}", w=(3, 2, 2, 2), s=(3,), t=(3,), m=(3,),
                v=np.ones(3, np.float32))  # fmt: skip
    explain = Explainer(model, backend="numpy")
    assert [step.name for step in explain.plan.steps] == ["node0", "node2", "node3", "node4"]
    layers = explain(inputs(model)["x"], 0, layers=["n", "r", "p"]).layers
    assert {name: r.shape for name, r in layers.items()} == {"n": (2, 3, 3, 3), "r": (2, 3, 3, 3), "p": (2, 3, 1, 1)}


def test_a_constant_of_a_higher_rank_than_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    model = net("g (float[3] x) => (float y) { h = MatMul(x, w) y = Mul(h, s) }", w=(3, 6), s=(1, 6))
    compared(model, monkeypatch)


@pytest.mark.parametrize(("batch", "w", "c"), [("N", (3, 1), (4,)), ("1", (3,), (3,)), ("N", (3, 4), (1,))])
def test_a_sum_that_broadcasts(
    batch: str, w: tuple[int, ...], c: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = net(f"g (float[{batch},3] x) => (float y) {{ h = MatMul(x, w) y = Add(h, c) }}", w=w, c=c)
    compared(model, monkeypatch)
    x = inputs(model)["x"]
    explanation = Explainer(model, "epsilon", backend="numpy")(x, seed=np.ones(forward(prepare(model), {"x": x}).shape))
    assert explanation.relevance.shape == x.shape


LOGITS = "h = MatMul(x, w) "
HEADS = {
    "softmax": ("y = Softmax(h)", ["Softmax"]),
    "log softmax": ("y = LogSoftmax(h)", ["LogSoftmax"]),
    "sigmoid": ("y = Sigmoid(h)", ["Sigmoid"]),
    "argmax": ("y = ArgMax<axis=1>(h)", ["ArgMax"]),
    "argmax of a softmax": ("a = Softmax(h) y = ArgMax<axis=1>(a)", ["ArgMax", "Softmax"]),
    "behind an identity": ("a = Softmax(h) y = Identity(a)", ["Softmax"]),
    "behind a reshape": ("a = Sigmoid(h) b = Reshape(a, flat) y = Cast<to=11>(b)", ["Sigmoid"]),
    "behind others": ("a = Softmax(h) b = Transpose(a) d = Unsqueeze(b, axis) y = Squeeze(d, axis)", ["Softmax"]),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, cut = HEADS[name]
    model = net(
        f"g (float[N,3] x) => (float y) {{ {LOGITS} {text} }}", w=(3, 6), flat=np.array([-1]), axis=np.array([0])
    )
    prepared = compared(model, monkeypatch)
    assert prepared.output == "h"
    assert ops(prepared) == ["MatMul"]
    assert len(prepared.notes) == len(cut)
    for op, note in zip(cut, prepared.notes):
        assert note.startswith(f"{op} node")
        assert "head" in note
    x = inputs(model)["x"]
    np.testing.assert_allclose(forward(prepared, {"x": x}), x @ numpy_helper.to_array(model.graph.initializer[0]))


def test_only_a_head_is_cut() -> None:
    plain = net(f"g (float[N,3] x) => (float y) {{ {LOGITS} y = Reshape(h, flat) }}", w=(3, 6), flat=np.array([-1, 3]))
    assert ops(prepare(plain)) == ["MatMul", "Reshape"]
    text = f"g (float[N,3] x) => (float y, float z) {{ {LOGITS} y = Softmax(h) r = Relu(h) z = MatMul(r, w2) }}"
    both = net(text, w=(3, 6), w2=(6, 2))
    assert ops(prepare(both)) == ["MatMul"]
    assert ops(prepare(both, "z")) == ["MatMul", "Relu", "MatMul"]
    assert prepare(both, "z").output == "z"


def test_what_is_known_is_folded_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """g (float[N,2,3] x) => (float y) {
        third = Constant<value_float=0.333333>()
        a = Mul(w, third)  b = Sqrt(p)  d = Div(a, b)  h = MatMul(x, d)
        shape = Shape(w)  zero = Constant<value_ints=[0]>()  n = Gather(shape, zero)
        minus = Constant<value_ints=[-1]>()  target = Concat<axis=0>(minus, n)
        y = Reshape(h, target)
    }"""
    model = net(text, w=(3, 6), p=np.array(3.0, np.float32))
    prepared = compared(model, monkeypatch)
    assert ops(prepared) == ["MatMul", "Reshape"]
    w = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    known = {name: prepared.model.graph.initializers[name].const_value.numpy() for name in ("d", "target")}
    assert known["d"].dtype == np.float64
    np.testing.assert_allclose(known["d"], w * np.float64(np.float32(0.333333)) / np.sqrt(3.0), rtol=1e-14)
    np.testing.assert_array_equal(known["target"], [-1, 3])


def with_functions() -> onnx.ModelProto:
    model = parser.parse_model("""<ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,3] x) => (float[N,6] y) { h = local.layer(x, w)  y = local.twice(h) }
        <opset_import: ["": 17], domain: "local"> layer (a, b) => (c) { d = MatMul(a, b)  c = Relu(d) }
        <opset_import: ["": 17, "local": 1], domain: "local"> twice (a) => (c) { d = Add(a, a)  c = local.same(d) }
        <opset_import: ["": 17], domain: "local"> same (a) => (c) { c = Identity(a) }
    """)
    w = np.random.default_rng(3).standard_normal((3, 6)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(w, "w"))
    return model


def test_functions_are_inlined() -> None:
    model = with_functions()
    prepared = prepare(model)
    assert ops(prepared) == ["MatMul", "Relu", "Add", "Identity"]
    x, w = inputs(model)["x"], numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    np.testing.assert_allclose(forward(prepared, {"x": x}), 2 * np.maximum(x @ w, 0), rtol=1e-12)


def with_zip_map() -> onnx.ModelProto:
    """A classifier whose probabilities end in a list of maps, as scikit-learn's converter writes it."""
    model = net(f"g (float[N,3] x) => (float[N,2] y) {{ {LOGITS} y = Softmax(h) }}", w=(3, 2))
    model.graph.node.append(
        onnx.helper.make_node("ZipMap", ["y"], ["z"], "zip", "", "ai.onnx.ml", classlabels_int64s=[0, 1])
    )
    entry = onnx.helper.make_map_type_proto(onnx.TensorProto.INT64, onnx.helper.make_tensor_type_proto(1, []))
    model.graph.output[0].CopyFrom(onnx.helper.make_value_info("z", onnx.helper.make_sequence_type_proto(entry)))
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 3))
    return model


def test_a_list_of_maps_is_cut_too() -> None:
    prepared = prepare(with_zip_map())
    assert ops(prepared) == ["MatMul"]
    assert [note.split()[0] for note in prepared.notes] == ["ZipMap", "Softmax"]


def test_the_user_s_model_is_not_changed() -> None:
    text = f"a = {NORM}(h, s, t, m, v) b = Identity(a) y = Softmax(b)"
    layer = "g (float[N,3] x) => (float y) { h = MatMul(x, w) "
    merged = net(layer + text + " }", w=(3, 6), s=(6,), t=(6,), m=(6,), v=np.ones(6, np.float32))
    for model in (merged, with_functions(), with_zip_map()):
        before = model.SerializeToString(deterministic=True)
        Explainer(model, backend="numpy")(inputs(model)["x"])
        assert model.SerializeToString(deterministic=True) == before
