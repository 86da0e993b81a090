"""Temporary files: they go with the run, and what a killed run left is removed by the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp
from onnx_lrp import staging
from onnx_lrp.writing import write_file

KILLED = """
import os, signal, sys
from pathlib import Path
from onnx_lrp.writing import write_file

def writer(path):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

write_file(Path(sys.argv[1]), writer)
"""


@pytest.mark.skipif(os.name != "posix", reason="asks for processes the POSIX way")
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.bin")], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"half"
    write_file(tmp_path / "b.bin", lambda path: path.write_bytes(b"whole") and None)
    assert [path.name for path in tmp_path.iterdir()] == ["b.bin"]


def test_what_others_write_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = staging.temporary(tmp_path)
    running.write_bytes(b"of this process")
    (tmp_path / ".onnx_lrp-another-1-abc").write_bytes(b"of another machine")
    (tmp_path / ".hidden").write_bytes(b"somebody's")
    write_file(tmp_path / "b.bin", lambda path: path.write_bytes(b"whole") and None)
    assert len(list(tmp_path.iterdir())) == 4


def large_model() -> onnx.ModelProto:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[n,2200] x) => (float[n,2200] y) { y = MatMul (x, w) }'
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(2200, dtype=np.float32), "w"))
    return model


@pytest.mark.parametrize("backend", ["numpy", "onnx"])
def test_a_large_model_passes_through_a_folder_that_is_gone(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    x = np.ones((1, 2200), np.float32)
    found = lrp.Explainer(large_model(), "epsilon", backend=backend, dtype="float32")(x, 3)
    assert found.relevance.sum() == pytest.approx(1, rel=1e-4)
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(lrp.OutputError, match=r"copy of the model cannot be written: .*TMPDIR"):
        lrp.Explainer(large_model(), "epsilon", backend="onnx")(np.ones((1, 2200), np.float32))
