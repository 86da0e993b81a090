"""Nothing that a run reads is written over, by whatever path, even with --force."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from onnx_lrp.cli.main import main

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, one with external data, a picture, an array and labels; and other names of theirs."""
    shutil.copy(MODELS / "mnist_cnn.onnx", tmp_path / "model.onnx")
    shutil.copy(MODELS / "digits/3.png", tmp_path / "3.png")
    onnx.save(
        onnx.load(MODELS / "mnist_cnn.onnx"), tmp_path / "large.onnx", save_as_external_data=True, location="weights"
    )
    np.savez(tmp_path / "x.npz", input=np.zeros((1, 1, 28, 28), np.float32))
    shutil.copy(MODELS / "mnist_cnn.onnx", tmp_path / "named.png")
    (tmp_path / "labels.png").write_text("\n".join("0123456789"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "linked.onnx").symlink_to("model.onnx")
    os.link(tmp_path / "3.png", tmp_path / "again.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        "convert model.onnx model.onnx",
        "convert model.onnx sub/../model.onnx",
        "convert model.onnx linked.onnx",
        "convert linked.onnx model.onnx",
        "convert large.onnx weights",
        "explain model.onnx 3.png -o 3.png",
        "explain model.onnx 3.png -o again.png",
        "explain model.onnx x.npz --no-heatmap --save-relevance x.npz",
        "explain named.png 3.png --labels labels.png -o labels.png",
        "explain named.png 3.png -o named.png",
        "compare model.onnx large.onnx 3.png -o 3.png",
    ],
)
def test_an_input_stays_as_it_is(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main([*command.split(), "--force"]) == 2
    assert "is read by this very run; choose another name" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_another_file_is_replaced(folder: Path) -> None:
    (folder / "old.onnx").write_bytes(b"old")
    assert main(["convert", "model.onnx", "old.onnx", "--force"]) == 0
    assert onnx.load(folder / "old.onnx").graph.node
