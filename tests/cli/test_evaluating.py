"""``onnx-lrp evaluate``: what it prints, draws and keeps, and what it refuses."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnx_lrp.cli.main import main
from onnx_lrp.pictures.curves import PALETTE, Panel, draw_curves, nice_ticks

MODELS = Path(__file__).resolve().parents[2] / "models"
CNN, RESNET = str(MODELS / "mnist_cnn.onnx"), str(MODELS / "mnist_resnet.onnx")
DIGITS = [str(MODELS / "digits" / f"{n}.png") for n in range(10)]
QUICK = ["--composites", "epsilon_plus", "--against", "random", "--steps", "4"]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_are_evaluated_together(capsys: Capture) -> None:
    Path("truth.txt").write_text("\n".join(map(str, range(10))))
    assert main(["evaluate", RESNET, *DIGITS, *QUICK, "--true-classes", "truth.txt", "--curves", "out.png"]) == 0
    out, err = capsys.readouterr()
    assert err == "warning: 10 inputs prove nothing; give at least 16\n"
    assert "pictures prepared as zero-one (the default)" in out
    assert "  10 inputs, explained is the model's own prediction" in out
    assert "pixel flipping: 196 regions of 2x2, in 4 steps, imputed by blur" in out
    assert "grid pointing: 10 mosaics of four, 28x28, each asked for its four classes" in out
    assert "curves: out.png" in out
    with Image.open("out.png") as image:
        colours = {"#" + bytes(colour).hex() for _, colour in image.convert("RGB").getcolors(1 << 20) or ()}
    assert {"#ffffff", *PALETTE[:2]} <= colours


def test_composites_have_commas_and_so_semicolons_between_them(capsys: Capture) -> None:
    composites = ["--composites", "epsilon_gamma_box:low=0,high=1; gamma", "--composites", "epsilon_gamma_box"]
    command = ["evaluate", CNN, *DIGITS[:4], *composites, "--against", "", "--measures", "sparseness", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found["methods"]) == ["epsilon_gamma_box:low=0,high=1", "gamma", "epsilon_gamma_box"]
    first, _, third = (found["scores"][name]["gini"] for name in found["methods"])
    assert first == pytest.approx(third)  # the bounds follow from the preprocessing
    assert found["notes"][0].startswith("pictures prepared as zero-one (the default): ")


def test_an_array_is_a_batch_and_results_are_kept(capsys: Capture) -> None:
    np.save("x.npy", np.random.default_rng(0).uniform(size=(6, 1, 28, 28)).astype(np.float32))
    command = ["evaluate", CNN, "x.npy", *QUICK, "--measures", "flipping", "--resume", "kept.jsonl"]
    assert main(command) == 0
    said = capsys.readouterr()
    before, lines = said.out, Path("kept.jsonl").read_text()
    assert len(lines.splitlines()) == 4
    assert main(command) == 0
    assert capsys.readouterr().out == before
    assert Path("kept.jsonl").read_text() == lines


def test_a_terminal_gets_a_bar_and_loses_it_again(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(["evaluate", CNN, *DIGITS[:2], *QUICK, "--measures", "flipping"]) == 0
    assert "[........................] 0/4 epsilon_plus: explaining" in screen.getvalue()
    assert "[########################] 4/4 random" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[Kwarning: 2 inputs prove nothing; give at least 16\n")


def test_true_classes_may_be_an_array(capsys: Capture) -> None:
    np.save("truth.npy", np.array([0, 1, 9]))
    command = ["evaluate", RESNET, *DIGITS[:3], *QUICK, "--measures", "sparseness", "--true-classes", "truth.npy"]
    assert main(command) == 0
    assert "1 of 3 inputs are left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--measures", "beauty"], "no measure 'beauty'; there are flipping, pointing"),
        (["--against", "gradcam"], "no method 'gradcam' to compare with"),
        (["--composites", "epsilon;epsilon"], "given twice"),
        (["--composites", "epsilon_plsu"], "unknown composite 'epsilon_plsu'"),
        (["--true-classes", "letters.txt"], "letters.txt: the true classes are integers, one per line"),
        (["--true-classes", "none.txt"], "none.txt: no such file"),
        (["--true-classes", "wrong.txt"], "the model gets all 2 inputs wrong"),
        (["--measures", "sparseness", "--curves", "c.png"], "--curves draws pixel flipping"),
        (["--curves", "letters.txt"], "must"),
        (["--curves", "there.png"], "there.png: exists already"),
        (["--resume", "letters.txt"], "letters.txt: holds no results of an evaluation"),
        (["--region", "40"], "region=40: a picture of 28x28 has regions of 1 to 28 pixels"),
    ],
)
def test_a_mistake_is_one_line(options: list[str], line: str, capsys: Capture, folder: Path) -> None:
    Path("letters.txt").write_text("a\nb\n")
    Path("wrong.txt").write_text("5\n5\n")
    Path("there.png").write_text("kept")
    before = sorted(folder.iterdir())
    try:
        code = main(["evaluate", RESNET, *DIGITS[:2], *options])
    except SystemExit as stopped:
        code = int(str(stopped.code))
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert line in err or (line == "must" and "ends in .png" in err)
    assert sorted(folder.iterdir()) == before


def test_pictures_of_different_sizes_are_not_mixed(capsys: Capture) -> None:
    np.save("a.npy", np.zeros((1, 1, 28, 28), np.float32))
    np.savez("b.npz", x=np.zeros(3))
    assert main(["evaluate", CNN, "a.npy", "b.npz"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_ticks_are_round_and_hold_the_ends() -> None:
    assert nice_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert nice_ticks(-3.2, 17.1) == [-5, 0, 5, 10, 15, 20]
    assert len(nice_ticks(2, 2)) > 1


def test_a_curve_goes_where_its_points_are() -> None:
    """The upper line is drawn above the lower one, and a legend names both."""
    lines = {"upper": [(0, 1), (1, 1)], "lower": [(0, 0.0), (1, 0)]}
    image = draw_curves([Panel("one", lines)], "x", "y", (0, 1)).convert("RGB")
    pixels = np.asarray(image)[:, :484].astype(int)
    rows = [
        np.flatnonzero((np.abs(pixels - [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).max(2) < 40).any(1))
        for colour in PALETTE[:2]
    ]
    assert rows[0].max() < 45
    assert rows[1].min() > 370


def test_unknown_bounds_are_said(capsys: Capture) -> None:
    np.save("x.npy", np.random.default_rng(0).uniform(size=(6, 1, 28, 28)).astype(np.float32))
    command = ["evaluate", CNN, "x.npy", "--composites", "default", "--against", "random", "--steps", "4",
               "--measures", "flipping"]  # fmt: skip
    assert main(command) == 0
    assert "warning: the input's bounds are not known" in capsys.readouterr().err
    assert main([*command, "--preprocess", "zero-one"]) == 0
    assert "bounds are not known" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [["evaluate", "m.onnx", "x.npy"], ["tune", "m.onnx", "x.npy", "-o", "out.toml"]])
def test_a_seed_that_nothing_can_be_drawn_by_is_refused(capsys: Capture, command: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--random-seed", "-1"])
    assert "argument --random-seed: must be a whole number from 0 on, not '-1'" in capsys.readouterr().err
