"""A run that is killed at any moment goes on where it stopped, and leaves what an uninterrupted one leaves."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

MODEL = Path(__file__).resolve().parents[2] / "models/mnist_cnn.onnx"
COUNT = 2000
SCRIPT = """
import sys
import onnx_lrp as lrp
from onnx_lrp.batch import sizing
sizing._LARGEST = 64  # inputs in a block: more of them, to be killed between
if __name__ == "__main__":
    model, inputs, out, workers = sys.argv[1:]
    lrp.explain_all(model, inputs, out, workers=int(workers), batch=16, save=("maps", "scores", "topk"), threads=1)
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs") / "digits.npy"
    rng = np.random.default_rng(0)
    x = rng.random((COUNT, 1, 28, 28)).astype(np.float32)
    x[17] = np.nan  # a row that fails has to fail again
    np.save(path, x)
    return path


def started(inputs: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    script = inputs.with_name("script.py")
    script.write_text(SCRIPT)
    arguments = [sys.executable, str(script), str(MODEL), str(inputs), str(out), str(workers)]
    return subprocess.Popen(arguments, start_new_session=True, stderr=subprocess.PIPE)


def finish(inputs: Path, out: Path, workers: int) -> None:
    process = started(inputs, out, workers)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()


def workers_of(parent: int) -> Iterator[int]:
    """The worker processes, and not what multiprocessing itself starts."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            its_parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if its_parent == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                yield int(folder.name)
        except OSError:  # it has ended
            pass


def kill_after(process: subprocess.Popen[bytes], parts: Path, whom: str) -> None:
    """Kill it at a random moment: while it starts, or when some more blocks are done."""
    wanted = len(list(parts.glob("*.parquet"))) + random.randrange(8)
    patience = time.monotonic() + (60 if wanted else random.uniform(0, 3))
    while process.poll() is None and len(list(parts.glob("*.parquet"))) < max(wanted, 1):
        if time.monotonic() > patience:
            break
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.03))
    workers = list(workers_of(process.pid))
    if whom in ("worker", "both") and workers:
        os.kill(random.choice(workers), signal.SIGKILL)
    if whom in ("parent", "both"):
        process.kill()


def left(out: Path) -> dict[str, bytes]:
    """All that a reader sees, file by file."""
    seen = [out / "index.parquet", *sorted((out / "maps.zarr").rglob("*"))]
    return {str(path.relative_to(out)): path.read_bytes() for path in seen if path.is_file()}


@pytest.fixture(scope="module")
def whole(inputs: Path) -> dict[str, bytes]:
    finish(inputs, inputs.with_name("whole"), 1)
    return left(inputs.with_name("whole"))


@pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.full)])
def test_nothing_is_lost_and_nothing_twice(inputs: Path, whole: dict[str, bytes], tmp_path: Path, kills: int) -> None:
    random.seed(kills)
    for i in range(kills):
        process = started(inputs, tmp_path / "out", 2)
        kill_after(process, tmp_path / "out" / "index", ("worker", "parent", "both")[i % 3])
        process.communicate(timeout=120)
    finish(inputs, tmp_path / "out", 2)
    assert left(tmp_path / "out") == whole
