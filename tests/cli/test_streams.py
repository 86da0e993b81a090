"""Streams that are closed, full or interrupted: a sensible exit code, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = str(ROOT / "models/mnist_cnn.onnx")
COMMAND = [sys.executable, "-m", "onnx_lrp"]
# unbuffered, a line and its end would be written apart, and the end find nobody who reads it
ENV = {**{k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}, "PYTHONPATH": str(ROOT)}
posix = pytest.mark.skipif(os.name != "posix", reason="streams of a POSIX shell")


def shell(line: str) -> tuple[int, str]:
    """Exit code and standard error of a command in a shell."""
    text = line.replace("onnx-lrp", " ".join(COMMAND)).replace("MODEL", MODEL)
    done = subprocess.run(["bash", "-c", text], env=ENV, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


@posix
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("onnx-lrp check MODEL >&-", 0, ""),
        ("onnx-lrp check nothing.onnx 2>&-", 2, ""),
        ("onnx-lrp check MODEL | head -1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        (
            "onnx-lrp batch MODEL - -o OUT <&-", 2,
            "onnx-lrp: error: standard input: is closed; pipe paths into it, or give the name of a list (.txt)\n",
        ),
        ("onnx-lrp check MODEL > /dev/full", 2, "onnx-lrp: error: standard output: No space left on device\n"),
    ],
)  # fmt: skip
def test_what_becomes_of_the_streams(line: str, code: int, said: str, tmp_path: Path) -> None:
    if "/dev/full" in line and not os.path.exists("/dev/full"):
        pytest.skip("no such device")
    assert shell(line.replace("OUT", str(tmp_path / "out"))) == (code, said)


INTERRUPTED = """
import builtins, sys
load, (model, module) = builtins.__import__, sys.argv[1:]

def interrupted(name, *rest, **more):
    if name == module:
        raise KeyboardInterrupt
    return load(name, *rest, **more)

builtins.__import__ = interrupted
from onnx_lrp.__main__ import command_line
sys.argv[1:] = ["check", model]
sys.exit(command_line())
"""


@pytest.mark.parametrize("module", ["cli.main", "argparse", "numpy", "onnx", "onnxruntime"])
def test_an_interruption_while_a_module_is_imported_is_one_line(module: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, MODEL, module]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (130, "onnx-lrp: error: interrupted\n")


@posix
def test_an_interruption_that_nobody_can_be_told_of(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    command = ["bash", "-c", '"$@" 2>&-', "bash", sys.executable, str(tmp_path / "interrupted.py"), MODEL, "cli.main"]
    assert subprocess.run(command, env=ENV, check=False, timeout=60).returncode == 130
