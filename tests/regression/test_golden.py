"""The golden files: real exporters' models with relevances by their own framework's tools, on every backend.

tools/make_golden.py makes them; none of the frameworks is needed here.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnx_lrp as lrp

FOLDER = Path(__file__).parent / "golden"
GOLDENS = {path.parent.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*/golden.json"))}
MODELS = [(name, model["file"]) for name, golden in GOLDENS.items() for model in golden["models"]]
BACKENDS = [("numpy", "float64"), ("torch", "float64"), ("onnx", "float32")]
EXACT = 1e-9
FLOAT32 = 1e-4  # of a whole explanation in float32, against one in float64
RULES = ("epsilon", "gamma", "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1")
COMPOSITES = {
    "digits": (*RULES, "epsilon_gamma_box:low=0,high=1"),
    "residual": (*RULES, "epsilon_gamma_box:low=-4,high=4"),
}


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
    about = model(name, file)
    data, last = arrays(name), about["layout"] == "NHWC"
    x = data["inputs"].transpose(0, 2, 3, 1) if last else data["inputs"]
    how = {"output": about["output"], "backend": backend, "dtype": dtype}
    explanation = lrp.Explainer(FOLDER / name / file, reference["composite"], **how)(x, data["target"])
    relevance = explanation.relevance
    return explanation.output, relevance.transpose(0, 3, 1, 2) if last else relevance


@pytest.mark.parametrize(("backend", "dtype"), BACKENDS)
@pytest.mark.parametrize(("name", "file"), MODELS)
def test_golden(name: str, file: str, backend: str, dtype: str) -> None:
    if backend == "torch":
        pytest.importorskip("torch")
    wrong = {}
    for i, reference in enumerate(GOLDENS[name]["references"]):
        tolerance = max(model(name, file)["tolerance"], FLOAT32 if dtype == "float32" else 0)
        logits, relevance = explain(name, file, reference, backend, dtype)
        assert distance(logits, arrays(name)["logits"]) <= tolerance
        error = distance(relevance, arrays(name)[f"relevance_{i}"])
        if not error <= tolerance:
            wrong[f"{reference['tool']}, {reference['composite']}"] = error
    assert not wrong


def test_every_golden_says_what_made_it() -> None:
    versioned = re.compile(r"[\w-]+ \d+\.\d+")
    assert len(GOLDENS) == 13
    for name, golden in GOLDENS.items():
        assert golden["description"]
        makers = [item["exporter"] for item in golden["models"]] + [item["tool"] for item in golden["references"]]
        for made_by in [f"python {golden['python']}", *makers]:
            assert versioned.search(made_by), f"{name}: {made_by} has no version"


def test_the_files_are_those_that_the_goldens_describe() -> None:
    described = {FOLDER / name / file for name, file in MODELS}
    described |= {FOLDER / name / file for name in GOLDENS for file in ("golden.json", "golden.npz")}
    assert described == {path for path in FOLDER.rglob("*") if path.is_file()}
    for name, file in MODELS:
        versions = [item.version for item in onnx.load(FOLDER / name / file).opset_import if not item.domain]
        assert versions == [model(name, file)["opset"]]


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 10_000_000


def test_torch_s_exporters_at_many_opsets() -> None:
    written = {(item["exporter"].split(" ")[0], item["opset"]) for item in GOLDENS["torch-bottlenecks"]["models"]}
    assert {opset for exporter, opset in written if "False" in exporter} == {9, 11, 13, 17, 18, 20}
    assert {opset for exporter, opset in written if "True" in exporter} == {18, 20, 25}


@pytest.mark.parametrize("network", ["digits", "residual"])
def test_frameworks_agree_with_each_other(network: str) -> None:
    """Their own results, without onnx_lrp: what is compared with below is one thing."""
    names = [name for name in GOLDENS if name.endswith(f"-{network}")]
    assert len(names) >= 4
    for i, composite in enumerate(COMPOSITES[network]):
        for name in names:
            assert GOLDENS[name]["references"][i]["composite"] == composite
            assert distance(arrays(name)[f"relevance_{i}"], arrays(names[0])[f"relevance_{i}"]) <= EXACT


@pytest.mark.parametrize("composite", [*COMPOSITES["digits"], "alpha_beta", "zplus", "layered", "layered:low=0,high=1"])
def test_one_network_from_five_frameworks(composite: str) -> None:
    files = ("torch", "tensorflow", "keras", "jax", "paddle")
    found = [
        explain(f"{name}-digits", item["file"], {"composite": composite}, "numpy", "float64")[1]
        for name in files
        for item in GOLDENS[f"{name}-digits"]["models"]
    ]
    assert len(found) == 14
    assert max(distance(relevance, found[0]) for relevance in found) <= EXACT
