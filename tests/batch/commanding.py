"""``onnx-lrp`` as it is typed: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parents[2] / "models"
DIGITS = MODELS / "mnist_cnn.onnx"


def command(*arguments: object) -> list[str]:
    """What starts ``onnx-lrp batch`` with one thread."""
    return [sys.executable, "-m", "onnx_lrp", "batch", *map(str, arguments), "--threads", "1"]


def typed(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """``onnx-lrp batch`` to its end; whatever went wrong, no traceback was shown."""
    options = {"capture_output": True, "text": True, "timeout": 300, **options}
    done = subprocess.run(command(*arguments), env={**os.environ, "COLUMNS": "120"}, **options)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def all_of(out: Path) -> dict[str, bytes]:
    """What a reader of a run's folder sees, file by file."""
    seen = [out / "index.parquet", *sorted((out / "maps.zarr").rglob("*"))]
    return {str(path.relative_to(out)): path.read_bytes() for path in seen if path.is_file()}
