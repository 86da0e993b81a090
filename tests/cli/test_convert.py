"""``onnx-lrp convert``: the file that it writes, what it says, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import onnx_lrp as lrp
from onnx_lrp.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
CNN = str(ROOT / "models" / "mnist_cnn.onnx")
X = np.random.default_rng(0).uniform(size=(2, 1, 28, 28)).astype(np.float32)

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relevance(path: str, **feeds: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["relevance"], {"input": X, **feeds})[0])


def refused(capsys: Capture, *argv: str) -> tuple[int, str]:
    """Exit code and the one line of complaint; nothing is left behind."""
    before = sorted(Path().iterdir())
    try:
        code = main(["convert", *argv])
    except SystemExit as error:
        code = int(error.code or 0)
    printed, errors = capsys.readouterr()
    assert not printed
    assert errors.startswith("onnx-lrp: error: ")
    assert errors.count("\n") == 1
    assert sorted(Path().iterdir()) == before
    return code, errors


def test_writes_what_convert_makes(capsys: Capture) -> None:
    assert main(["convert", CNN, "out.onnx", "--composite", "epsilon"]) == 0
    assert Path("out.onnx").read_bytes() == lrp.convert(CNN, "epsilon").SerializeToString(deterministic=True)
    printed = capsys.readouterr().out
    assert "explains 'logits' by epsilon" in printed
    assert "outputs: logits, relevance" in printed


@pytest.mark.parametrize(
    "bounds",
    [["--low", "0", "--high", "1"], ["--preprocess", "zero-one"], ["--composite", "epsilon_gamma_box:low=0,high=1"]],
)
def test_bounds(bounds: list[str]) -> None:
    assert main(["convert", CNN, "out.onnx", "--composite", "epsilon_gamma_box", *bounds]) == 0
    expected = lrp.explain(CNN, X, composite="epsilon_gamma_box:low=0,high=1", backend="numpy").inputs["input"]
    assert np.linalg.norm(relevance("out.onnx") - expected) <= 1e-5 * np.linalg.norm(expected)


def test_seed_targets_layers_and_shape() -> None:
    layer = lrp.check(CNN).rows[2].node
    options = ["--seed", "one", "--targets", "2", "--layers", layer, "--shape", "input=2,1,28,28", "--no-facts"]
    assert main(["convert", CNN, "out.onnx", *options]) == 0
    made = relevance("out.onnx", target=np.array([[1, 2]]))
    for i, target in enumerate((1, 2)):
        expected = lrp.Explainer(CNN, backend="numpy")(X, target, seed="one").inputs["input"]
        assert np.linalg.norm(made[:, i] - expected) <= 1e-5 * np.linalg.norm(expected)
    assert f"relevance_{layer}" in [value.name for value in onnx.load("out.onnx").graph.output]


def test_a_file_is_replaced_only_by_force(capsys: Capture) -> None:
    Path("out.onnx").write_bytes(b"mine")
    code, errors = refused(capsys, CNN, "out.onnx")
    assert code == 2
    assert "--force" in errors
    assert Path("out.onnx").read_bytes() == b"mine"
    assert main(["convert", CNN, "out.onnx", "--force"]) == 0
    assert onnx.load("out.onnx").graph.output[-1].name == "relevance"


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["no.onnx", "out.onnx"], 2, "no such file"),
        ([CNN, "no/out.onnx"], 2, "does not exist"),
        ([CNN, "out.onnx", "--composite", "nope"], 2, "unknown composite"),
        ([CNN, "out.onnx", "--composite", "epsilon_gamma_box"], 2, "bounds"),
        ([CNN, "out.onnx", "--output", "nope"], 2, "no output"),
        ([CNN, "out.onnx", "--layers", "nope"], 2, "no node or tensor"),
        ([CNN, "out.onnx", "--targets", "11"], 2, "11 of 10"),
        ([CNN, "out.onnx", "--shape", "input=2,1,28,30"], 2, "does not fit"),
        ([CNN, "out.onnx", "--shape", "other=2,1,28,28"], 2, "no input"),
        ([CNN, "out.onnx", "--shape", "2,1,28,28"], 2, "not of the form"),
        ([CNN, "out.onnx", "--shape", "input=2,0,28,28"], 2, "not of the form"),
        ([CNN, "out.onnx", "--seed", "half"], 2, "invalid choice"),
    ],
)
def test_mistakes(capsys: Capture, argv: list[str], code: int, message: str) -> None:
    found, errors = refused(capsys, *argv)
    assert found == code
    assert message in errors


def test_rejected_models(capsys: Capture) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> net (float[N, 3] x) => (float[N, 3] y) { t = Tanh(x)  y = Relu(t) }'
    )
    onnx.save(onnx.parser.parse_model(text), "tanh.onnx")
    code, errors = refused(capsys, "tanh.onnx", "out.onnx")
    assert code == 1
    assert "Tanh" in errors
    assert main(["convert", CNN, "done.onnx"]) == 0
    capsys.readouterr()
    code, errors = refused(capsys, "done.onnx", "out.onnx")
    assert code == 1
    assert "explains itself already" in errors


def test_the_script_runs_without_installing(tmp_path: Path) -> None:
    script = [sys.executable, "-P", str(ROOT / "tools" / "onnx-lrp"), "convert", CNN, "out.onnx"]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.onnx").exists()


def loaded(path: str) -> str:
    """What onnxruntime says by default when it loads a model; its C++ writes where no capture of Python's sees it."""
    code = f"import onnxruntime as o; o.InferenceSession({path!r}, providers=['CPUExecutionProvider'])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stderr


