"""Activations in pieces are recognised by what they compute, and nothing else is taken for one."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

from onnx_lrp import Explainer, check
from onnx_lrp.errors import CompositeError, UnsupportedModelError
from onnx_lrp.model.precision import to_float32
from onnx_lrp.model.preparation import prepare
from onnx_lrp.model.runtime import SessionOptions, make_session, run
from onnx_lrp.ops.smooth import TRUSTABLE

X = np.random.default_rng(0).normal(scale=3, size=(40, 5)).astype(np.float32)

# What stands for the ops at the left: the rest of the body makes y of x
RELU_LIKE = {
    "Relu: max(x, 0)": "y = Max (x, zero)",
    "Relu: max(0, x)": "y = Max (zero, x)",
    "Relu: where": "c = Greater (x, zero) y = Where (c, x, zero)",
    "Relu: where not": "c = Less (x, zero) y = Where (c, zero, x)",
    "Relu: mask": "c = Greater (x, zero) m = Cast<to=1> (c) y = Mul (x, m)",
    "Relu: (x + |x|) / 2": "a = Abs (x) s = Add (x, a) y = Mul (s, half)",
    "Relu: clip without max": "y = Clip (x, zero)",
    "Relu: zeros of x's shape": "s = Shape (x) z = ConstantOfShape (s) c = Greater (x, z) y = Where (c, x, z)",
    "LeakyRelu: max(x, x / 2)": "h = Mul (x, half) y = Max (x, h)",
    "LeakyRelu: where": "h = Mul (x, half) c = Greater (x, zero) y = Where (c, x, h)",
    "LeakyRelu: two ReLUs": "p = Relu (x) n = Neg (x) q = Relu (n) h = Mul (q, half) y = Sub (p, h)",
    "Clip: min(max(x, 0), 6)": "m = Max (x, zero) y = Min (m, six)",
    "Clip: max(min(x, 6), 0)": "m = Min (x, six) y = Max (m, zero)",
    "Clip: clip and max": "m = Max (x, zero) y = Clip (m, none, six)",
    "ThresholdedRelu: where": "c = Greater (x, half) y = Where (c, x, zero)",
}
SMOOTH = {
    "Swish": "s = Sigmoid (x) y = Mul (x, s)",
    "Swish: other way round": "s = Sigmoid (x) y = Mul (s, x)",
    "Swish: 6 x": "l = Mul (x, six) s = Sigmoid (l) y = Mul (x, s)",
    "Gelu: exporter's": "d = Div (x, root2) e = Erf (d) p = Add (e, one) t = Mul (x, p) y = Mul (t, half)",
    "Gelu: by hand": "h = Mul (half, x) d = Mul (x, root_half) e = Erf (d) p = Add (one, e) y = Mul (h, p)",
    "Gelu: tanh": """q = Mul (x, x) c = Mul (q, x) k = Mul (c, small) i = Add (x, k) l = Mul (i, slope)
        t = Tanh (l) p = Add (t, one) h = Mul (x, half) y = Mul (h, p)""",
    "HardSwish": "g = HardSigmoid<alpha=0.16666667, beta=0.5> (x) y = Mul (x, g)",
    "HardSwish: clip": "a = Add (x, three) g = Clip (a, zero, six) m = Mul (x, g) y = Div (m, six)",
    "HardSwish: relu6 with min and max": "a = Add (x, three) u = Max (a, zero) g = Min (u, six) m = Mul (x, g) "
    "y = Div (m, six)",
    "Mish": "s = Softplus (x) t = Tanh (s) y = Mul (x, t)",
    "Softplus: log(1 + e^x)": "e = Exp (x) p = Add (e, one) y = Log (p)",
    "Softsign": "a = Abs (x) p = Add (a, one) y = Div (x, p)",
    "Elu": "e = Exp (x) m = Sub (e, one) l = Mul (m, half) c = Greater (x, zero) y = Where (c, x, l)",
}
# Near misses: each has no role, or another one
OTHERS = {
    "max(x, 0.5)": "y = Max (x, half)",
    "a jump": "c = Greater (x, zero) y = Where (c, x, one)",
    "mask elsewhere, no ReLU below": "c = Less (x, half) y = Where (c, x, zero)",
    "x²": "y = Mul (x, x)",
    "hard shrink": "a = Abs (x) c = Greater (a, half) y = Where (c, x, zero)",
    "x tanh(x)": "t = Tanh (x) y = Mul (x, t)",
    "not quite a Gelu": "d = Div (x, half) e = Erf (d) p = Add (e, one) t = Mul (x, p) y = Mul (t, half)",
    "a ReLU plus a little": "m = Max (x, zero) s = Mul (m, m) t = Mul (s, tiny) y = Add (m, t)",
    "another tensor's gate": "k = MatMul (x, w) s = Sigmoid (k) y = Mul (x, s)",
    "broadcast to another shape": "y = Max (x, wide)",
}
NUMBERS = {
    "zero": 0, "half": 0.5, "one": 1, "three": 3, "six": 6, "root2": 2**0.5, "root_half": 0.5**0.5, "small": 0.044715,
    "slope": (2 / np.pi) ** 0.5, "tiny": 1e-20,
}  # fmt: skip
ARRAYS = {"wide": np.zeros((2, 1, 1)), "w": np.eye(5) * 2}


def net(body: str, opset: int = 17, dtype: type = np.float32) -> onnx.ModelProto:
    text = body.replace("none", "")
    kind = "float16" if dtype is np.float16 else "float"
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> g ({kind}[N,5] x) => ({kind} y) {{ {text} }}'
    )
    read = {name for node in model.graph.node for name in node.input}
    given = {**{k: np.asarray(v) for k, v in NUMBERS.items()}, **ARRAYS}
    for name in sorted(read & set(given)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(given[name].astype(dtype), name))
    for node in model.graph.node:
        node.name = f"node_{node.output[0]}"
    for attribute in (a for node in model.graph.node if node.op_type == "Cast" for a in node.attribute):
        attribute.i = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return model


def answer(model: onnx.ModelProto, x: np.ndarray = X) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize(("title", "body"), RELU_LIKE.items(), ids=list(RELU_LIKE))
def test_relu_in_disguise(title: str, body: str) -> None:
    model, op = net(body), title.partition(":")[0]
    prepared = prepare(model)
    assert [(node.name, node.op_type) for node in prepared.model.graph] == [("node_y", op)]
    assert any(note.partition(" are together ")[2].startswith(op) or f" is {op}" in note for note in prepared.notes)
    for backend in ("numpy", "onnx"):
        explanation = Explainer(model, backend=backend)(X, target=2)
        np.testing.assert_allclose(explanation.output, answer(model), rtol=1e-6, atol=1e-6)
        expected = np.zeros_like(X)
        expected[:, 2] = explanation.output[:, 2]
        np.testing.assert_allclose(explanation.relevance, expected, rtol=1e-6)


@pytest.mark.parametrize(("title", "body"), SMOOTH.items(), ids=list(SMOOTH))
def test_smooth_in_pieces(title: str, body: str) -> None:
    model, op = net(body), title.partition(":")[0]
    (problem,) = check(model).problems
    assert (problem.node, problem.op) == ("node_y", op)
    assert "(written as " in problem.reason
    assert f"--pass-op {op} " in problem.remedy
    with pytest.raises(UnsupportedModelError, match="not ReLU-compatible"):
        Explainer(model)
    assert f"{op} (1 node) passes relevance unchanged, on your word" in check(model, pass_ops=op).notes
    for backend in ("numpy", "onnx"):
        explanation = Explainer(model, backend=backend, pass_ops=(op,))(X, target=2)
        np.testing.assert_allclose(explanation.output, answer(model), rtol=1e-5, atol=1e-5)
        expected = np.zeros_like(X)
        expected[:, 2] = explanation.output[:, 2]
        np.testing.assert_allclose(explanation.relevance, expected, rtol=1e-6)


@pytest.mark.parametrize(("title", "body"), OTHERS.items(), ids=list(OTHERS))
def test_near_misses_stay(title: str, body: str) -> None:
    model = net(body)
    report = check(model)
    given = {node.name: node.op_type for node in model.graph.node}
    assert not report.supported
    assert all(given[problem.node] == problem.op for problem in report.problems)


@pytest.mark.parametrize("body", [SMOOTH["Gelu: exporter's"], SMOOTH["Gelu: tanh"], RELU_LIKE["Clip: clip and max"]])
def test_constants_of_half_precision(body: str) -> None:
    ops = (
        [node.op_type for node in prepare(net(body, dtype=np.float16), pass_ops=()).model.graph]
        if "Clip" in body
        else []
    )
    problems = () if ops else check(net(body, dtype=np.float16)).problems
    assert (ops or [p.op for p in problems]) == (["Clip"] if "Clip" in body else ["Gelu"])


def test_both_gelus_are_told_apart() -> None:
    found = {}
    for name in ("Gelu: exporter's", "Gelu: tanh"):
        (node,) = prepare(net(SMOOTH[name]), pass_ops="Gelu").model.graph
        found[name] = node.attributes["approximate"].as_string() if "approximate" in node.attributes else "none"
    assert found == {"Gelu: exporter's": "none", "Gelu: tanh": "tanh"}


@pytest.mark.parametrize(
    ("op", "given"),
    [("Gelu", ""), ("Gelu", '<approximate="tanh">'), ("Mish", ""), ("HardSwish", ""), ("Swish", "<alpha=1.702>")],
)
def test_old_opsets_run_young_activations(op: str, given: str) -> None:
    """What a runtime gets for a node that its opset lacks is what the op itself computes."""
    model = net(f"y = {op}{given} (x)", opset=17 if op != "Swish" else 24)
    prepared = prepare(model, pass_ops=op)
    prepared.model.opset_imports[""] = 11
    lowered = to_float32(prepared.model)
    assert op not in {node.op_type for node in lowered.graph}
    session = make_session(onnx_bytes(lowered), SessionOptions(), "test")
    explanation = Explainer(model, backend="numpy", pass_ops=op, verify=False)(X)
    np.testing.assert_allclose(run(session, ["y"], {"x": X}, "test")[0], explanation.output, rtol=1e-5, atol=1e-6)


def onnx_bytes(model: object) -> bytes:
    import onnx_ir as ir

    assert isinstance(model, ir.Model)
    return bytes(ir.to_proto(model).SerializeToString())


def test_an_activation_that_is_read_elsewhere_too() -> None:
    """The gate inside is an output of its own: the product is one Swish all the same."""
    model = net("s = Sigmoid (x) m = Mul (x, s) y = Sub (m, s)")
    report = check(model)
    assert sorted((p.node, p.op) for p in report.problems) == [("node_m", "Swish"), ("node_s", "Sigmoid")]
    explanation = Explainer(model, backend="numpy", pass_ops=("Swish", "Sigmoid"))(X, ledger=True)
    np.testing.assert_allclose(explanation.output, answer(model), rtol=1e-5, atol=1e-6)


def test_microsoft_s_gelus() -> None:
    x = '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g (float[N,5] x) => (float y) '
    for op, named in (("Gelu", "Gelu"), ("FastGelu", "Gelu"), ("QuickGelu", "Swish")):
        model = parser.parse_model(f"{x} {{ y = com.microsoft.{op} (x) }}")
        explanation = Explainer(model, backend="numpy", pass_ops=named)(X)
        np.testing.assert_allclose(explanation.output, answer(model), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", ["LayerNormalization", "Softmax", "Conv", "Mul", "Where", "Frobnicate", "\x1b[31m"])
def test_only_activations_pass(op: str) -> None:
    with pytest.raises(CompositeError, match="is no elementwise activation") as error:
        check(net(SMOOTH["Swish"]), pass_ops=(op,))
    assert "--pass-op takes " in str(error.value)
    assert all(known in str(error.value) for known in TRUSTABLE)
    assert str(error.value).isprintable()


def test_what_is_not_there_cannot_pass() -> None:
    model = net("s = Sigmoid (x) m = Mul (x, s) t = Tanh (m) y = Relu (t)")
    with pytest.raises(CompositeError, match=r"no Gelu for --pass-op.*the model has Swish \(1 node\), Tanh \(1 node\)"):
        Explainer(model, pass_ops="Gelu")
    with pytest.raises(CompositeError, match="relevance passes Relu anyway"):
        Explainer(model, pass_ops="Relu")
    with pytest.raises(CompositeError, match="the model has none"):
        check(net("y = Relu (x)"), pass_ops="Gelu")


def test_every_trusted_op_passes_relevance() -> None:
    """One node of each, with its defaults."""
    for op in sorted(TRUSTABLE):
        model = net("a = Clip (x, three, six) y = Neg (a)" if op == "Clip" else f"a = {op} (x) y = Neg (a)", opset=24)
        assert not check(model).supported
        assert f"--pass-op {op} " in check(model).problems[0].remedy
        explanation = Explainer(model, backend="numpy", pass_ops=op, verify=False)(X, target=0)
        np.testing.assert_allclose(explanation.relevance[:, 0], explanation.output[:, 0], rtol=1e-5, atol=1e-5)


def test_a_clip_elsewhere_than_at_zero_has_no_false_facts() -> None:
    """min(max(x, -1), 1) keeps negative values; so the layer behind it must not believe in x >= 0."""
    body = "a = Clip (x, low, one) y = MatMul (a, w)"
    model = net(body)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(-1, np.float32), "low"))
    fast, plain = (
        Explainer(model, "alpha_beta", backend="numpy", pass_ops="Clip", facts=facts)(X, target=1).relevance
        for facts in (True, False)
    )
    np.testing.assert_allclose(fast, plain, rtol=1e-12)
    assert (fast[X[:, 1] < 0, 1] != 0).any()


def test_long_chains_take_no_time() -> None:
    """Regions are tried a bounded number of times, however many nodes there are."""
    ops = itertools.cycle(["Cos", "Exp", "Sqrt", "Log", "Reciprocal"])
    body = " ".join(f"t{i + 1} = {op} (t{i})" for i, op in zip(range(400), ops)).replace("(t0)", "(x)")
    report = check(net(body.replace("t400", "y")))
    assert len(report.problems) >= 160  # log(sqrt(exp x)) is x / 2, which is nothing to be named
    assert {problem.op for problem in report.problems} == {"Cos", "Exp", "Sqrt", "Log", "Reciprocal"}
