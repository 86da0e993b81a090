"""Preprocessing on the command line: doubted, tried in all ways, read from the model's files; labels."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from PIL import Image

from onnx_lrp.cli.main import main
from tests.pictures.edges import edges, stripes

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(edges(), "m.onnx")
    onnx.save(edges(names="{0: 'striped', 1: 'plain'}", author="Ultralytics"), "own.onnx")
    Image.fromarray(stripes()).save("a.png")
    Path("names.txt").write_text("striped\nplain\n")
    return tmp_path


def printed(capsys: Capture, *argv: str) -> str:
    assert main(argv) == 0
    said = capsys.readouterr()
    return said.out if "--json" in argv else said.out + said.err


def refused(capsys: Capture, *argv: str) -> str:
    assert main(argv) == 2
    out, error = capsys.readouterr()
    assert not out
    assert error.count("\n") == 1
    return error


def test_a_wrong_way_is_warned_of(capsys: Capture) -> None:
    lines = printed(capsys, "explain", "m.onnx", "a.png", "--labels", "names.txt", "--no-heatmap")
    assert "prediction: 1 (plain), value 1, probability 0.5987" in lines
    (warning,) = [line for line in lines.splitlines() if line.startswith("warning: the pictures")]
    assert "--preprocess zero-one (the default), but other ways speak for 'striped'" in warning


@pytest.mark.parametrize("options", [["--no-doubt"], ["--preprocess", "raw"], ["--scale", "0.004"], ["--mean", "0.1"]])
def test_no_doubt(capsys: Capture, options: list[str]) -> None:
    assert "other ways" not in printed(capsys, "explain", "m.onnx", "a.png", "--no-heatmap", *options)


def test_doubt_in_json(capsys: Capture) -> None:
    content = json.loads(printed(capsys, "explain", "m.onnx", "a.png", "--no-heatmap", "--json"))
    assert "other ways speak for class 0" in content["warnings"][0]
    assert content["samples"][0]["prediction"]["probability"] == pytest.approx(0.598688)  # of the logits .6 and 1


@pytest.mark.parametrize("argv", [["explain", "m.onnx", "a.png", "--preprocess", "try"], ["check", "m.onnx", "--image",
                                                                                          "a.png"]])  # fmt: skip
def test_all_ways(capsys: Capture, folder: Path, argv: list[str]) -> None:
    before = sorted(folder.iterdir())
    lines = printed(capsys, *argv, "--labels", "names.txt").splitlines()
    assert lines[0] == "m.onnx: the model's files say nothing of its pictures"
    assert lines[1] == "a.png, prepared in 20 ways:"
    rows = [line.split("  ") for line in lines[4:-1]]
    shares = [float(line.split()[-2]) for line in lines[4:-1]]
    assert shares == sorted(shares, reverse=True)
    assert len(rows) == 20
    assert "'striped'" in next(line for line in lines if line.startswith("--preprocess raw "))
    assert "'plain'" in next(line for line in lines if line.startswith("--preprocess zero-one "))
    assert sorted(folder.iterdir()) == before


def test_all_ways_as_json(capsys: Capture) -> None:
    content = json.loads(printed(capsys, "check", "own.onnx", "--image", "a.png", "--json"))
    assert content["says"].startswith("the model's metadata (Ultralytics) says x = (pixel * 0.00392157 - 0) / 1, rgb")
    ways = content["pictures"][0]["ways"]
    assert {way["label"] for way in ways} == {"striped", "plain"}
    assert all(0.5 <= way["probability"] <= 1 and 0 <= way["weight"] <= 1 for way in ways)


def test_the_models_files_are_believed(capsys: Capture) -> None:
    lines = printed(capsys, "explain", "own.onnx", "a.png", "--no-heatmap")
    assert "pictures prepared as the model's metadata (Ultralytics) says: x = (pixel * 0.00392157 - 0) / 1" in lines
    assert "prediction: 1 (plain)" in lines
    assert "other ways" not in lines
    lines = printed(capsys, "explain", "own.onnx", "a.png", "--no-heatmap", "--preprocess", "raw", "--target", "plain")
    assert "pictures prepared as raw" in lines
    assert "prediction: 0 (striped)" in lines
    assert "explained: 1 (plain)" in lines


def test_a_file_beside_the_model(capsys: Capture) -> None:
    Path("preprocessor_config.json").write_text(json.dumps({"do_rescale": False, "size": 8}))
    Path("config.json").write_text(json.dumps({"id2label": {"0": "yes", "1": "no"}}))
    lines = printed(capsys, "explain", "m.onnx", "a.png", "--no-heatmap")
    assert "preprocessor_config.json beside the model says: x = (pixel * 1 - 0) / 1, rgb, stretch" in lines
    assert "prediction: 0 (yes)" in lines


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["m.onnx", "a.png", "--preprocess", "imagnet"], "unknown preprocessing 'imagnet'"),
        (["m.onnx", "a.png", "--labels", "imagenet"], "1000 labels given, but the output has 2 elements"),
        (["m.onnx", "a.png", "--labels", "names.txt", "--target", "plane"], "give an index, or one of 'plain'"),
        (["tokens.onnx", "a.png"], "a.png: a picture was given, but the input 'ids' takes int64"),
        (["m.onnx", "a.npy", "--preprocess", "try"], "a.npy: holds arrays"),
        (["tokens.onnx", "a.png", "--preprocess", "try"], "takes no single picture"),
    ],
)
def test_bad_input(capsys: Capture, argv: list[str], message: str) -> None:
    import numpy as np

    np.save("a.npy", np.zeros(3, np.float32))
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        net (int64[N, 5] ids) => (float[N, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}>
        { e = Gather(w, ids) y = ReduceMean<axes = [1], keepdims = 0>(e) }""")
    onnx.save(model, "tokens.onnx")
    assert message in refused(capsys, "explain", *argv)
