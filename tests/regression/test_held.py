"""Profiles against relevance by autograd: gates, norms and attention, by both exporters, from opset 13 to 23."""

from __future__ import annotations

import io
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/, for held

import held

from onnx_lrp import Explainer, UnsupportedModelError, check, convert

BACKENDS = {"numpy float64": 1e-7, "torch float64": 1e-7, "torch float32": 1e-5, "onnx float32": 1e-5}
LOOSE = {"groups": 5e-5}  # in single precision, where a group's mean nearly cancels
CASES = [(name, export) for name in held.NETS for export in held.OLDEST.get(name, held.EXPORTS)]
SEEING = ("bert", "gpt", "vit", "swin")  # whose Softmax it is that cplrp holds
PROFILED = [(*case, profile) for case in CASES for profile in ("attnlrp", "cplrp")
            if profile == "attnlrp" or case[0].split()[0] in SEEING]  # fmt: skip


@cache
def exported(name: str, export: str) -> bytes:
    net, x = held.made(name)
    exporter, opset = export.split()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' deprecations
        if exporter == "dynamo":
            program = torch.onnx.export(
                net, (x,), input_names=["x"], opset_version=int(opset), dynamo=True, verbose=False
            )
            return program.model_proto.SerializeToString()
        file = io.BytesIO()
        torch.onnx.export(net, (x,), file, input_names=["x"], opset_version=int(opset), dynamo=False)
        return file.getvalue()


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(("name", "export", "profile"), PROFILED)
def test_relevance_is_that_of_the_detached_net(name: str, export: str, profile: str) -> None:
    net, x = held.made(name)
    wanted, chosen = held.relevance(net, x, profile)
    for setting, bound in BACKENDS.items():
        backend, dtype = setting.split()
        tiny = 1e-12 if dtype == "float64" else 1e-9
        composite = f"attnlrp:epsilon={tiny}"
        explainer = Explainer(exported(name, export), composite, backend=backend, dtype=dtype, profile=profile)
        found = explainer(x.numpy(), chosen).relevance
        loose = LOOSE.get(name, bound) if dtype == "float32" else bound
        assert distance(found, wanted) <= loose, setting


@pytest.mark.parametrize("name", held.NETS)
def test_strict_refuses_them_and_names_the_profile(name: str) -> None:
    model = exported(name, held.OLDEST.get(name, held.EXPORTS)[-2])
    with pytest.raises(UnsupportedModelError, match="with --profile attnlrp all of them have one"):
        Explainer(model)
    report = check(model)
    assert not report.supported
    assert any("--profile attnlrp" in note for note in report.notes)


@pytest.mark.parametrize("name", ["bert", "gpt in pieces", "mbconv"])
def test_facts_save_work_and_change_nothing(name: str) -> None:
    _, x = held.made(name)
    explain = (
        Explainer(exported(name, "jit 17"), "attnlrp:epsilon=1e-12", backend="numpy", profile="attnlrp", facts=facts)
        for facts in (True, False)
    )
    fast, formula = (explainer(x.numpy()).relevance for explainer in explain)
    assert distance(fast, formula) <= 1e-8


@pytest.mark.parametrize("name", ["bert", "gpt in pieces", "mbconv"])
def test_a_converted_model_says_which_profile(name: str) -> None:
    model = convert(
        exported(name, "jit 17"), "attnlrp", profile="attnlrp:gates=half", shapes={"x": held.made(name)[1].shape}
    )
    about = {prop.key: prop.value for prop in model.metadata_props}
    assert about["onnx_lrp.profile"] == "attnlrp:gates=half"
    onnx.checker.check_model(model)


def test_the_account_closes_node_by_node() -> None:
    _, x = held.made("bert")
    explainer = Explainer(exported("bert", "jit 17"), "attnlrp", backend="numpy", profile="attnlrp")
    explanation = explainer(x.numpy(), ledger=True)
    absorbed = sum(entry.absorbed for entry in explanation.ledger)
    assert (
        abs(absorbed - explanation.conservation.absorbed.sum()) <= 1e-9 * np.abs(explanation.conservation.target).max()
    )
