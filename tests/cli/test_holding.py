"""--fixed on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from onnx_lrp.cli.main import main

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,2] x, float[1,2,2] adj) => (float[1,2,2] y)
<float[2,2] w = {1.0, 2.0, -1.0, 0.5}> { h = MatMul (x, w)  y = MatMul (adj, h) }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(onnx.parser.parse_model(GRAPH), "net.onnx")
    np.save("x.npy", np.array([[[1, 2], [3, 4]]], np.float32))
    np.save("adj.npy", np.array([[[1, 0], [0.5, 0.5]]], np.float32))
    return tmp_path


def test_explain_with_a_value(folder: Path) -> None:
    command = ["explain", "net.onnx", "x.npy", "--fixed", "adj=adj.npy", "--target", "0", "--save-relevance", "r.npz"]
    assert main([*command, "--composite", "epsilon:epsilon=1e-9"]) == 0
    np.testing.assert_allclose(np.load("r.npz")["relevance::x"], [[[1, -2], [0, 0]]], atol=1e-5)


def test_explain_fed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "net.onnx", "x.npy", "adj.npy", "--fixed", "adj", "--save-relevance", "r.npz"]) == 0
    assert not np.load("r.npz")["relevance::adj"].any()
    assert main(["explain", "net.onnx", "x.npy", "adj.npy", "-f", "--save-relevance", "r.npz"]) == 0
    assert "note: input 'adj' is held fixed" in capsys.readouterr().err


def test_check_and_convert(folder: Path) -> None:
    assert main(["check", "net.onnx", "--fixed", "adj=adj.npy"]) == 0
    assert main(["convert", "net.onnx", "out.onnx", "--fixed", "adj=adj.npy"]) == 0
    assert [value.name for value in onnx.load("out.onnx").graph.input] == ["x", "target"]


def test_the_value_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["convert", "net.onnx", "adj.npy", "-f", "--fixed", "adj=adj.npy"]
    assert main(command) == 2
    assert "adj.npy" in capsys.readouterr().err
    assert np.load("adj.npy").shape == (1, 2, 2)


def test_what_is_no_array(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "net.onnx", "--fixed", "adj=none.npy"]) == 2
    assert "none.npy" in capsys.readouterr().err
    np.savez("both.npz", adj=np.zeros((1, 2, 2)))
    assert main(["check", "net.onnx", "--fixed", "adj=both.npz"]) == 2
    assert "saved as .npy" in capsys.readouterr().err
