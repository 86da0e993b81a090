"""Activations as torch's two exporters write them: refused by their right name, and explained on the user's word."""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnx_lrp import Explainer, check, convert
from onnx_lrp.errors import UnsupportedModelError

torch = pytest.importorskip("torch")
nn = torch.nn

ACTIVATIONS = {
    "SiLU": (nn.SiLU(), "Swish"),
    "GELU": (nn.GELU(), "Gelu"),
    "GELU-tanh": (nn.GELU(approximate="tanh"), "Gelu"),
    "Hardswish": (nn.Hardswish(), "HardSwish"),
    "Mish": (nn.Mish(), "Mish"),
    "Softplus": (nn.Softplus(), "Softplus"),
    "ELU": (nn.ELU(), "Elu"),
    "Tanh": (nn.Tanh(), "Tanh"),
    "Sigmoid": (nn.Sigmoid(), "Sigmoid"),
}
X = np.random.default_rng(0).normal(scale=2, size=(2, 2, 7, 7)).astype(np.float32)


def export(activation: nn.Module, exporter: str) -> onnx.ModelProto:
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3), activation, nn.Conv2d(4, 4, 3), activation, nn.Flatten(), nn.Linear(36, 3)]
    model, file = nn.Sequential(*layers).eval(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter's deprecation
        if exporter == "dynamo18":
            return torch.onnx.export(
                model, (torch.tensor(X),), dynamo=True, opset_version=18, verbose=False
            ).model_proto
        torch.onnx.export(model, (torch.tensor(X),), file, dynamo=False, opset_version=int(exporter[2:]))
    return onnx.load_from_string(file.getvalue())


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["ts9", "ts17", "dynamo18"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_named_refused_and_trusted(name: str, exporter: str) -> None:
    activation, op = ACTIVATIONS[name]
    model = export(activation, exporter)
    problems = check(model).problems
    assert [problem.op for problem in problems] == [op, op]
    assert all(f"--pass-op {op} " in problem.remedy for problem in problems)
    with pytest.raises(UnsupportedModelError, match="2 nodes without a role"):
        convert(model)
    assert f"{op} (2 nodes) passes relevance unchanged, on your word" in check(model, pass_ops=(op,)).notes
    reference = Explainer(model, backend="numpy", pass_ops=op)(X, ledger=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    original = session.run(None, {session.get_inputs()[0].name: X})[0]
    np.testing.assert_allclose(reference.output, original, rtol=1e-4, atol=1e-5)
    absorbed = sum(entry.absorbed for entry in reference.ledger)
    assert absorbed == pytest.approx(reference.conservation.absorbed.sum(), abs=1e-9)
    plain = Explainer(model, backend="numpy", facts=False, pass_ops=op)(X).relevance
    np.testing.assert_allclose(plain, reference.relevance, rtol=1e-9, atol=1e-12)
    for backend in ("onnx", "torch"):
        close(Explainer(model, backend=backend, pass_ops=op)(X).relevance, reference.relevance)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    converted = convert(model, pass_ops=op).SerializeToString()
    session = ort.InferenceSession(converted, options, providers=["CPUExecutionProvider"])
    close(session.run(["relevance"], {session.get_inputs()[0].name: X})[0], reference.relevance)


def close(found: object, expected: object) -> None:
    a, b = np.asarray(found), np.asarray(expected)
    assert np.linalg.norm(a - b) < 1e-4 * np.linalg.norm(b)
