"""A picture of a former run may be replaced by a run that asks the same, and by no other, without --force."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from onnx_lrp.cli.main import main

MODELS = Path(__file__).resolve().parents[2] / "models"
ASK = ["explain", "model.onnx", "3.png"]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One run has been here."""
    shutil.copy(MODELS / "mnist_cnn.onnx", tmp_path / "model.onnx")
    shutil.copy(MODELS / "digits/3.png", tmp_path / "3.png")
    monkeypatch.chdir(tmp_path)
    assert main(ASK) == 0
    return tmp_path


def test_the_same_question_replaces_its_picture(folder: Path) -> None:
    before = Path("3_default.png").read_bytes()
    assert main([*ASK, "--percentile", "50", "-q"]) == 0
    after = Path("3_default.png").read_bytes()
    assert after != before  # drawn otherwise, but of the same question
    assert main(ASK) == 0
    assert Path("3_default.png").read_bytes() == before
    with Image.open("3_default.png") as image:
        image.verify()  # the CRC of every chunk
        assert len(json.loads(image.info["onnx_lrp"])["question_sha256"]) == 64
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("more", [["--target", "5"], ["--seed", "odds"], ["--preprocess", "signed"]])
def test_another_question_needs_force(more: list[str], capsys: Capture) -> None:
    before = Path("3_default.png").read_bytes()
    assert main([*ASK, *more]) == 2
    assert "3_default.png: exists already" in capsys.readouterr().err
    assert Path("3_default.png").read_bytes() == before
    assert main([*ASK, *more, "--force"]) == 0
    assert Path("3_default.png").read_bytes() != before


def other_model() -> None:
    model = onnx.load("model.onnx")
    model.producer_name = "another"
    onnx.save(model, "model.onnx")


def other_picture() -> None:
    Image.fromarray(np.full((28, 28), 99, np.uint8)).save("3.png")


def drawn_by_hand() -> None:
    with Image.open("3_default.png") as image:
        image.copy().save("3_default.png")


def cut_off() -> None:
    Path("3_default.png").write_bytes(Path("3_default.png").read_bytes()[:60])


def no_picture() -> None:
    Path("3_default.png").write_text("onnx_lrp_question")


def empty() -> None:
    Path("3_default.png").write_text("")


@pytest.mark.parametrize("change", [other_model, other_picture, drawn_by_hand, cut_off, no_picture, empty])
def test_what_differs_needs_force(change: object, capsys: Capture) -> None:
    assert callable(change)
    change()
    before = Path("3_default.png").read_bytes()
    assert main(ASK) == 2
    assert "3_default.png: exists already" in capsys.readouterr().err
    assert Path("3_default.png").read_bytes() == before


def test_a_broken_link_needs_force() -> None:
    Path("3_default.png").unlink()
    Path("3_default.png").symlink_to("nowhere.png")
    assert main(ASK) == 2


def test_a_folder_is_asked_again(capsys: Capture) -> None:
    Path("some/deeper").mkdir(parents=True)
    for n in (3, 5):
        shutil.copy(MODELS / f"digits/{n}.png", f"some/{n}.png")
    ask = ["explain", "model.onnx", "some", "-o", "out.png"]
    for _ in range(2):
        assert main(ask) == 0
        assert "figure: out_3.png" in capsys.readouterr().out
    shutil.copy("some/3.png", "some/5.png")
    assert main(ask) == 2
    assert "out_3.png: exists already" in capsys.readouterr().err
