"""Models made to hurt: each ends in one clear line, in little memory and time, or simply works.

The generators lie next to the checkout, not in it; without them these tests are skipped.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest

resource = pytest.importorskip("resource", reason="limits are set the POSIX way")
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "hostile"
ADDRESS_SPACE = 6 << 30
RESIDENT = 2 << 30
SECONDS = 60


def _cases(module: str) -> list[str]:
    path = FOLDER / f"{module}.py"
    if not path.is_file():
        return []
    lines = path.read_text("utf-8").splitlines()
    return [b.split("(")[0].removeprefix("def ") for a, b in pairwise(lines) if a.strip() == "@case"]


CASES = [(module, name) for module in ("gen_bombs", "gen_external") for name in _cases(module)]


@pytest.fixture
def hostile(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module, name = request.param
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "model").mkdir()
    return Path(importlib.import_module(module).CASES[name](tmp_path / "model"))


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def _run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a process that must stay within its limits."""
    start = time.monotonic()
    command = [sys.executable, "-m", "onnx_lrp", *arguments]
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder, preexec_fn=_limit)
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() - start > SECONDS:
                process.kill()
                os.wait4(process.pid, 0)
                process.returncode = -9
                pytest.fail(f"{arguments[0]} takes longer than {SECONDS} s")
            time.sleep(0.02)
        process.returncode = os.waitstatus_to_exitcode(status)
    printed, errors = ((folder / name).read_text("utf-8", "replace") for name in ("out", "err"))
    assert usage.ru_maxrss * 1024 < RESIDENT, f"{usage.ru_maxrss >> 10} MiB"
    return process.returncode, printed, errors


def _sample(model: Path, folder: Path) -> str:
    """An input of the declared shape, small where the shape is not."""
    value = onnx.load(model, load_external_data=False).graph.input[0].type.tensor_type
    shape = [d.dim_value if 0 < d.dim_value <= 64 else 1 for d in value.shape.dim]
    dtype = np.int64 if value.elem_type == onnx.TensorProto.INT64 else np.float32
    np.save(folder / "x.npy", np.ones(shape, dtype))
    return "x.npy"


@pytest.mark.slow
@pytest.mark.skipif(not CASES, reason="the hostile generators are not here")
@pytest.mark.parametrize("command", ["check", "explain", "convert"])
@pytest.mark.parametrize("hostile", CASES, indirect=True, ids=[name for _, name in CASES])
def test_ends_in_one_line(hostile: Path, command: str, tmp_path: Path) -> None:
    data = [_sample(hostile, tmp_path), "--backend", "numpy"] if command == "explain" else []
    data += ["converted.onnx"] * (command == "convert")
    code, printed, errors = _run(tmp_path, command, str(hostile), *data)
    assert code in (0, 1, 2), errors
    assert "Traceback" not in printed + errors
    assert (tmp_path / "converted.onnx").exists() == (command == "convert" and code == 0)
    if code == 0 or (command == "check" and printed):
        assert all(line.startswith(("note: ", "warning: ")) for line in errors.splitlines())
    else:
        assert not printed
        assert errors.startswith("onnx-lrp: error: ")
        assert errors.count("\n") == 1
