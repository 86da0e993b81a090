"""Explaining leaves the process's arithmetic as it was: the smallest numbers still count."""

import subprocess
import sys
from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parents[2] / "models" / "mnist_cnn.onnx"
PROGRAM = """
import numpy as np, onnx_lrp as lrp
lrp.Explainer({model!r}, backend={backend!r}, threads={threads})(np.zeros((1, 1, 28, 28), np.float32))
lrp.check({model!r})
assert np.float32(1e-38) / np.float32(10) > 0
assert np.float64(1e-310) * np.float64(1) > 0
"""


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize("backend", ["numpy", "onnx"])
def test_numbers_below_the_normal_ones_are_no_zeros(backend: str, threads: int) -> None:
    program = PROGRAM.format(model=str(MODEL), backend=backend, threads=threads)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
