"""The golden files: real exporters' models, explained by their own framework's tools (tools/make_golden.py), on every backend.

None of the frameworks is needed here.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnx_lrp as lrp

FOLDER = Path(__file__).parent / "golden"
GOLDENS = {path.parent.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*/golden.json"))}
MODELS = [(name, model["file"]) for name, golden in GOLDENS.items() for model in golden["models"]]
BACKENDS = [("numpy", "float64"), ("torch", "float64"), ("onnx", "float32")]
FLOAT32 = 1e-4  # of a whole explanation in float32, against one in float64


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / name / "golden.npz") as data:
        return dict(data)


def model(name: str, file: str) -> dict[str, Any]:
    return next(item for item in GOLDENS[name]["models"] if item["file"] == file)


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def explain(name: str, file: str, reference: dict[str, Any], backend: str, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and relevance in the layout of the golden's inputs."""
    data, last = arrays(name), model(name, file)["layout"] == "NHWC"
    x = data["inputs"].transpose(0, 2, 3, 1) if last else data["inputs"]
    batchnorm = reference["batchnorm"]
    path, composite = FOLDER / name / file, reference["composite"]
    explainer = lrp.Explainer(path, composite, backend=backend, dtype=dtype, batchnorm=batchnorm)
    explanation = explainer(x, data["target"])
    relevance = explanation.relevance
    return explanation.output, relevance.transpose(0, 3, 1, 2) if last else relevance


@pytest.mark.parametrize(("backend", "dtype"), BACKENDS)
@pytest.mark.parametrize(("name", "file"), MODELS)
def test_golden(name: str, file: str, backend: str, dtype: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    wrong = {}
    for i, reference in enumerate(GOLDENS[name]["references"]):
        tolerance = max(model(name, file)["tolerance"], reference["tolerance"], FLOAT32 if dtype == "float32" else 0)
        logits, relevance = explain(name, file, reference, backend, dtype)
        assert distance(logits, arrays(name)["logits"]) <= tolerance
        error = distance(relevance, arrays(name)[f"relevance_{i}"])
        if not error <= tolerance:
            wrong[f"{reference['tool']}, {reference['composite']}"] = error
    assert not wrong
