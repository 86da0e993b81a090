"""An explanation as a value: samples, prediction, probability, files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import onnx_lrp as lrp

RNG = np.random.default_rng(2)
W, V = RNG.standard_normal((4, 5)).astype(np.float32), RNG.standard_normal((5, 3)).astype(np.float32)
X = RNG.standard_normal((3, 4)).astype(np.float32)


def mlp(end: str = "y = MatMul(r, V)", rank: str = "N, 3") -> onnx.ModelProto:
    body = f"{{ h = MatMul(x, W) r = Relu(h) {end} }}"
    text = f'<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (float[{rank}] y) {body}'
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(a, n) for n, a in (("W", W), ("V", V), ("one", V[:1, :1]))
    )
    return model


def softmax(z: np.ndarray) -> np.ndarray:
    shares = np.exp(z.astype(np.float64))
    return np.asarray(shares / shares.sum(1, keepdims=True))


def test_samples() -> None:
    whole = lrp.explain(mlp(), X, layers=["r"])
    assert len(whole) == 3
    for i, one in enumerate(whole):
        assert len(one) == 1
        alone = lrp.explain(mlp(), X[i : i + 1], layers=["r"])
        np.testing.assert_allclose(one.relevance, alone.relevance, atol=1e-6)
        np.testing.assert_allclose(one.layers["r"], alone.layers["r"], atol=1e-6)
        np.testing.assert_allclose(one.conservation.absorbed, alone.conservation.absorbed, atol=1e-5)
        assert one.target == alone.target
        assert one.context is not None
        np.testing.assert_array_equal(one.context.data["x"], X[i : i + 1])
    np.testing.assert_array_equal(whole[-1].relevance, whole.relevance[2:])
    with pytest.raises(IndexError):
        whole[3]


def test_prediction_and_probability() -> None:
    found = lrp.explain(mlp(), X, target=1)
    logits = np.maximum(X @ W, 0) @ V
    assert found.prediction.tolist() == logits.argmax(1).tolist()
    np.testing.assert_allclose(found.probability, softmax(logits)[:, 1], rtol=1e-5)
    assert found.target.tolist() == [1, 1, 1]


def test_the_model_s_own_head_says_the_probability() -> None:
    model = mlp("z = MatMul(r, V) y = Sigmoid(z)")
    found = lrp.explain(model, X)
    own = ort.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0]
    np.testing.assert_allclose(found.probabilities, own, rtol=1e-6)
    np.testing.assert_allclose(found[1].probabilities, own[1:2], rtol=1e-6)


def test_what_is_no_row_of_classes_has_no_probability() -> None:
    assert (
        lrp.explain(mlp("v = MatMul(r, V) m = ReduceMean<axes = [1]>(v) y = MatMul(m, one)", "N, 1"), X).probability
        is None
    )


def test_what_it_says_of_itself() -> None:
    found = lrp.explain(mlp(), X, backend="numpy")
    lines = repr(found).splitlines()
    assert len(lines) == 3
    assert lines[0] == "<ModelProto>: explains 'y' by default, numpy float64"
    assert lines[1].startswith(f"predicts {found.prediction[0]}, probability ")
    assert lines[1].endswith(" and 2 more")
    assert lines[2].startswith("ΣR at the target ")
    other = lrp.explain(mlp(), X[:1], target=1, backend="numpy")
    assert f"explained {1}" in repr(other) or other.prediction[0] == 1
    assert repr(lrp.Explainer(mlp(), backend="numpy")) == "<ModelProto>: explains 'y' by default: Epsilon() on 2"
    assert [row[1:] for row in found.rules] == [("MatMul", "Epsilon()")] * 2


def test_files(tmp_path: Path) -> None:
    found = lrp.explain(mlp("z = MatMul(r, V) y = Softmax(z)"), X, layers=["r"])
    found.save(tmp_path / "all.npz")
    again = lrp.Explanation.load(tmp_path / "all.npz")
    assert repr(again) == repr(found)
    assert (again.warnings, again.rules, again.context) == (found.warnings, found.rules, found.context)
    for mine, theirs in ((again.inputs, found.inputs), (again.layers, found.layers)):
        assert list(mine) == list(theirs)
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    np.testing.assert_array_equal(again.probabilities, found.probabilities)
    np.testing.assert_array_equal(again.conservation.size, found.conservation.size)
    with pytest.raises(lrp.OutputError, match=r"written as \.npz"):
        found.save(tmp_path / "all.csv")
    with pytest.raises(lrp.InputError, match="cannot be read"):
        lrp.Explanation.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=X)
    (tmp_path / "text.npz").write_text("no zip")
    for other in ("other.npz", "text.npz"):
        with pytest.raises(lrp.InputError, match="is no explanation"):
            lrp.Explanation.load(tmp_path / other)


def test_pictures_are_saved_by_their_ending(tmp_path: Path) -> None:
    digit = RNG.uniform(0, 1, (1, 1, 28, 28)).astype(np.float32)
    model = Path(__file__).parents[1] / "models" / "mnist_cnn.onnx"
    lrp.explain(str(model), digit).save(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def test_it_travels_whole() -> None:
    found = lrp.explain(mlp("z = MatMul(r, V) y = Softmax(z)"), X)
    arrived = pickle.loads(pickle.dumps(found[2]))
    np.testing.assert_array_equal(arrived.probabilities, found[2].probabilities)
    assert arrived.context == found[2].context


def test_a_picture_is_shown_as_it_was(tmp_path: Path) -> None:
    """Blue, green and red in the net, but not in the figure; also after saving and loading."""
    from PIL import Image

    text = """<ir_version: 8, opset_import: ["": 17]> g (float[N, 3, 8, 8] x) => (float[N, 2] y) {
        p = GlobalAveragePool(x) f = Flatten(p) y = MatMul(f, U) }"""
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(RNG.standard_normal((3, 2)).astype(np.float32), "U"))
    Image.new("RGB", (8, 8), (200, 30, 10)).save(tmp_path / "red.png")
    found = lrp.Explainer(model, preprocessing="caffe")(tmp_path / "red.png")
    found.save(tmp_path / "red.npz")
    for explanation in (found, lrp.Explanation.load(tmp_path / "red.npz")):
        assert explanation.context is not None
        assert explanation.context.preprocessing == lrp.Preprocessing.create("caffe")
        pixels = np.asarray(explanation.figure().convert("RGB")).reshape(-1, 3)
        assert (pixels == (200, 30, 10)).all(1).sum() > 1000
        assert not (pixels == (10, 30, 200)).all(1).any()
    assert found.record()["preprocessing"]["channels"] == "bgr"
    plain = lrp.explain(model, np.zeros((1, 3, 8, 8), np.float32))
    assert plain.context is not None
    assert plain.context.preprocessing is None
