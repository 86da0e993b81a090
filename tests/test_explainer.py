"""The public API on small models: inputs, outputs, errors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp

MODELS = Path(__file__).resolve().parents[1] / "models"
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(3, 1, 28, 28)).astype(np.float32)

MLP = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 3] a, float[N, 2] b) => (float[N, 2] y, float[N, 2] p)
<float[3, 2] V = {1, -2, 0.5, 1, -1, 2}, float[2, 2] W = {1, 2, -1, 1}, float[2] c = {0.1, -0.2}>
{ u = MatMul(a, V)  v = Gemm(b, W, c)  s = Add(u, v)  y = Relu(s)  p = Softmax(y) }
"""


@pytest.fixture
def mlp() -> onnx.ModelProto:
    return onnx.parser.parse_model(MLP)


@pytest.mark.parametrize("model", ["mnist_cnn", "mnist_cnn_torchscript", "mnist_resnet", "mnist_resnet_dynamo"])
@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus_flat", "epsilon_gamma_box:low=0,high=1", "layered"])
def test_shipped_models(model: str, composite: str) -> None:
    path = MODELS / f"{model}.onnx"
    reference = lrp.explain(path, X, composite=composite, backend="numpy")
    assert isinstance(reference.relevance, np.ndarray)
    assert reference.relevance.shape == X.shape
    assert reference.relevance.dtype == np.float64
    assert np.allclose(reference.conservation.inputs, reference.relevance.sum((1, 2, 3)))
    other = lrp.explain(path, X, composite=composite, backend="numpy", dtype="float32").inputs["input"]
    assert np.linalg.norm(other - reference.relevance) <= 1e-4 * np.linalg.norm(reference.relevance)


def test_sources_agree() -> None:
    path = MODELS / "mnist_cnn.onnx"
    results = [
        lrp.explain(source, X[:1], backend="numpy").inputs["input"]
        for source in (path, str(path), path.read_bytes(), onnx.load(path))
    ]
    assert all(np.array_equal(results[0], r) for r in results[1:])


def test_several_inputs(mlp: onnx.ModelProto) -> None:
    a, b = RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=(4, 2)).astype(np.float32)
    explainer = lrp.Explainer(mlp, "epsilon", backend="numpy")
    by_name, by_order = explainer({"b": b, "a": a}), explainer([a, b])
    assert isinstance(by_name.relevance, dict)
    assert list(by_name.relevance) == ["a", "b"]
    assert all(np.array_equal(by_name.inputs[n], by_order.inputs[n]) for n in "ab")
    total = sum(r.sum(1) for r in by_name.inputs.values())
    assert np.allclose(by_name.conservation.inputs, total)


def test_head_is_cut_and_said(mlp: onnx.ModelProto) -> None:
    a, b = np.ones((1, 3), np.float32), np.ones((1, 2), np.float32)
    explanation = lrp.explain(mlp, [a, b], output="p", backend="numpy")
    assert np.array_equal(explanation.output, lrp.explain(mlp, [a, b], backend="numpy").output)
    assert any("Softmax" in note for note in lrp.check(mlp, output="p").notes)


def test_layers_and_ledger() -> None:
    explainer = lrp.Explainer(MODELS / "mnist_resnet.onnx", "epsilon", backend="numpy")
    names = [row.node for row in lrp.check(MODELS / "mnist_resnet.onnx").rows]
    assert len(names) == len(set(names))
    layer = explainer.plan.steps[3].outputs[0]
    explanation = explainer(X, layers=[layer], ledger=True)
    assert explanation.layers[layer].shape[0] == len(X)
    absorbed = sum(entry.absorbed for entry in explanation.ledger)
    assert np.isclose(absorbed, explanation.conservation.absorbed.sum(), rtol=1e-9, atol=1e-9)


def test_only_what_the_walk_reads_is_fetched() -> None:
    explainer = lrp.Explainer(MODELS / "mnist_cnn.onnx", "epsilon", backend="numpy", dtype="float32")
    values, _ = explainer.plan.needs()
    convolutions = {step.outputs[0] for step in explainer.plan.steps if step.op == "Conv"}
    assert convolutions
    assert not convolutions & values  # the ReLU's output stands in, so onnxruntime may fuse the two


