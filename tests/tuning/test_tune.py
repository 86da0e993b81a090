"""``lrp.tune`` and ``onnx-lrp tune`` on models whose best composite is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.tuning.recipe import STAGES

RANDOM = np.random.default_rng(0)
SHARED, CLASSES = 8, 4
OWN = np.arange(60) % CLASSES

Capture = pytest.CaptureFixture[str]


def parsed(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items())
    return model


def voting() -> onnx.ModelProto:
    """Eight features speak for all classes alike and four for one each: only against the others is this seen."""
    weight = np.concatenate([np.full((SHARED, CLASSES), 3.0), np.eye(CLASSES)])
    return parsed(f"net (float[n, {SHARED + CLASSES}] x) => (float[n, {CLASSES}] y) {{ y = MatMul (x, w) }}", w=weight)


def votes() -> np.ndarray:
    own = 3.0 * np.eye(CLASSES)[OWN] + RANDOM.uniform(0, 1, (60, CLASSES))
    return np.concatenate([RANDOM.uniform(0.5, 1, (60, SHARED)), own], 1).astype(np.float32)


def opposed() -> onnx.ModelProto:
    """Two classes, one the negative of the other: every rule and seed gives one explanation, but for a factor."""
    weight = RANDOM.normal(size=(6, 1))
    return parsed(
        "net (float[n, 6] x) => (float[n, 2] y) { y = MatMul (x, w) }", w=np.concatenate([weight, -weight], 1)
    )


def pictures(outputs: int = 4) -> onnx.ModelProto:
    """Channels are the classes, as far as there are classes."""
    return parsed(
        f"""net (float[n, 4, 6, 8] x) => (float[n, {outputs}] y) {{
            c = Conv (x, k)
            r = Relu (c)
            a = GlobalAveragePool (r)
            f = Flatten (a)
            y = MatMul (f, w)
        }}""",
        k=np.eye(4)[:, :, None, None] - 0.1, w=np.eye(4)[:, :outputs],
    )  # fmt: skip


PICTURES = (np.eye(4)[np.arange(40) % 4][:, :, None, None] * RANDOM.uniform(1, 2, (40, 4, 6, 8))).astype(np.float32)
VOTES, ROWS = votes(), RANDOM.normal(size=(40, 6)).astype(np.float32)


def test_what_is_better_is_found_and_says_why() -> None:
    seen: list[tuple[int, int, str]] = []
    found = lrp.tune(voting(), VOTES, OWN, progress=lambda *at: seen.append(at))
    assert not found.kept
    assert (found.composite.name, found.composite.seed) == ("tuned", "odds")
    assert (found.evidence["inputs"], found.evidence["held_out"]) == (30, 30)
    assert found.evidence["p_difference"][1] > 0
    assert found.evidence["p_tuned"][0] > found.evidence["p_default"][0]
    assert len(found.evidence["model_sha256"]) == 64
    assert found.evidence["version"] == lrp.__version__
    assert [t.note for t in found.trail if t.choice == "odds"] == ["taken"]
    assert len(found.trail) == sum(len(stage.choices) - 1 for stage in STAGES)
    assert {total for _, total, _ in seen} == {len(found.trail)}
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    text = str(found)
    assert "30 inputs to choose by, 30 held out to judge by" in text
    assert "take the candidate: better in p" in text
    assert "warning: pointing is not measured, and flipping alone can be gamed: no pictures" in text
    assert str(found.composite) in text


def test_what_is_held_out_is_measured_as_evaluate_does() -> None:
    """The same inputs, given to evaluate: the same means; they are the ones that the tuning order leaves."""
    from onnx_lrp.tuning.ground import spread

    found = lrp.tune(voting(), VOTES, OWN)
    held = spread(OWN, 0)[30:]
    other = lrp.evaluate(
        voting(), VOTES[held], composites={"default": "default", "tuned": found.composite}, against=(), seed=None
    )
    for name in ("default", "tuned"):
        (row,) = (row for row in other.rows if (row.measure, row.method) == ("p", name))
        assert row.value.mean == pytest.approx(found.evidence[f"p_{name}"][0], abs=1e-5)


def test_where_nothing_helps_the_default_is_kept_and_it_says_so() -> None:
    found = lrp.tune(opposed(), ROWS)
    assert found.kept
    assert found.composite == lrp.Composite.parse("default")
    assert found.evidence["kept_default"] is True
    assert {trial.note for trial in found.trail} == {"changes no rule of this model", "its gain's interval holds 0"}
    assert "p_tuned" not in found.evidence
    assert "keep the default: no candidate gains on the tuning inputs" in str(found)


def test_pictures_are_pointed_at_too_and_the_same_seed_finds_the_same() -> None:
    options: dict[str, Any] = {"low": 0, "high": 2, "tuning": 8, "steps": 4}
    first, again, other = (lrp.tune(pictures(), PICTURES, random_seed=s, **options) for s in (0, 0, 1))
    assert first.composite.toml() == again.composite.toml()
    assert first.trail == again.trail
    assert first.trail != other.trail
    assert {row.measure for row in first.rows} == {"p", "pointing"}
    assert (first.evidence["inputs"], first.evidence["held_out"]) == (8, 32)
    assert first.composite.bounds == (0.0, 2.0)
    assert max(trial.inputs for trial in first.trail) == 8
    assert not first.warnings


def test_few_classes_are_flipped_only_and_few_inputs_prove_little() -> None:
    two = lrp.tune(pictures(), PICTURES[np.arange(40) % 4 < 2][:14], steps=4)
    assert {row.measure for row in two.rows} == {"p"}
    assert any("the model predicts 2 of these" in warning for warning in two.warnings)
    assert any(warning.startswith("7 held-out inputs prove little") for warning in two.warnings)
    assert two.evidence["inputs"] == 7


def test_one_output_is_judged_by_its_value_and_has_no_odds() -> None:
    found = lrp.tune(pictures(1), PICTURES, steps=4)
    assert {row.measure for row in found.rows} == {"logit"}
    (odds,) = (trial for trial in found.trail if trial.choice == "odds")
    assert odds.scores == {}
    assert "odds" in odds.note


def test_what_cannot_be_tuned_is_refused() -> None:
    for options, words in [
        ({"inputs": VOTES[:11]}, "11 inputs to tune by, and at least 12 are needed"),
        ({"labels": (OWN + 1) % CLASSES}, "gets all 60 inputs wrong"),
        ({"tuning": 3}, "tuning=3: at least 4"),
        ({"imputation": "blur"}, "imputation 'blur' is not for rows"),
        ({"steps": 0}, "steps=0"),
        ({"random_seed": -1}, "random_seed must be a whole number from 0 on, not -1"),
        ({"low": 0.0}, "give both low and high"),
        ({"low": "a", "high": 1.0}, "a bound of the input is a number"),
        ({"backend": "abacus"}, "abacus"),
    ]:
        with pytest.raises(lrp.OnnxLrpError, match=words):
            lrp.tune(voting(), **{"inputs": VOTES, **options})
    several = parsed("net (float[n, 6] a, float[n, 6] b) => (float[n, 6] y) { y = Add (a, b) }")
    with pytest.raises(lrp.InputError, match=r"2 inputs \('a', 'b'\)"):
        lrp.tune(several, {"a": ROWS, "b": ROWS})


@pytest.mark.realmodels
def test_a_residual_net_gets_a_composite_that_is_better_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST's test pictures: merges under γ are better in both measures."""
    root = Path(__file__).resolve().parents[2]
    monkeypatch.syspath_prepend(str(root / "tools"))
    from quality_data import fashion

    found = lrp.tune(str(root / "models" / "fashion_resnet.onnx"), *fashion(300), low=0, high=1)
    differences = {row.measure: row.difference for row in found.rows if row.difference is not None}
    assert not found.kept
    assert (found.evidence["inputs"], set(differences)) == (32, {"p", "pointing"})
    assert all(difference.high >= 0 for difference in differences.values())
    assert any(difference.low > 0 for difference in differences.values())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(voting(), "voting.onnx")
    onnx.save(opposed(), "opposed.onnx")
    np.save("votes.npy", VOTES)
    np.save("rows.npy", ROWS)
    Path("truth.txt").write_text("\n".join(map(str, OWN)))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_file_explains_with_its_seed(capsys: Capture) -> None:
    assert main(["tune", "voting.onnx", "votes.npy", "-o", "best.toml", "--true-classes", "truth.txt"]) == 0
    out, err = capsys.readouterr()
    assert all(line.startswith("warning: ") for line in err.splitlines())
    assert "written: best.toml (the tuned composite)" in out
    loaded = lrp.Composite.load("best.toml")
    assert loaded.seed == "odds"
    assert loaded.evidence["held_out"] == 30
    np.save("one.npy", VOTES[:1])
    results = ["--no-heatmap", "--save-relevance", "raw.npz"]
    assert main(["explain", "voting.onnx", "one.npy", "--composite", "best.toml", *results]) == 0
    wanted = lrp.explain("voting.onnx", VOTES[:1], composite="default", seed="odds").relevance
    plain = lrp.explain("voting.onnx", VOTES[:1], composite="default").relevance
    with np.load("raw.npz") as saved:
        (relevance,) = (saved[name] for name in saved.files if name.startswith("relevance::"))
    assert np.allclose(relevance, wanted, atol=1e-5)
    assert not np.allclose(relevance, plain, atol=0.1)


