"""``lrp.evaluate``: what comes out on models whose good explanations are known, what resumes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.evaluation import contenders
from onnx_lrp.evaluation.report import ABOUT

RESNET = Path(__file__).resolve().parents[2] / "models" / "mnist_resnet.onnx"
RANDOM = np.random.default_rng(0)
ALL = ("flipping", "pointing", "randomisation", "stability", "sparseness", "conservation")


def parsed(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')


def quarters(batch: str, height: str, width: str) -> onnx.ModelProto:
    """Four classes, each the sum of one channel: an explanation can be right to the pixel."""
    return parsed(
        f"""net (float[{batch}, 4, {height}, {width}] x) => (float[{batch}, 4] y)
        <float[4, 4] w = {{1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1}}> {{
            a = GlobalAveragePool (x)
            b = Flatten (a)
            y = MatMul (b, w)
        }}"""
    )


def dense(outputs: int = 2) -> onnx.ModelProto:
    weight = ",".join(str(n % 5 - 2) for n in range(6 * outputs))
    return parsed(
        f"net (float[n, 6] x) => (float[n, {outputs}] y) <float[6, {outputs}] w = {{{weight}}}> {{y = MatMul(x, w)}}"
    )


def tokens() -> onnx.ModelProto:
    """Ids 0 (mask), 1 (speaks for class 0), 2 (for class 1), 3 (for neither)."""
    return parsed(
        """net (int64[n, 5] ids) => (float[n, 2] y)
        <float[4, 2] table = {0,0, 4,0, 0,3, 0,0}> {
            e = Gather (table, ids)
            y = ReduceMean <axes = [1], keepdims = 0> (e)
        }"""
    )


CLASSES = np.eye(4)[np.arange(24) % 4][:, :, None, None]
PICTURES = (CLASSES * RANDOM.uniform(1, 2, (24, 4, 6, 8))).astype(np.float32)
ROWS = RANDOM.normal(size=(20, 6)).astype(np.float32)
IDS = RANDOM.integers(1, 4, (20, 5))


@pytest.mark.parametrize("size", [("h", "w"), ("6", "8")])
def test_what_knows_the_classes_points_without_a_miss(size: tuple[str, str]) -> None:
    """Each class is a channel, so gradient × input lies in its own quarter, on mosaics larger or shrunk."""
    found = lrp.evaluate(quarters("n", *size), PICTURES, composites="epsilon", against="random", measures="pointing")
    assert np.allclose(found.scores["epsilon"]["pointing"], 1)
    assert abs(found.scores["random"]["pointing"].mean() - 0.25) < 0.05
    assert found.scores["epsilon"]["pointing"].shape == (24, 4)
    assert ("12x16" if size == ("h", "w") else "6x8") in found.settings[1]
    _, random = (row for row in found.rows if row.measure == "pointing")
    assert random.value.samples == 24
    assert random.difference is not None
    assert random.difference.significant
    assert random.difference.mean == pytest.approx(found.scores["random"]["pointing"].mean() - 1)


def test_a_fixed_batch_gives_the_same_numbers() -> None:
    options: dict[str, Any] = {"composites": "epsilon", "against": (), "measures": ALL}
    open_, one, three = (
        lrp.evaluate(quarters(batch, "6", "8"), PICTURES, **options).scores["epsilon"] for batch in ("n", "1", "5")
    )
    for name, scores in open_.items():
        assert np.allclose(scores, one[name], atol=1e-5), name
        assert np.allclose(scores, three[name], atol=1e-5), name


def test_rows_are_flipped_feature_by_feature() -> None:
    """Of a linear model with means imputed, LRP-0 is the exact order only if means are 0."""
    x = np.concatenate([ROWS, -ROWS])
    found = lrp.evaluate(dense(), x, composites="epsilon", against="random")
    target = (x @ np.array([n % 5 - 2 for n in range(12)]).reshape(6, 2)).argmax(1)
    contribution = x * np.array([n % 5 - 2 for n in range(12)]).reshape(6, 2).T[target]
    rising = np.sort(contribution, 1)
    curves = [np.cumsum(rising[:, ::-s], 1) for s in (1, -1)]
    expected = np.abs(curves[0] - curves[1])[:, :-1].sum(1) / 6
    assert np.allclose(found.scores["epsilon"]["logit"], expected, atol=1e-4)
    assert found.settings[1] == "pixel flipping: 6 features, one by one, in 6 steps, imputed by mean"
    assert found.warnings == ("pointing is not measured: no pictures, so there are no mosaics of them",)


def test_tokens_are_masked() -> None:
    found = lrp.evaluate(tokens(), IDS, composites="epsilon", against=(), measures=("flipping", "stability"), mask=0)
    assert (found.scores["epsilon"]["logit"] >= 0).all()
    assert found.scores["epsilon"]["logit"].max() > 0
    assert "5 tokens, one by one, in 5 steps, imputed by mask" in found.settings[1]
    assert found.warnings == ("stability is not measured: the inputs are integers, to which no noise can be added",)


def test_a_method_without_a_meaning_is_left_out() -> None:
    found = lrp.evaluate(tokens(), IDS, composites="epsilon", measures="flipping", mask=0)
    assert list(found.methods) == ["epsilon", "random"]
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("gradient-input is left out: ")
    assert "its input is int64" in found.warnings[0]


def test_every_method_takes_rows() -> None:
    against = ("gradient-input", "saliency", "smoothgrad", "integrated-gradients", "occlusion", "random")
    found = lrp.evaluate(dense(), ROWS, composites="epsilon", against=against, measures="flipping")
    assert list(found.methods) == ["epsilon", *against]
    ours = found.scores["epsilon"]["logit"]  # of a linear model all three are the contributions
    assert all(np.allclose(found.scores[n]["logit"], ours) for n in ("gradient-input", "integrated-gradients"))
    assert found.scores["random"]["logit"].mean() < ours.mean()


def test_one_output_is_measured_by_its_value_alone() -> None:
    found = lrp.evaluate(dense(1), ROWS, composites="epsilon", against=(), measures="flipping")
    assert set(found.scores["epsilon"]) == {"logit", "logit MoRF", "logit LeRF"}


def test_the_first_method_is_what_others_are_compared_with_sample_by_sample() -> None:
    x = RANDOM.uniform(size=(16, 1, 28, 28)).astype(np.float32)
    found = lrp.evaluate(
        RESNET, x, composites={"plus": "epsilon_plus", "0": "epsilon"}, against="gradient-input", measures="flipping"
    )
    assert list(found.methods) == ["plus", "0", "gradient-input"]
    rows = {row.method: row for row in found.rows if row.measure == "p"}
    assert rows["plus"].difference is None
    difference = found.scores["0"]["p"] - found.scores["plus"]["p"]
    assert rows["0"].difference is not None
    assert rows["0"].difference.mean == pytest.approx(difference.mean())
    assert np.allclose(found.scores["0"]["p"], found.scores["gradient-input"]["p"], atol=0.02)  # LRP-0 is that
    assert found.curves["plus"]["share"][::16] == [0, 1]
    ends = [found.curves[name][f"p {order}"] for name in found.methods for order in ("MoRF", "LeRF")]
    assert np.allclose([curve[0] for curve in ends], ends[0][0])
    assert np.allclose([curve[-1] for curve in ends], ends[0][-1])


def test_all_measures_reach_the_table_and_json() -> None:
    found = lrp.evaluate(quarters("n", "6", "8"), PICTURES, composites="epsilon", against="random", measures=ALL)
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert set(ABOUT) <= {row["measure"] for row in data["rows"]}
    assert np.allclose(data["scores"]["epsilon"]["conservation"], 1)
    assert not any(row["measure"] == "conservation" and row["method"] == "random" for row in data["rows"])
    assert np.allclose(found.scores["random"]["randomisation"], 1)  # it knows nothing of the model
    text = str(found).splitlines()
    assert all(any(line.startswith(f"{name}: ") for line in text) for name in ABOUT)
    assert set(found.seconds) == {"epsilon", "random"}
    assert min(found.seconds.values()) > 0


def test_nan_is_none_in_json() -> None:
    found = lrp.evaluate(dense(), ROWS, composites="zplus", against=(), measures="sparseness")
    found.scores["zplus"]["gini"][0] = np.nan
    data = json.dumps(found.as_dict(), allow_nan=False)
    assert json.loads(data)["scores"]["zplus"]["gini"][0] is None


def test_only_what_the_model_gets_right_counts() -> None:
    labels = np.arange(24) % 4
    labels[:3] = 3
    found = lrp.evaluate(
        quarters("n", "6", "8"), PICTURES, labels, composites="epsilon", against=(), measures="flipping"
    )
    assert len(found.scores["epsilon"]["p"]) == 21
    assert found.warnings == ("3 of 24 inputs are left out: the model gets them wrong",)


def test_few_inputs_are_said_to_prove_nothing() -> None:
    found = lrp.evaluate(dense(), ROWS, composites="epsilon", against=(), measures="flipping", limit=5)
    assert found.warnings == ("5 inputs prove nothing; give at least 16",)
    first = lrp.evaluate(dense(), ROWS[::4], composites="epsilon", against=(), measures="flipping")
    assert np.array_equal(found.scores["epsilon"]["logit"], first.scores["epsilon"]["logit"])


def test_an_interrupted_evaluation_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.jsonl"
    options: dict[str, Any] = {"composites": ("epsilon", "zplus"), "against": "random", "resume": path}
    whole = lrp.evaluate(quarters("n", "6", "8"), PICTURES, **{**options, "resume": None})

    def interrupt(done: int, total: int, what: str) -> None:
        if what == "zplus: pointing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lrp.evaluate(quarters("n", "6", "8"), PICTURES, progress=interrupt, **options)
    assert len(path.read_text().splitlines()) == 5  # seconds and two measures of one, seconds and flipping of the next
    with path.open("a") as file:
        file.write('{"key": "cut o')
    built = []
    real = contenders.Contenders.build

    def counted(self: Any, name: str, model: Any) -> Any:
        built.append(name)
        return real(self, name, model)

    monkeypatch.setattr(contenders.Contenders, "build", counted)
    resumed = lrp.evaluate(quarters("n", "6", "8"), PICTURES, **options)
    assert built == ["zplus", "random"]
    for name, scores in whole.scores.items():
        assert {k: v.tolist() for k, v in scores.items()} == {k: v.tolist() for k, v in resumed.scores[name].items()}
    built.clear()
    again = lrp.evaluate(quarters("n", "6", "8"), PICTURES, **options)
    assert built == []
    assert str(again) == str(resumed)
    lrp.evaluate(quarters("n", "6", "8"), PICTURES, steps=4, **options)
    assert built == ["epsilon", "zplus", "random"]  # another question


def test_the_same_seed_gives_the_same_numbers() -> None:
    options: dict[str, Any] = {"composites": "epsilon", "against": "random", "measures": ALL}
    a, b, c = (lrp.evaluate(quarters("n", "6", "8"), PICTURES, random_seed=s, **options) for s in (1, 1, 2))
    assert a.as_dict()["scores"] == b.as_dict()["scores"]
    assert a.as_dict()["scores"] != c.as_dict()["scores"]


def test_progress_goes_from_nothing_to_all() -> None:
    told: list[tuple[int, int, str]] = []
    lrp.evaluate(dense(), ROWS, composites="epsilon", against="random", measures="flipping",
                 progress=lambda *state: told.append(state))  # fmt: skip
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[0][0] == 0
    assert told[-1][:2] == (4, 4)


@pytest.mark.parametrize(
    ("options", "error", "line"),
    [
        ({"measures": "beauty"}, lrp.InputError, "no measure 'beauty'; there are flipping, pointing"),
        ({"measures": "pointing"}, lrp.InputError, "pointing is not measured: no pictures"),
        ({"composites": "epsilonn"}, lrp.CompositeError, "unknown composite 'epsilonn'"),
        ({"composites": ()}, lrp.CompositeError, "at least one composite"),
        ({"composites": ("epsilon", "epsilon")}, lrp.CompositeError, "given twice"),
        ({"against": "gradcam"}, lrp.CompositeError, "no method 'gradcam' to compare with"),
        ({"imputation": "blur"}, lrp.InputError, "imputation 'blur' is not for rows"),
        ({"steps": 0}, lrp.InputError, "at least one step"),
        ({"random_seed": -1}, lrp.InputError, "random_seed must be a whole number from 0 on, not -1"),
        ({"limit": 0}, lrp.InputError, "at least one input"),
        ({"seed": np.ones((20, 2))}, lrp.TargetError, "not from an array"),
        ({"labels": np.zeros(3, int)}, lrp.InputError, "labels are 20 integers"),
        ({"labels": np.full(20, 7)}, lrp.InputError, "labels go from 7 to 7, the model's classes from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_one_line(options: dict[str, Any], error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line) as caught:
        lrp.evaluate(dense(), ROWS, **options)
    assert "\n" not in str(caught.value)


def test_a_model_that_gets_all_wrong_is_not_evaluated() -> None:
    wrong = 1 - (ROWS @ np.array([n % 5 - 2 for n in range(12)]).reshape(6, 2)).argmax(1)
    with pytest.raises(lrp.InputError, match="the model gets all 20 inputs wrong, and pixel flipping proves nothing"):
        lrp.evaluate(dense(), ROWS, wrong)


def test_fewer_than_four_classes_is_a_reason() -> None:
    found = lrp.evaluate(quarters("n", "6", "8"), PICTURES[PICTURES[:, 3, 0, 0] == 0], composites="epsilon", against=())
    assert found.warnings == (
        "pointing is not measured: the pointing game needs pictures of four classes, the model predicts 3 of these",
    )


def test_a_file_that_is_no_cache_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for text in ("shopping\nlist\n", "shopping", "{}", "[1]\n"):
        path.write_text(text)
        with pytest.raises(lrp.InputError, match="holds no results of an evaluation"):
            lrp.evaluate(dense(), ROWS, resume=path)
        assert path.read_text() == text
    with pytest.raises(lrp.OutputError, match="cannot be read and written"):
        lrp.evaluate(dense(), ROWS, resume=tmp_path / "missing" / "results.jsonl")
