"""Rows of a data frame: what they may hold, and that a bad one costs itself alone."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from tinynets import WEIGHTS, scaled

import onnx_lrp as lrp
from onnx_lrp.clusters.rows import RowExplainer

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "mnist_cnn.onnx"
DIGITS = sorted((ROOT / "models" / "digits").glob("*.png"))
GOOD = DIGITS[3].read_bytes()


@pytest.fixture(scope="module")
def rows() -> RowExplainer:
    return RowExplainer(lrp.Explainer(MODEL))


def test_all_that_a_cell_may_hold_is_the_same_picture(rows: RowExplainer) -> None:
    pixels = np.asarray(Image.open(DIGITS[3]).convert("L"))
    scaled = (pixels[None] / np.float32(255)).astype(np.float32)
    cells = [GOOD, bytearray(GOOD), str(DIGITS[3]), DIGITS[3], pixels, pixels[..., None], scaled, scaled.tolist(),
             np.stack([pixels] * 3, -1)]  # fmt: skip
    expected = lrp.explain(MODEL, str(DIGITS[3]))
    for answer in rows([{"": cell} for cell in cells]):
        assert answer.error is None
        assert (answer.prediction, answer.target) == (3, 3)
        np.testing.assert_allclose(answer.maps["input"], expected.relevance[0].sum(0), atol=1e-5)
        assert answer.probability == pytest.approx(expected.probability[0], abs=1e-6)
        assert answer.start == pytest.approx(expected.conservation.target[0], rel=1e-5)
        assert answer.absorbed == pytest.approx(expected.conservation.absorbed[0], abs=1e-4)


@pytest.mark.parametrize(
    ("cell", "target", "said"),
    [
        (None, None, "its cell is empty"),
        (b"", None, "file is empty"),
        (b"no picture", None, "not a PNG, JPEG, WebP or BMP"),
        (GOOD[:90], None, "cannot be read"),
        ("nowhere.png", None, "no such file"),
        (np.full((1, 28, 28), np.nan, np.float32), None, "NaN"),
        (np.zeros((1, 2, 28, 28), np.float32), None, "shape"),
        ([[1.0, 2.0], [3.0]], None, "array of numbers"),
        (GOOD, 99, "99"),
        (GOOD, "three", "three"),
        (GOOD, [], "int"),
    ],
)
def test_a_bad_row_costs_itself(rows: RowExplainer, cell: Any, target: Any, said: str) -> None:
    first, bad, last = rows([{"": GOOD}, {"": cell}, {"": GOOD}], [None, target, 4])
    assert said in (bad.error or "")
    assert "\n" not in (bad.error or "")
    assert (bad.prediction, bad.maps) == (None, {})
    assert (first.error, first.target, last.error, last.target) == (None, 3, None, 4)


def test_targets_of_rows_and_of_all() -> None:
    rows = RowExplainer(lrp.Explainer(MODEL, labels=[f"digit {i}" for i in range(10)]), target=5)
    targets = [None, float("nan"), "", 2, 2.0, np.int64(2), "digit 2"]
    assert [answer.target for answer in rows([{"": GOOD}] * 7, targets)] == [5, 5, 5, 2, 2, 2, 2]


def test_a_model_of_so_many_samples_is_filled_up(tmp_path: Path) -> None:
    proto = onnx.load(MODEL)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    fixed, free = RowExplainer(lrp.Explainer(proto)), RowExplainer(lrp.Explainer(MODEL))
    cells = [{"": path.read_bytes()} for path in DIGITS[:6]] + [{"": None}]
    for one, other in zip(fixed(cells), free(cells)):
        assert (one.prediction, one.error) == (other.prediction, other.error)
        for name, relevance in other.maps.items():
            np.testing.assert_allclose(one.maps[name], relevance, atol=1e-5)


@pytest.mark.parametrize("samples", ["n", 4])
def test_each_row_has_its_own_constant(samples: int | str) -> None:
    x, scales = np.random.default_rng(3).normal(size=(5, 10)).astype(np.float32), np.arange(1, 6, dtype=np.float32)
    found = RowExplainer(lrp.Explainer(scaled(samples), fixed=["s"]))([{"x": a, "s": b} for a, b in zip(x, scales)])
    assert [answer.error for answer in found] == [None] * 5
    np.testing.assert_allclose([answer.start for answer in found], (x * scales[:, None] @ WEIGHTS).max(1), rtol=1e-5)


def without_samples() -> onnx.ModelProto:
    """A model whose input has no axis of samples."""
    weight = np.random.default_rng(0).normal(size=(48, 3)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weight"], ["y"]),
    ]
    x, y = (onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("x", [3, 4, 4]), ("y", [1, 3])))
    constants = [
        onnx.numpy_helper.from_array(np.array([1, 48]), "shape"),
        onnx.numpy_helper.from_array(weight, "weight"),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def test_without_an_axis_of_samples_rows_go_one_by_one() -> None:
    rows = RowExplainer(lrp.Explainer(without_samples()), whole=True)
    x = np.random.default_rng(1).normal(size=(3, 3, 4, 4)).astype(np.float32)
    found = rows([{"": one} for one in x], [None, 2, None])
    for answer, one, target in zip(found, x, (None, 2, None)):
        expected = rows.explainer(one, target)
        assert (answer.error, answer.target) == (None, expected.target[0])
        np.testing.assert_array_equal(answer.maps["x"], expected.relevance)


def test_scores_beyond_float32_cost_their_row() -> None:
    weight = onnx.numpy_helper.to_array(without_samples().graph.initializer[1])[:, 0].reshape(3, 4, 4)
    explainer = lrp.Explainer(without_samples(), dtype="float64", backend="numpy")
    good, bad = RowExplainer(explainer, whole=True)([{"": np.sign(weight)}, {"": np.sign(weight) * np.float32(1e38)}])
    assert good.error is None
    assert (bad.error or "").startswith("its answer goes beyond 3.4e38")


def test_an_animation_is_no_picture(rows: RowExplainer) -> None:
    frames, held = [Image.new("L", (28, 28), shade) for shade in (0, 255)], io.BytesIO()
    frames[0].save(held, "PNG", save_all=True, append_images=frames[1:])
    assert "is an animation" in (rows([{"": held.getvalue()}])[0].error or "")


def test_a_head_answers_in_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    proto = onnx.load(MODEL)
    name = proto.graph.output[0].name
    proto.graph.node.append(onnx.helper.make_node("Softmax", [name], ["shares"], axis=1))
    proto.graph.output[0].name = "shares"
    explainer = lrp.Explainer(proto)
    expected = explainer([DIGITS[1], DIGITS[2]]).probability
    rows = RowExplainer(explainer, target=7)
    monkeypatch.setattr("onnx_lrp.explaining.results.original", lambda *_: pytest.fail("the model was asked again"))
    found = rows([{"": DIGITS[1]}, {"": DIGITS[2]}])
    assert [answer.target for answer in found] == [7, 7]
    np.testing.assert_allclose([answer.probability for answer in found], expected, rtol=1e-4)


def test_the_shape_of_maps_is_known_before(rows: RowExplainer) -> None:
    assert rows.shapes() == {"input": (28, 28)}
    assert RowExplainer(rows.explainer, whole=True).shapes() == {"input": (1, 28, 28)}
    whole = RowExplainer(rows.explainer, whole=True)([{"": GOOD}])[0]
    assert whole.maps["input"].shape == (1, 28, 28)


def test_the_document_has_the_recipe_for_spark_as_it_is_tested() -> None:
    document = (ROOT / "docs" / "clusters.md").read_text()
    code = (ROOT / "examples" / "spark_explain.py").read_text().split('"""', 2)[2].strip()
    assert code in document
    assert len([line for line in code.splitlines() if line.strip()]) <= 40


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert lrp.ray.explain
    with pytest.raises(lrp.BackendError, match=r"pip install 'onnx_lrp\[ray\]'"):
        lrp.ray.explain(None, MODEL)