def test_save_and_heatmap(tmp_path: Path) -> None:
    explanation = lrp.explain(MODELS / "mnist_cnn.onnx", X, backend="numpy")
    explanation.save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as saved:
        assert np.array_equal(saved["relevance::input"], explanation.inputs["input"])
        assert np.array_equal(saved["target"], explanation.target)
    with pytest.raises(lrp.OutputError, match="exists"):
        explanation.save(tmp_path / "r.npz")
    explanation.save(tmp_path / "r.npz", force=True)
    with pytest.raises(lrp.OutputError):
        explanation.save(tmp_path / "no" / "r.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["r.npz"]
    assert explanation.heatmap(1).size[0] >= 28


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((1, 28, 28), np.float32), r"rank 3.*; add an axis of samples: x\[None\]$"),
        (np.ones((1, 1, 1, 28, 28), np.float32), r"rank 5.*; take the axis of samples away: x\[0\]$"),
        (np.ones((1, 28, 28, 1), np.float32), r"shape .*; put its axes in this order: x.transpose\(0, 3, 1, 2\)$"),
        (np.ones((1, 3, 28, 28), np.float32), "shape .*; give an array of this shape$"),
        (np.ones((0, 1, 28, 28), np.float32), "empty"),
        (np.ones((1, 1, 28, 28), np.int64), "int64"),
        (np.ones((1, 1, 28, 28), complex), "complex"),
        (np.full((1, 1, 28, 28), np.nan, np.float32), "NaN"),
        (np.full((1, 1, 28, 28), np.inf), "Inf"),
        ({"image": X}, "image"),
        ({}, "missing"),
        ([[1.0], [2.0, 3.0]], "ragged"),
        ("3.png", "no such file"),
    ],
)
def test_bad_inputs(x: object, message: str) -> None:
    with pytest.raises(lrp.InputError, match=message):
        lrp.explain(MODELS / "mnist_cnn.onnx", x, backend="numpy")


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "uint64", "int16", "int32"])
def test_whole_numbers_of_every_kind(kind: str) -> None:
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g ({kind}[N, 2] i) => (float[N, 2] y)'
        "<float[2, 2] w = {1, 2, -1, 1}> { x = Cast <to = 1> (i) y = MatMul(x, w) }"
    )
    explanation = lrp.explain(model, np.array([[3, 1]], kind), composite="epsilon", backend="numpy")
    np.testing.assert_array_equal(explanation.output, [[2, 7]])
    np.testing.assert_allclose(explanation.relevance, [[6, 1]], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"target": 10}, lrp.TargetError),
        ({"target": -1}, lrp.TargetError),
        ({"output": "nope"}, lrp.TargetError),
        ({"seed": "half"}, lrp.TargetError),
        ({"layers": ["nope"]}, lrp.TargetError),
        ({"composite": "nope"}, lrp.CompositeError),
        ({"batchnorm": "nope"}, lrp.CompositeError),
        ({"backend": "nope"}, lrp.BackendError),
        ({"dtype": "int8"}, lrp.BackendError),
        ({"backend": "numpy", "device": "cuda"}, lrp.BackendError),
    ],
)
def test_bad_options(options: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        lrp.explain(MODELS / "mnist_cnn.onnx", X, **options)  # type: ignore[arg-type]


def test_merge_refuses_other_rules(mlp: onnx.ModelProto) -> None:
    composite = lrp.Composite("all", ((lrp.Selector(), lrp.ZPlus()),))
    with pytest.raises(lrp.CompositeError, match="merges"):
        lrp.Explainer(mlp, composite)


def test_verification_notices_a_wrong_rewriting(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.model.canonizers import affine

    original = affine._batch_norm
    monkeypatch.setattr(affine, "_batch_norm", lambda *a: (lambda s: (s[0] * 1.1, s[1]))(original(*a)))
    with pytest.raises(lrp.VerificationError, match="verify=False"):
        lrp.explain(MODELS / "mnist_resnet.onnx", X, backend="numpy")
    lrp.explain(MODELS / "mnist_resnet.onnx", X, backend="numpy", verify=False)


def test_all_offenders_are_listed() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "acme" : 1]>
        net (float[N, 3] x) => (float[N, 3] y) { t = Tanh(x)  r = Relu(t)  m = Mul(r, t)  y = acme.Frob(m) }
    """)
    with pytest.raises(lrp.UnsupportedModelError) as caught:
        lrp.Explainer(model)
    assert [problem.op for problem in caught.value.problems] == ["Tanh", "Mul", "acme::Frob"]
    assert all(problem.reason and problem.remedy for problem in caught.value.problems)
    report = lrp.check(model)
    assert not report.supported
    assert "Tanh" in str(report)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # as a process pool hands it over


def test_a_very_long_name_is_shortened_where_it_is_saved(tmp_path: Path) -> None:
    names = ["L" * 80_000 + end for end in "ab"]
    node = onnx.helper.make_node("Add", names, ["y"])
    given = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in (*names, "y")]
    graph = onnx.helper.make_graph([node], "g", given[:2], given[2:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    explanation = lrp.explain(model, dict.fromkeys(names, np.ones((1, 3), np.float32)), 1)
    explanation.save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as saved:
        keys = [key for key in saved if key.startswith("relevance::L")]
        assert sorted(map(len, keys)) == [1028, 1028]
        assert len(set(keys)) == 2