def test_a_required_target_loads_without_a_warning(capsys: Capture) -> None:
    assert main(["convert", CNN, "optional.onnx"]) == 0
    assert "Initializer target appears in graph inputs" in loaded("optional.onnx")
    assert main(["convert", CNN, "required.onnx", "--target-input"]) == 0
    assert loaded("required.onnx") == ""
    target = np.array([3], np.int64)
    np.testing.assert_array_equal(relevance("required.onnx", target=target), relevance("optional.onnx", target=target))
    largest = relevance("required.onnx", target=np.array([-1], np.int64))
    np.testing.assert_array_equal(largest, relevance("optional.onnx"))
    with pytest.raises(ValueError, match="Required inputs"):
        relevance("required.onnx")


def test_a_required_target_and_what_it_is_held_against(capsys: Capture) -> None:
    assert main(["convert", CNN, "required.onnx", "--against", "input", "--target-input", "--targets", "2"]) == 0
    assert loaded("required.onnx") == ""
    session = ort.InferenceSession("required.onnx", providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input", "target", "against"]
    feeds = {"input": X, "target": np.array([[3, 5]]), "against": np.array([7])}
    (both,) = session.run(["relevance"], feeds)
    wanted = lrp.Explainer(CNN, backend="numpy").several(X, [3, 5], against=7)
    for i, explanation in enumerate(wanted):
        np.testing.assert_allclose(both[:, i], explanation.relevance, atol=1e-4)


def test_a_seed_leaves_no_target_to_require(capsys: Capture) -> None:
    code, line = refused(capsys, CNN, "out.onnx", "--seed", "input", "--target-input")
    assert code == 2
    assert "with the seed 'input' there is no target to give" in line


def test_unknown_bounds_are_said_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    for more, count in (([], 1), (["--preprocess", "zero-one"], 0)):
        assert main(["convert", CNN, "out.onnx", "-f", *more]) == 0
        assert capsys.readouterr().err.count("note: the input's bounds are not known") == count
        about = {prop.key: prop.value for prop in onnx.load("out.onnx").metadata_props}
        assert ("onnx_lrp.note" in about) == bool(count)