@pytest.mark.usefixtures("folder")
def test_the_default_that_is_kept_is_written_with_its_evidence(capsys: Capture) -> None:
    command = ["tune", "opposed.onnx", "rows.npy", "-o", "best.toml", "--tuning", "12", "--low", "-4", "--high", "4"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kept"] is True
    assert found["evidence"]["held_out"] == 28
    assert found["composite"] == Path("best.toml").read_text()
    assert lrp.Composite.load("best.toml") == lrp.Composite.parse("default:low=-4,high=4")
    assert main([*command, "--force"]) == 0
    assert "written: best.toml (the default, with the evidence)" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_mistakes_are_one_line_and_write_nothing(capsys: Capture) -> None:
    np.save("few.npy", VOTES[:5])
    Path("wrong.txt").write_text("\n".join(map(str, (OWN + 1) % CLASSES)))
    Path("kept.toml").write_text("mine")
    for options, words in [
        (["few.npy", "-o", "out.toml"], "5 inputs to tune by"),
        (["votes.npy", "-o", "out.toml", "--true-classes", "wrong.txt"], "gets all 60 inputs wrong"),
        (["votes.npy", "-o", "out.toml", "--true-classes", "no.txt"], "no.txt"),
        (["votes.npy", "-o", "kept.toml"], "kept.toml: exists already"),
        (["votes.npy", "-o", "none/out.toml"], "does not exist"),
        (["no.npy", "-o", "out.toml"], "no.npy"),
        (["votes.npy", "-o", "out.toml", "--low", "0"], "give both low and high"),
    ]:
        code = main(["tune", "voting.onnx", *options])
        out, err = capsys.readouterr()
        assert (code, out) == (2, ""), options
        assert err.count("\n") == 1, err
        assert words in err
    with pytest.raises(SystemExit, match="2"):
        main(["tune", "voting.onnx", "votes.npy", "-o", "out.txt"])
    assert "give a name that ends in .toml" in capsys.readouterr().err
    assert not Path("out.toml").exists()
    assert Path("kept.toml").read_text() == "mine"
