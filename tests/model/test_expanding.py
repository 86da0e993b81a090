"""Composed ops become elementary ones that compute the same, under the user's names; what cannot be says why."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper, parser

import onnx_lrp as lrp

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
HEADER = '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1, "com.microsoft.nchwc": 1, "ai.onnx.ml": 3]>\n'


def net(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = parser.parse_model(HEADER + text)
    for name, value in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"n{i}"
    return model


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


BACKENDS = (("numpy", "float64", 1e-12), ("torch", "float64", 1e-9), ("onnx", "float32", 1e-5))


def same(model: onnx.ModelProto, plain: onnx.ModelProto, x: np.ndarray = X, composite: str = "epsilon") -> lrp.Report:
    """All backends explain the composed model as NumPy explains the plain one."""
    expected = lrp.explain(plain, x, 0, composite=composite, backend="numpy")
    for backend, dtype, tolerance in (
        ("numpy", "float64", 1e-12),
        ("torch", "float64", 1e-9),
        ("onnx", "float32", 1e-5),
    ):
        if backend == "torch":
            pytest.importorskip("torch")
        made = lrp.explain(model, x, 0, composite=composite, backend=backend, dtype=dtype)
        error = np.linalg.norm(made.relevance - expected.relevance)
        assert error <= tolerance * np.linalg.norm(expected.relevance), backend
    return lrp.check(model, composite)


W, B, V = random(4, 3, 3, 3), random(4), random(64, 5)


@pytest.mark.parametrize("parameter", ["Relu", "LeakyRelu"])
def test_a_fused_convolution(parameter: str) -> None:
    alpha = ", activation_params=[0.2]" if parameter == "LeakyRelu" else ""
    inside = "<alpha=0.2>" if alpha else ""
    fused = net(
        f'''g (float[N,3,6,6] x) => (float[N,5] y) {{
            h = com.microsoft.FusedConv<activation="{parameter}"{alpha}>(x, w, b)
            f = Flatten(h)  y = MatMul(f, v) }}''',
        w=W, b=B, v=V,
    )  # fmt: skip
    plain = net(
        f"""g (float[N,3,6,6] x) => (float[N,5] y) {{
            z = Conv(x, w, b)  h = {parameter}{inside}(z)  f = Flatten(h)  y = MatMul(f, v) }}""",
        w=W, b=B, v=V,
    )  # fmt: skip
    report = same(fused, plain)
    assert (report.rows[0].node, report.rows[0].op) == ("n0", "FusedConv")  # one row, under the name that it has
    assert [row.node for row in report.rows][1] == "n1"
    assert any("FusedConv n0 expanded into Conv" in note for note in report.notes)


def test_a_fused_convolution_with_a_summand_and_a_clip() -> None:
    body = "g (float[N,3,6,6] x) => (float[N,5] y) { r = Relu(x)  s = Conv(r, u)  "
    fused = net(
        body + '''h = com.microsoft.FusedConv<activation="Clip", activation_params=[0.0, 1.5]>(r, w, b, s)
            f = Flatten(h)  y = MatMul(f, v) }''',
        w=W, b=B, v=V, u=random(4, 3, 3, 3),
    )  # fmt: skip
    plain = net(
        body + "c = Conv(r, w, b)  z = Add(c, s)  h = Clip(z, lo, hi)  f = Flatten(h)  y = MatMul(f, v) }",
        w=W, b=B, v=V, u=numpy_helper.to_array(fused.graph.initializer[3]), lo=np.float32(0), hi=np.float32(1.5),
    )  # fmt: skip
    same(fused, plain)


def test_fused_products() -> None:
    head = "g (float[N,3,6,6] x) => (float[N,4] y) { f = Flatten(x)  "
    weights = {"a": random(5, 108), "c": random(5), "v": random(4, 5)}
    fused = net(
        head + '''h = com.microsoft.FusedGemm<activation="Relu", transB=1, beta=0.5>(f, a, c)
            y = com.microsoft.FusedMatMul<transB=1, alpha=2.0>(h, v) }''',
        **weights,
    )  # fmt: skip
    plain = net(
        head + "g0 = Gemm<transB=1, beta=0.5>(f, a, c)  h = Relu(g0)  y = MatMul(h, v2) }",
        a=weights["a"], c=weights["c"], v2=2 * weights["v"].T,
    )  # fmt: skip
    same(fused, plain)


def test_an_activation_inside_a_fused_layer_is_refused_by_name() -> None:
    model = net(
        'g (float[N,3,6,6] x) => (float y) { h = com.microsoft.FusedConv<activation="Tanh">(x, w)  y = Relu(h) }', w=W
    )
    with pytest.raises(lrp.UnsupportedModelError) as error:
        lrp.Explainer(model)
    assert [(p.node, p.op) for p in error.value.problems] == [("n0/tanh", "Tanh")]


def test_an_unknown_activation_says_so() -> None:
    model = net('g (float[N,3,6,6] x) => (float y) { y = com.microsoft.FusedConv<activation="Zap">(x, w) }', w=W)
    with pytest.raises(lrp.UnsupportedModelError, match="unknown activation 'Zap'"):
        lrp.Explainer(model)


def test_a_layout_for_one_processor_gets_a_hint() -> None:
    model = net("g (float[N,3,6,6] x) => (float y) { y = com.microsoft.nchwc.Conv(x, w) }", w=W)
    with pytest.raises(lrp.UnsupportedModelError) as error:
        lrp.Explainer(model)
    assert "extended level" in error.value.problems[0].remedy


BRANCHES = """g (float[N,3,6,6] x) => (float[N,5] y) {
    z = Conv(x, w, b)
    h = If (c) <
        then_branch = t () => (float[N,4,4,4] ht) { k = Constant<value_float=0.1>()  zk = Mul(z, k)  ht = Relu(zk) },
        else_branch = e () => (float[N,4,4,4] he) { he = Identity(z) } >
    f = Flatten(h)  y = MatMul(f, v) }"""


@pytest.mark.parametrize("condition", [True, False])
def test_a_branch_whose_condition_is_known(condition: bool) -> None:
    model = net(BRANCHES, w=W, b=B, v=V, c=np.array(condition))
    middle = "zk = Mul(z, k)  h = Relu(zk)" if condition else "h = Identity(z)"
    plain = net(
        "g (float[N,3,6,6] x) => (float[N,5] y) { z = Conv(x, w, b) " + middle + "  f = Flatten(h)  y = MatMul(f, v) }",
        w=W, b=B, v=V, k=np.float32(0.1),
    )  # fmt: skip
    same(model, plain)


def test_a_branch_that_the_data_choose() -> None:
    text = BRANCHES.replace("z = Conv(x, w, b)", "z = Conv(x, w, b) s = ReduceSum<keepdims=0>(x) c = Greater(s, zero)")
    with pytest.raises(lrp.UnsupportedModelError, match="control flow that depends on the data"):
        lrp.Explainer(net(text, w=W, b=B, v=V, zero=np.float32(0)))


def test_a_scaler_of_features() -> None:
    x = random(2, 3)
    weights = {"w": random(3, 4)}
    model = net(
        """g (float[N,3] x) => (float[N,4] y) {
            s = ai.onnx.ml.Scaler<offset=[1.0, 2.0, 3.0], scale=[0.5, 0.5, 0.5]>(x)  y = MatMul(s, w) }""",
        **weights,
    )  # fmt: skip
    plain = net(
        "g (float[N,3] x) => (float[N,4] y) { c = Sub(x, m)  s = Mul(c, k)  y = MatMul(s, w) }",
        m=np.float32([1, 2, 3]), k=np.float32([0.5]), **weights,
    )  # fmt: skip
    same(model, plain, x)


def test_a_label_is_traced_back_to_its_logit() -> None:
    model = net(
        """g (float[N,3] x) => (int64[N] label) {
            z = MatMul(x, w)  p = Softmax(z)  i = ArgMax<axis=1, keepdims=0>(p)
            label = ai.onnx.ml.ArrayFeatureExtractor(names, i) }""",
        w=random(3, 4), names=np.arange(4),
    )  # fmt: skip
    assert lrp.check(model).output == "z"


SUMS = """g (float[N,3,6,6] x) => (float[N,5] y) {{
    r = Relu(x)  w1 = Gather<axis=3>(r, {0})  w2 = Gather<axis=3>(r, {1})  w3 = Gather<axis=3>(r, {2})
    a1 = Gather<axis=2>(w1, i0)  a2 = Gather<axis=2>(w1, i1)
    b1 = Gather<axis=2>(w2, i0)  b2 = Gather<axis=2>(w2, i1)
    c1 = Gather<axis=2>(w3, i0)  c2 = Gather<axis=2>(w3, i1)
    s1 = Add(a1, a2)  s2 = Add(b1, b2)  s3 = Add(s1, s2)  s4 = Add(c1, s3)  s5 = Add(s4, c2)
    m = Div(s5, n)  y = MatMul(m, v) }}"""


def window(text: str) -> onnx.ModelProto:
    indices = {f"i{k}": np.int64(k) for k in range(3)}
    return net(text.replace("float[N,3,6,6]", "float[N,3,2,3]"), v=random(3, 5), n=np.float32(6), **indices)


def test_a_sum_written_element_by_element_is_one_average() -> None:
    model, x = window(SUMS.format("i0", "i1", "i2")), random(2, 3, 2, 3)
    weights = numpy_helper.to_array(model.graph.initializer[0])
    plain = net(
        """g (float[N,3,2,3] x) => (float[N,5] y) {
            r = Relu(x)  p = GlobalAveragePool(r)  m = Flatten(p)  y = MatMul(m, v) }""",
        v=weights,
    )
    report = same(model, plain, x)
    assert [row.op for row in report.rows] == ["Relu", "ReduceSum", "MatMul"]
    assert report.rows[1].node == "n14"


def test_a_sum_that_takes_an_element_twice_stays_as_it_is() -> None:
    report = lrp.check(window(SUMS.format("i0", "i1", "i1")))
    assert sum(row.op == "Add" for row in report.rows) == 5


def test_the_expanded_models_answer_like_onnxruntime() -> None:
    """The account of a verified explanation is of the original's own answer."""
    model = net(BRANCHES, w=W, b=B, v=V, c=np.array(True))
    answer = ort.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0]
    np.testing.assert_allclose(lrp.explain(model, X, backend="numpy").output, answer, rtol=1e-4, atol=1e-5)
