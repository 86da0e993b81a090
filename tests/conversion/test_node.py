"""Converted models in onnxruntime's Node package, where NODE_PATH leads to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from small import answers, close

import onnx_lrp as lrp

MODELS = Path(__file__).resolve().parents[2] / "models"
FOUND = any((Path(p) / "onnxruntime-node").is_dir() for p in os.environ.get("NODE_PATH", "").split(os.pathsep) if p)

pytestmark = pytest.mark.skipif(not FOUND or shutil.which("node") is None, reason="no onnxruntime-node in NODE_PATH")


@pytest.mark.parametrize(
    ("name", "composite"), [("mnist_cnn", "epsilon_plus"), ("mnist_resnet", "epsilon_gamma_box:low=-3,high=3")]
)
def test_node_answers_like_python(name: str, composite: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-3, 3, (2, 1, 28, 28)).astype(np.float32)
    converted = lrp.convert(MODELS / f"{name}.onnx", composite)
    onnx.save(converted, tmp_path / "model.onnx")
    (tmp_path / "x.bin").write_bytes(x.tobytes())
    script, shape = Path(__file__).with_name("run.js"), ",".join(map(str, x.shape))
    command = ["node", script, tmp_path / "model.onnx", tmp_path / "x.bin", tmp_path / "r.bin", shape]
    subprocess.run(command, check=True, timeout=60)
    made = np.frombuffer((tmp_path / "r.bin").read_bytes(), np.float32).reshape(x.shape)
    expected = answers(converted, {"input": x})["relevance"]
    print(f"largest difference: {np.abs(made - expected).max() / np.abs(expected).max():.3g}")
    close(made, expected)
