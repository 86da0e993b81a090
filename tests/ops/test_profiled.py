"""Roles under a profile, by hand: numbers that can be checked on paper, and the value of everything that is held."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_lrp import CompositeError, Explainer, Profile, UnsupportedModelError, backends, check
from onnx_lrp.ops.attention import SoftmaxMap
from onnx_lrp.ops.norms import CentredMap
from onnx_lrp.ops.registry import COMPUTED

BACKENDS = (("numpy", "float64"), ("torch", "float64"), ("onnx", "float32"))
DOUBLE = [backends.create(backends.Choice(name, "float64")) for name in ("numpy", "torch")]
TINY = "attnlrp:epsilon=1e-12"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4)).astype(np.float32) * 2
W = RNG.normal(size=(4, 3)).astype(np.float32)


def model(body: str, inputs: str = "float[2,4] x", output: str = "float[2,3] y", opset: int = 18) -> onnx.ModelProto:
    parsed = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => ({output}) <float[4,3] w> {{ {body} }}'
    )
    del parsed.graph.initializer[:]
    parsed.graph.initializer.append(onnx.numpy_helper.from_array(W, "w"))
    return parsed


def explained(proto: onnx.ModelProto, x: object, target: object = 0, **options: object) -> list[np.ndarray]:
    """Relevance of x on every backend; all agree."""
    found = []
    for backend, dtype in BACKENDS:
        explainer = Explainer(proto, TINY, backend=backend, dtype=dtype, **{"profile": "attnlrp", **options})
        found.append(np.asarray(explainer(x, target).relevance, np.float64))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-5 * np.abs(found[0]).max())
    return found


def test_softmax_of_three_numbers() -> None:
    x = np.array([[1.0, 2.0, -1.0]], np.float32)
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[1,3] x) => (float[1,2] y) '
        "<float[3,2] w = {1.0, 2.0, -1.0, 0.5, 3.0, 0.0}> { s = Softmax<axis=1>(x) y = MatMul(s, w) }"
    )
    s, c = np.exp(x) / np.exp(x).sum(), np.array([1.0, -1.0, 3.0])  # c: the first column of w
    r = s * c  # relevance of s, whose sum is the output
    np.testing.assert_allclose(explained(proto, x)[0], x * (r - s * r.sum()), rtol=1e-6)


def test_a_product_gives_half_to_each_side() -> None:
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32), np.array([[5.0, 6.0], [7.0, 8.0]], np.float32)
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[2,2] a, float[2,2] b) => (float[2,2] y) { y = MatMul(a, b) }'
    )
    for backend, dtype in BACKENDS:
        explainer = Explainer(proto, TINY, backend=backend, dtype=dtype, profile="attnlrp", shapes={"a": (2, 2)})
        seed = np.array([[1.0, 0.0], [0.0, 0.0]])  # of y[0, 0] = 1·5 + 2·7 = 19
        found = explainer({"a": a, "b": b}, seed=seed).inputs
        np.testing.assert_allclose(found["a"], [[2.5 / 19, 7 / 19], [0, 0]], rtol=1e-5)
        np.testing.assert_allclose(found["b"], [[2.5 / 19, 0], [7 / 19, 0]], rtol=1e-5)


def test_rms_norm_hands_on_what_it_gets() -> None:
    proto = model("n = RMSNormalization<epsilon=0.1>(x, g) y = MatMul(n, w)", opset=23)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, -2, 3, 0.5], np.float32), "g"))
    for backend, dtype in BACKENDS:
        explanation = Explainer(proto, TINY, backend=backend, dtype=dtype, profile="attnlrp")(X, 1, layers=["n"])
        np.testing.assert_allclose(explanation.relevance, explanation.layers["n"], rtol=2e-5, atol=1e-6)


def test_a_gate_is_held_or_takes_half() -> None:
    x = np.abs(X)
    body = "r = Relu(x) m = Neg(r) h = Sigmoid(m) k = Mul(r, h) y = MatMul(k, w)"
    z = x / (1 + np.exp(x)) * W[:, 0]
    np.testing.assert_allclose(explained(model(body), x)[0], z, rtol=1e-5)
    with_half = explained(model(body), x, profile="attnlrp:gates=half")[0]
    np.testing.assert_allclose(with_half, z, rtol=1e-5)  # σ passes what it gets, and both halves meet again


OF_ONE = {
    "Sqrt": np.sqrt, "Reciprocal": np.reciprocal, "Exp": np.exp, "Log": np.log, "Sin": np.sin, "Cos": np.cos,
    "Floor": np.floor, "Ceil": np.ceil, "Sign": np.sign, "Round": np.round,
}  # fmt: skip
OF_TWO = {
    "Pow": np.power, "Div": np.divide, "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less,
    "LessOrEqual": np.less_equal, "Equal": np.equal,
}  # fmt: skip
LOGIC = {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}
REDUCED = {
    "ReduceL2": lambda p: np.sqrt((p * p).sum(1, keepdims=True)),
    "ReduceSumSquare": lambda p: (p * p).sum(1, keepdims=True),
    "ReduceLogSumExp": lambda p: np.log(np.exp(p).sum(1, keepdims=True)),
    "ReduceLogSum": lambda p: np.log(p.sum(1, keepdims=True)),
}
OTHERS = {
    "Not": ("b = Less(p, q) c = Not(b) h = Cast<to=1>(c)", lambda p, q: ~(p < q)),
    "Where": ("b = Less(p, q) h = Where(b, p, q)", lambda p, q: np.where(p < q, p, q)),
    "Cast": ("i = Cast<to=7>(p) h = Cast<to=1>(i)", lambda p, q: np.trunc(p)),
    "LogSoftmax": ("h = LogSoftmax<axis=1>(p)", lambda p, q: p - np.log(np.exp(p).sum(1, keepdims=True))),
    "IsNaN": ("u = Sub(p, three) l = Log(u) b = IsNaN(l) h = Cast<to=1>(b)", lambda p, q: p < 3),
    "IsInf": (
        "f = Floor(p) u = Sub(f, one) l = Div(one, u) b = IsInf(l) h = Cast<to=1>(b)",
        lambda p, q: np.floor(p) == 1,
    ),
    "GatherElements": (
        "i = ArgMax<axis=1, keepdims=1>(p) h = GatherElements<axis=1>(q, i)",
        lambda p, q: np.take_along_axis(q, p.argmax(1)[:, None], 1),
    ),
    "ArgMax": ("i = ArgMax<axis=1, keepdims=1>(p) h = Cast<to=1>(i)", lambda p, q: p.argmax(1)[:, None]),
}


def held_branch(op: str) -> tuple[str, object]:
    """What makes h of p = |x| + 1 and q = |x - 1| + 1, and the same in NumPy."""
    if op in OF_ONE:
        return f"h = {op}(p)", lambda p, q: OF_ONE[op](p)
    if op in OF_TWO:
        cast = "h = Cast<to=1>(b)" if OF_TWO[op](1.0, 2.0).dtype.kind == "b" else "h = Identity(b)"
        return f"b = {op}(p, q) {cast}", lambda p, q: OF_TWO[op](p, q)
    if op in LOGIC:
        return (f"b = Less(p, q) c = Less(p, three) l = {op}(b, c) h = Cast<to=1>(l)",
                lambda p, q: LOGIC[op](p < q, p < 3))  # fmt: skip
    if op in REDUCED:
        return f"h = {op}(p, axes)", lambda p, q: REDUCED[op](p)
    return OTHERS[op]


@pytest.mark.parametrize("op", sorted(COMPUTED))
def test_what_is_held_has_its_value_and_gets_nothing(op: str) -> None:
    made, by_numpy = held_branch(op)
    proto = model(
        f"a = Abs(x) p = Add(a, one) d = Sub(x, one) e = Abs(d) q = Add(e, one) {made} "
        "k = Add(h, forty) v = Div(x, k) y = MatMul(v, w)"
    )
    for name, value in {
        "one": np.float32(1),
        "three": np.float32(3),
        "forty": np.float32(40),
        "axes": np.array([1]),
    }.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    x = X.astype(np.float64)
    h = by_numpy(np.abs(x) + 1, np.abs(x - 1) + 1)
    np.testing.assert_allclose(explained(proto, X)[0], x / (h + 40) * W[:, 0], rtol=1e-6, atol=1e-9)


def test_x_may_be_held_in_one_place_and_live_in_another() -> None:
    proto = model("n = ReduceL2<keepdims=1>(x, axes) u = Div(x, n) y = MatMul(u, w)")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
    norm = np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(explained(proto, X)[0], X / norm * W[:, 0], rtol=1e-6)


def test_a_power_is_a_product_of_equals() -> None:
    proto = model("r = Relu(x) p = Pow(r, two) y = MatMul(p, w)")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(2), "two"))
    np.testing.assert_allclose(explained(proto, X)[0], np.maximum(X, 0.0) ** 2 * W[:, 0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("xp", DOUBLE, ids=lambda xp: xp.name)
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4))
@settings(deadline=None, max_examples=60)
def test_held_maps_have_their_adjoints(xp: object, seed: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    x, s = rng.standard_normal(sizes), rng.standard_normal(sizes)
    axis = int(rng.integers(-len(sizes), len(sizes)))
    weight = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    maps = [(SoftmaxMap(axis), weight), (CentredMap(axis), rng.standard_normal(sizes))]
    if len(sizes) > 2:
        maps.append((CentredMap(2, sizes[1]), rng.standard_normal(sizes)))
    for linear, w in maps:
        image = xp.to_numpy(linear.forward(xp, xp.asarray(x), xp.asarray(w)))
        back = xp.to_numpy(linear.transpose(xp, xp.asarray(s), xp.asarray(w), x.shape))
        size = np.abs(image * s).sum() + np.abs(x * back).sum() + 1e-30
        assert abs((image * s).sum() - (x * back).sum()) <= 1e-12 * max(size, 1.0)


@pytest.mark.parametrize("text", ["other", "attnlrp:gates", "attnlrp:gates=none", "strict:gates=half", "cplrp:x=1", 3])
def test_an_unknown_profile_is_one_line(text: object) -> None:
    with pytest.raises(CompositeError, match="profile"):
        Profile.parse(text)


def test_profiles_are_printed_as_they_are_typed() -> None:
    for text in ("strict", "attnlrp", "cplrp", "attnlrp:gates=half", "attnlrp:softmax=held,gates=half"):
        assert str(Profile.parse(text)) == text
    assert str(Profile.parse("attnlrp:gates=signal")) == "attnlrp"


def test_what_no_profile_explains_is_refused_with_strict_s_words() -> None:
    proto = model("s = Sin(x) y = MatMul(s, w)")
    with pytest.raises(UnsupportedModelError, match=r"Sin.*bends its input") as strict:
        Explainer(proto)
    assert "--profile" not in str(strict.value)
    with pytest.raises(UnsupportedModelError, match=r"Sin.*bends its input"):
        Explainer(proto, profile="attnlrp")


def test_a_softmax_in_pieces_is_a_softmax() -> None:
    x = np.array([[1.0, 2.0, -1.0, 0.5]], np.float32).repeat(2, 0)
    whole = explained(model("s = Softmax<axis=1>(x) y = MatMul(s, w)"), x)[0]
    proto = model("m = ReduceMax<keepdims=1>(x, a) d = Sub(x, m) e = Exp(d) t = ReduceSum<keepdims=1>(e, a) "
                  "s = Div(e, t) y = MatMul(s, w)")  # fmt: skip
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "a"))
    np.testing.assert_allclose(explained(proto, x)[0], whole, rtol=1e-6)
    report = check(proto, profile="attnlrp")
    assert any("are together Softmax" in note for note in report.notes)
    assert any("absorbs the constant part" in warning for warning in report.warnings)


def test_attention_pooling_holds_its_weights_under_cplrp() -> None:
    body = "l = MatMul(x, w) s = Softmax<axis=1>(l) k = MatMul(x, w) p = Mul(s, k) y = Identity(p)"
    s = np.exp(X @ W) / np.exp(X @ W).sum(1, keepdims=True)
    found = explained(model(body), X, profile="cplrp")[0]
    np.testing.assert_allclose(found, X * W[:, 0] * s[:, :1], rtol=1e-5, atol=1e-7)


def test_of_a_gate_s_own_input() -> None:
    proto = model("s = Sigmoid(g) p = Mul(x, s) y = MatMul(p, w)", inputs="float[2,4] x, float[2,4] g")
    gate = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    whole = X * W[:, 0] / (1 + np.exp(-gate))
    for setting, share in (("attnlrp", 0.0), ("attnlrp:gates=half", 0.5)):
        found = Explainer(proto, TINY, backend="numpy", profile=setting)({"x": X, "g": gate}, 0).inputs
        np.testing.assert_allclose(found["g"], share * whole, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(found["x"], (1 - share) * whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("made", "factor"),
    [
        ("q = Mul(x, x) m = ReduceMean<keepdims=1>(q, a) f = Pow(m, p)",
         lambda x: (x * x).mean(1, keepdims=True) ** -0.5),
        ("q = Mul(x, x) m = ReduceMean<keepdims=1>(q, a) s = Sqrt(m) f = Reciprocal(s)",
         lambda x: (x * x).mean(1, keepdims=True) ** -0.5),
        ("n = ReduceL2<keepdims=1>(x, a) m = ReduceMean<keepdims=1>(n, b) e = Add(m, k) f = Div(n, e)",
         lambda x: (n := np.linalg.norm(x, axis=1, keepdims=True)) / (n + 0.1)),
    ],
    ids=["power", "reciprocal", "response"],
)  # fmt: skip
def test_a_product_with_a_norm_holds_it(made: str, factor: object) -> None:
    proto = model(f"{made} z = Mul(f, x) y = MatMul(z, w)")
    numbers = {"a": np.array([1]), "b": np.array([1]), "p": np.float32(-0.5), "k": np.float32(0.1)}
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(n), name) for name, n in numbers.items() if name in read
    )
    x = X.astype(np.float64)
    found = Explainer(proto, TINY, backend="numpy", profile="attnlrp")(X, 0).relevance
    np.testing.assert_allclose(found, x * factor(x) * W[:, 0], rtol=1e-6)


def test_bounds_by_other_numbers_pass() -> None:
    proto = model("l = Max(x, low) b = Min(high, l) y = MatMul(b, w)")
    for name, value in (("low", -1.5), ("high", 1.0)):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(value), name))
    np.testing.assert_allclose(explained(proto, X)[0], np.clip(X, -1.5, 1.0) * W[:, 0], rtol=1e-5)
