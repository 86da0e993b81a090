"""Nothing is sent, and nothing laid down to be sent, unless the user allows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL, DIGIT = str(ROOT / "models/mnist_cnn.onnx"), str(ROOT / "models/digits/3.png")
COMMANDS = {
    "explain": ("explain", MODEL, DIGIT),
    "check": ("check", MODEL),
    "convert": ("convert", MODEL, "converted.onnx"),
    "compare": ("compare", MODEL, str(ROOT / "models/mnist_cnn_torchscript.onnx"), DIGIT),
}


def left_behind(home: Path, *arguments: str, **settings: str) -> list[str]:
    """Files in a fresh home folder after a run."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    work = home.parent / "work"
    work.mkdir()
    env = {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **settings}
    done = subprocess.run([sys.executable, *arguments], cwd=work, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_file_of_onnxruntime_appears(command: str, tmp_path: Path) -> None:
    found = left_behind(tmp_path / "home", "-m", "onnx_lrp", *COMMANDS[command])
    assert [path for path in found if "onnxruntime" in path.lower() or "Microsoft" in path] == []


def test_the_user_may_allow_it(tmp_path: Path) -> None:
    asks = "import onnx_lrp, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '0'"
    assert left_behind(tmp_path / "home", "-c", asks, ORT_DISABLE_TELEMETRY="0") == []
