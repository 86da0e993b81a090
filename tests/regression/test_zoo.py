"""The zoo of real exporters' files with native float64 references, where it stands beside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPARE = ROOT.parent / "shared" / "zoo" / "compare.py"

pytestmark = pytest.mark.skipif(not COMPARE.exists(), reason="no zoo beside the checkout")


@pytest.mark.parametrize(
    ("backend", "dtype", "precision", "only"),
    [
        ("numpy", "float64", "f64", "cases"),
        ("torch", "float64", "f64", "cases"),
        ("torch", "float32", "f32", "cases"),
        ("numpy", "float32", "f32", "cases"),
        ("onnx", "float32", "f32", "cases"),
        ("numpy", "float64", "f64", "reject"),
    ],
)
def test_zoo(backend: str, dtype: str, precision: str, only: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    run = subprocess.run(
        [
            sys.executable,
            COMPARE,
            ROOT / "tools" / "zoo_adapter.py",
            "--precision",
            precision,
            "--only",
            only,
            "--quiet",
        ],
        env={**os.environ, "LRP_BACKEND": backend, "LRP_DTYPE": dtype},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
