"""The first pass, against the model itself and against what is said of the same inputs when they are explained."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("zarr")
pq = pytest.importorskip("pyarrow.parquet")
from tinynets import WEIGHTS, block, files, linear, pooled, rows, work  # noqa: E402

import onnx_lrp as lrp  # noqa: E402
from onnx_lrp.batch.blocks import blocks_of  # noqa: E402
from onnx_lrp.batch.predicting import Predictor  # noqa: E402
from onnx_lrp.errors import InputError  # noqa: E402


def predictor(model: onnx.ModelProto, inputs: Any, out: Path, lanes: int = 1) -> Predictor:
    made = work(model, inputs, out)
    made.folder.predictions.mkdir()
    return Predictor(made.explainer, made.source, made.order, made.folder, lanes)


def predicted(some: Predictor, count: int) -> list[dict[str, Any]]:
    done = list(some.stream(blocks_of(count, 16)))
    parts = sorted(some.folder.predictions.iterdir())
    assert len(done) == len(parts)
    index = [row for path in parts for row in pq.read_table(path).to_pylist()]
    assert sum(one.failed for one in done) == sum(row["error"] is not None for row in index)
    return index


@pytest.mark.parametrize("lanes", [1, 3])
def test_predictions_are_the_models_own(tmp_path: Path, lanes: int) -> None:
    x = rows(21)
    x[[4, 20]] = np.nan
    index = predicted(predictor(linear(), x, tmp_path / "out", lanes), 21)
    scores = x @ WEIGHTS
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert [row["row"] for row in index] == list(range(21))
    for row, own, share in zip(index, scores, shares):
        if np.isnan(own).any():
            assert (row["prediction"], row["probability"]) == (None, None)
            assert "NaN" in row["error"]
            continue
        assert (row["prediction"], row["error"]) == (own.argmax(), None)
        assert row["probability"] == pytest.approx(share.max(), rel=1e-5)


def test_pictures_of_any_size_are_predicted(tmp_path: Path) -> None:
    pictures = [np.full((3, 4 + i % 3, 4), 0.1 * i, np.float32) for i in range(9)]
    index = predicted(predictor(pooled(), files(tmp_path / "in", pictures), tmp_path / "out"), 9)
    explainer = lrp.Explainer(pooled())
    assert [row["prediction"] for row in index] == [int(explainer(x[None]).prediction[0]) for x in pictures]


def test_an_answer_that_is_not_finite_is_no_prediction(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    weights[0, 1] = 3e38
    x = rows(8) * 0.01
    x[5, 0] = 8
    index = predicted(predictor(linear(weights=weights), x, tmp_path / "out"), 8)
    assert [row["row"] for row in index if row["error"]] == [5]
    assert index[5]["prediction"] is None


def test_an_input_beyond_float32_is_an_error_and_no_warning(tmp_path: Path) -> None:
    x = rows(8).astype(np.float64)
    x[5, 0] = 1e39
    index = predicted(predictor(linear(), x, tmp_path / "out"), 8)
    assert [row["row"] for row in index if row["error"]] == [5]


def test_it_is_pickled_without_its_session_and_poisoned_rows_are_not_touched(tmp_path: Path) -> None:
    some = predictor(linear(), rows(16), tmp_path / "out")
    some(block(16))
    again = pickle.loads(pickle.dumps(some))
    assert again(block(16), {3: "killed it"}).failed == 1
    (path,) = some.folder.predictions.iterdir()
    assert [row["row"] for row in pq.read_table(path).to_pylist() if row["error"] == "killed it"] == [3]


def test_a_probe_notes_each_row_and_stores_nothing(tmp_path: Path) -> None:
    some = predictor(linear(), rows(5), tmp_path / "out")
    some.probe(block(5), tmp_path / "journal")
    assert (tmp_path / "journal").read_text() == "4"
    assert not list(some.folder.predictions.iterdir())


@pytest.mark.parametrize("only", ["class=1", "wrong"])
def test_a_choice_explains_what_the_model_says_and_what_failed(tmp_path: Path, only: str) -> None:
    x = rows(40)
    best = (x @ WEIGHTS).argmax(1)
    x[7] = np.nan
    labels = np.where(np.arange(40) % 4 == 0, (best + 1) % 3, best)
    lines = [",".join([*map(str, row.tolist()), str(c)]) for row, c in zip(x, labels)]
    names = [f"f{i}" for i in range(10)]
    (tmp_path / "in.csv").write_text("\n".join([",".join([*names, "label"]), *lines]))
    inputs = str(tmp_path / "in.csv")
    found = lrp.explain_all(linear(), inputs, tmp_path / "out", only=only, label="label", features=names)
    wanted = best == 1 if only == "class=1" else labels != best
    wanted[7] = True
    assert found.index["origin"].to_pylist() == np.flatnonzero(wanted).tolist()
    assert [row["origin"] for row in found.errors.index.to_pylist()] == [7]


def test_what_cannot_be_listed_needs_no_label(tmp_path: Path) -> None:
    x = rows(4)
    best = (x @ WEIGHTS).argmax(1)
    lines = [",".join([*map(str, row.tolist()), str(c)]) for row, c in zip(x, [*best[:3], (best[3] + 1) % 3])]
    header = ",".join([*(f"f{i}" for i in range(10)), "label"])
    (tmp_path / "in.csv").write_text("\n".join([header, *lines[:2], "x", *lines[2:]]))
    found = lrp.explain_all(linear(), str(tmp_path / "in.csv"), tmp_path / "out", only="wrong", label="label")
    assert found.index["origin"].to_pylist() == [2, 4]
    assert "1 cells" in found[0].error


@pytest.mark.parametrize(("only", "what"), [("wrong", "[2]: label"), ("class=77", "--only class")])
def test_a_class_that_the_model_does_not_have_is_refused(tmp_path: Path, only: str, what: str) -> None:
    arrays = {"x": rows(3), "y": np.array([0, 1, 77])}
    said = f"{what} 77 is no class: the output has 3 elements, 0 to 2; give one of these, or all names"
    with pytest.raises(InputError, match=re.escape(said)):
        lrp.explain_all(linear(), arrays, tmp_path / "out", only=only, label="y", features=["x"])
    assert not (tmp_path / "out" / "predictions").exists()
