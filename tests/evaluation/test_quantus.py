"""The model for Quantus and what it asks of it; and `attribute` against Captum's habit."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import onnx_lrp as lrp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/, for the stand-in

from regression.reference import torchvision_stand_in

MODEL = Path(__file__).resolve().parents[2] / "models" / "mnist_resnet.onnx"
X = np.random.default_rng(0).uniform(size=(3, 1, 28, 28)).astype(np.float32)


def test_the_delta_has_captums_sign() -> None:
    explainer = lrp.Explainer(MODEL)
    plain = explainer(X, 3, seed="logit")
    relevance, delta = explainer.attribute(torch.tensor(X), 3, True)
    assert np.array_equal(relevance, plain.relevance)
    assert np.array_equal(explainer.attribute(X, target=3), plain.relevance)
    assert delta.shape == (3,)
    assert np.abs(delta).min() > 1e-3
    assert np.allclose(delta, plain.output[:, 3] - relevance.sum((1, 2, 3)), atol=1e-4)


def test_the_delta_of_captum_itself() -> None:
    captum = pytest.importorskip("captum.attr")
    delta = captum.LRP(torch.nn.Identity()).compute_convergence_delta(torch.ones(1, 4), torch.tensor([7.0]))
    assert float(delta) == 7 - 4


def test_attribute_passes_options_on() -> None:
    explainer = lrp.Explainer(MODEL)
    assert np.array_equal(explainer.attribute(X, 3, seed="one"), explainer(X, 3, seed="one").relevance)


def test_the_model_is_a_module_that_answers() -> None:
    model = lrp.quantus.QuantusModel(MODEL, composite="epsilon_plus")
    assert not model.training
    answer = model(torch.tensor(X))
    assert answer.dtype == torch.float32
    assert np.allclose(answer.numpy(), lrp.explain(MODEL, X).output, atol=1e-4)
    assert torch.equal(copy.deepcopy(model)(torch.tensor(X)), answer)
    with pytest.raises(NotImplementedError, match="randomisation metrics"):
        model.state_dict()


def test_attributions_as_quantus_calls_for_them() -> None:
    explainer = lrp.Explainer(MODEL)
    model, y = lrp.quantus.QuantusModel(explainer), np.array([3, 1, 4])
    found = lrp.quantus.explain_func(model=model, inputs=X, targets=y, device="cpu")
    assert np.array_equal(found, explainer(X, y).relevance)
    found = lrp.quantus.explain_func(model, X, y, method="gradient-input")
    zero = lrp.explain(MODEL, X, y, composite=lrp.Composite("zero", (), lrp.Zero()), backend="numpy").relevance
    assert np.allclose(found, zero, atol=1e-4 * np.abs(np.asarray(zero)).max())


def test_other_models_are_refused() -> None:
    with pytest.raises(lrp.InputError, match="takes a QuantusModel, not a Linear"):
        lrp.quantus.explain_func(torch.nn.Linear(2, 2), X, [0, 0, 0])  # type: ignore[arg-type]
    with pytest.raises(lrp.InputError, match="leave out 'composite'"):
        lrp.quantus.QuantusModel(lrp.Explainer(MODEL), composite="epsilon")


@pytest.fixture
def quantus() -> Iterator[Any]:
    if importlib.util.find_spec("quantus") is None:
        pytest.skip("Quantus is not installed")
    with torchvision_stand_in():
        yield pytest.importorskip("quantus")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["PixelFlipping", "Sparseness", "MaxSensitivity"])
def test_metrics_of_quantus(quantus: Any, name: str) -> None:
    options = {"PixelFlipping": {"features_in_step": 98}, "MaxSensitivity": {"nr_samples": 2}}
    model = lrp.quantus.QuantusModel(MODEL)
    metric = getattr(quantus, name)(disable_warnings=True, **options.get(name, {}))
    y = model.function(X).argmax(1)
    scores = np.asarray(metric(model=model, x_batch=X, y_batch=y, explain_func=lrp.quantus.explain_func))
    assert len(scores) == 3
    assert np.isfinite(scores).all()
