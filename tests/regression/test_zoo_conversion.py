"""Every exporter's files, converted: the source's answers stay, and facts change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnx_lrp as lrp

CASES = sorted((Path(__file__).resolve().parents[3] / "shared" / "zoo" / "cases").glob("*/model.onnx"))
# What the converted model computes in another way than the source, so that the last bits may differ
OTHERWISE = {
    "_f64": "in float32, because onnxruntime has no float64 convolution",
    "_kiai": "BatchNorm fused, which onnxruntime does not where weights are inputs",
}
FLOATS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}

pytestmark = pytest.mark.skipif(not CASES, reason="no zoo beside the checkout")


def session(model: bytes) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answers(model: bytes, names: list[str], x: dict[str, np.ndarray]) -> list[Any]:
    runner = session(model)
    types = {i.name: FLOATS.get(i.type) for i in runner.get_inputs()}
    return list(runner.run(names, {n: a if types[n] is None else a.astype(types[n]) for n, a in x.items()}))


def inputs(case: Path) -> dict[str, np.ndarray]:
    with np.load(case.parent / "case.npz") as data:
        return {key.partition("::")[2]: data[key] for key in data.files if key.startswith("input::")}


def supported(case: Path) -> bool:
    optional = json.loads((case.parent / "meta.json").read_text()).get("optional")
    return not optional or lrp.check(case).supported


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_the_source_s_answers_stay(case: Path) -> None:
    if not supported(case):
        pytest.skip("optimised for one runtime")
    x, source = inputs(case), onnx.load(case)
    shapes = {name: (None, *a.shape[1:]) for name, a in x.items()} if "dynhw" in case.parent.name else None
    converted = lrp.convert(case, shapes=shapes)
    onnx.checker.check_model(converted, full_check=True)
    names = [value.name for value in source.graph.output]
    assert [value.name for value in converted.graph.output][: len(names)] == names
    double = "_f64" in case.parent.name
    expected = [np.load(case.parent / "case.npz")["logits"]] if double else answers(case.read_bytes(), names, x)
    found = answers(converted.SerializeToString(), names, x)
    for a, b in zip(expected, found):
        if isinstance(a, np.ndarray) and any(mark in case.parent.name for mark in OTHERWISE):
            assert np.abs(a.astype(np.float64) - b).max() <= 1e-5 * np.abs(a).max()
        else:
            assert np.array_equal(a, b)


@pytest.mark.parametrize(
    "composite",
    [
        "gamma",
        "epsilon_plus_flat",
        pytest.param("alpha_beta", marks=pytest.mark.full),
        pytest.param("epsilon_gamma_box:low=-3,high=3", marks=pytest.mark.full),
    ],
)
def test_facts_change_nothing(composite: str) -> None:
    for case in CASES:
        if not supported(case):
            continue
        x = inputs(case)
        on, off = (lrp.explain(case, x, composite=composite, backend="numpy", facts=f) for f in (True, False))
        for name, r in off.inputs.items():
            assert np.linalg.norm(on.inputs[name] - r) <= 1e-9 * np.linalg.norm(r) + 1e-12, case.parent.name
