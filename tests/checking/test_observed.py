"""What an explanation itself gives reason to doubt."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import onnx.parser
import pytest

import onnx_lrp as lrp

RNG = np.random.default_rng(11)
Warnings = Callable[..., tuple[str, ...]]


def net(text: str, **weights: object) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> {text}')
    for name, value in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))
    return model


FCN = """g (float[N, 1, 6, 6] x) => (float[N, 3] y) { a = Conv<pads = [1, 1, 1, 1]>(x, K, k) r = Relu(a)
    p = GlobalAveragePool(r) c = Conv(p, L) y = Flatten(c) }"""
K, L = np.abs(RNG.standard_normal((4, 1, 3, 3))), RNG.uniform(0.5, 1.0, (3, 4, 1, 1))
X = RNG.uniform(0.1, 1, (2, 1, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_little_arrives(backend: str) -> None:
    model = net(FCN, K=0.01 * K, L=L, k=[5.0] * 4)
    (said,) = lrp.explain(model, X, composite="epsilon_plus", backend=backend).warnings
    assert said.startswith("only ")
    assert "% of the target arrives at the inputs: biases keep the largest part, most of it at Conv Conv→a" in said
    assert said.endswith("leave them out (--composite epsilon_plus:bias=ignore)")
    assert lrp.explain(model, X, composite="epsilon_plus:bias=ignore", backend=backend).warnings == ()


def test_much_arrives() -> None:
    assert lrp.explain(net(FCN, K=K, L=L, k=[0.0] * 4), X, composite="epsilon_plus").warnings == ()


def test_maps_of_two_classes_are_alike() -> None:
    model = net(FCN, K=K, L=L, k=[0.0] * 4)
    found = lrp.Explainer(model, "epsilon_plus").several(X, [0, 2])
    for explanation in found:
        (said,) = explanation.warnings
        assert "the maps of class 0 and class 2 are almost alike (cosine 1.000)" in said
        assert "--seed odds" in said
    ranks = lrp.Explainer(model, "epsilon_plus").several(np.concatenate([X, 0.5 * X[::-1]]), 2)[0].warnings
    assert len(ranks) == 1
    assert lrp.Explainer(model, "epsilon_plus").several(X, [0, 2], seed="margin")[0].warnings == ()


def test_maps_that_differ() -> None:
    model = net(FCN, K=RNG.standard_normal((4, 1, 3, 3)), L=RNG.standard_normal((3, 4, 1, 1)), k=[0.0] * 4)
    explainer = lrp.Explainer(model, "epsilon")
    maps = [e.relevance.reshape(2, -1) for e in explainer.several(X, [0, 2])]
    cosines = [abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*maps)]
    assert max(cosines) < 0.98
    assert not any("alike" in line for line in explainer.several(X, [0, 2])[0].warnings)


def test_zeros_under_z_plus() -> None:
    model, x = net(FCN, K=K, L=L, k=[0.0] * 4), X.copy()
    x[:, :, :3] = 0
    (said,) = lrp.explain(model, x, composite="epsilon_plus").warnings
    assert said.startswith("50 % of the input 'x' is exactly 0, and z⁺ on the first layer gives that nothing")
    assert f"--composite default:low=0,high={x.max():g}" in said
    assert lrp.explain(model, x, composite="default:low=0,high=1").warnings == ()
    assert lrp.explain(model, x, composite="epsilon").warnings == ()


def test_amplification_is_told_where_the_account_is_taken() -> None:
    model = net("g (float[1, 2] x) => (float[1, 1] y) { y = MatMul(x, W) }", W=[[1.0], [-1.0]])
    x = np.array([[1.0, 0.99999]], np.float32)
    asked = {"composite": "epsilon:epsilon=1e-9", "seed": "one", "backend": "numpy"}
    assert any("amplifies relevance" in line for line in lrp.explain(model, x, ledger=True, **asked).warnings)


def test_warnings_travel() -> None:
    explanation = lrp.explain(net(FCN, K=0.01 * K, L=L, k=[5.0] * 4), X, composite="epsilon_plus")
    arrived = pickle.loads(pickle.dumps(explanation))
    assert arrived.warnings == explanation.warnings != ()


def test_they_are_found_once_and_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = lrp.Explainer(net(FCN, K=0.01 * K, L=L, k=[5.0] * 4), "epsilon_plus", backend="numpy")
    explanation, runs = explainer(X), []
    run = type(explainer.engine).run
    monkeypatch.setattr(type(explainer.engine), "run", lambda *given: runs.append(0) or run(*given))
    assert runs == []
    assert explanation.warnings == explanation.warnings
    assert runs == [0]


def test_a_composite_that_was_tuned_on_another_model() -> None:
    model = net(FCN, K=K, L=L, k=[0.0] * 4)
    own = lrp.explain(model, X, composite="epsilon").context
    assert own is not None
    for digest, said in ((own.sha256, 0), ("0" * 64, 1)):
        composite = replace(lrp.Composite.parse("epsilon"), name="best", evidence={"model_sha256": digest})
        lines = lrp.explain(model, X, composite=composite).warnings
        assert sum("was tuned on another model" in line for line in lines) == said
