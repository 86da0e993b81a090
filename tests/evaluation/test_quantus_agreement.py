"""Pixel flipping against the package Quantus, on the same attributions and the same perturbations."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from onnx_lrp.evaluation.flipping import flip
from onnx_lrp.evaluation.forms import Form, Pieces
from onnx_lrp.evaluation.imputing import Impute, blurred, channel_means, imputation

torch = pytest.importorskip("torch")
FORM, SHAPE = Form("pictures", "NCHW"), (4, 1, 12, 12)


@pytest.fixture(scope="module")
def quantus() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("quantus", reason="Quantus is not installed", exc_type=ImportError)


@pytest.fixture(scope="module")
def net() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 6, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(600, 5)
    ).eval()  # fmt: skip


class Question:
    """Inputs, targets and attributions without ties, and a model as this package's function."""

    def __init__(self, net: Any) -> None:
        random = np.random.default_rng(0)
        self.x = random.normal(size=SHAPE).astype(np.float32)
        self.targets = np.array([0, 3, 2, 4])
        self.relevance = random.normal(size=SHAPE)
        self.net = net

    def predict(self, x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.net(torch.from_numpy(x)).numpy().astype(np.float64)

    def probability_curves(self, side: int, impute: Impute) -> tuple[np.ndarray, np.ndarray]:
        pieces = Pieces.of(FORM, SHAPE[1:], side)
        found = flip(self.predict, self.x, self.targets, self.relevance, pieces, impute, steps=pieces.count)
        assert found.probability is not None
        return found.probability[0], found.probability[1]

    def asked(self, metric: Any, relevance: np.ndarray | None = None) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.array(
                metric(self.net, self.x, self.targets, a_batch=self.relevance if relevance is None else relevance,
                       softmax=True, channel_first=True, device="cpu")
            )  # fmt: skip


def replacing(values: np.ndarray) -> Any:
    """Quantus's way to perturb, with our values."""
    flat = np.broadcast_to(values, SHAPE).reshape(len(values) if len(values) > 1 else SHAPE[0], -1).astype(np.float32)

    def perturb(arr: np.ndarray, indices: np.ndarray, **_: Any) -> np.ndarray:
        changed = arr.copy()
        for row, (places, new) in enumerate(zip(indices, flat)):
            changed[row, places] = new[places]
        return changed

    return perturb


@pytest.mark.parametrize("side", [1, 2, 3])
@pytest.mark.parametrize("name", ["blur", "mean"])
def test_region_perturbation_has_the_same_curves(quantus: Any, net: Any, side: int, name: str) -> None:
    question = Question(net)
    values = blurred(question.x, FORM) if name == "blur" else channel_means(question.x, FORM)
    ours = question.probability_curves(side, imputation(name, FORM, question.x))
    for order, curve in zip(("morf", "lerf"), ours):
        metric = quantus.RegionPerturbation(
            patch_size=side, order=order, regions_evaluation=(12 // side) ** 2, normalise=False,
            perturb_func=replacing(values), disable_warnings=True,
        )  # fmt: skip
        theirs = question.asked(metric)  # what is lost with each region
        assert theirs.shape == curve[:, 1:].shape
        assert np.abs(curve[:, :1] - curve[:, 1:] - theirs).max() < 1e-6


def test_pixel_flipping_has_the_same_curves_and_areas(quantus: Any, net: Any) -> None:
    question = Question(net)
    morf, lerf = question.probability_curves(1, imputation("mean", FORM, question.x))
    metric = quantus.PixelFlipping(
        features_in_step=1, normalise=False, perturb_func=replacing(channel_means(question.x, FORM)),
        disable_warnings=True,
    )  # fmt: skip
    for sign, curve in ((1, morf), (-1, lerf)):
        theirs = question.asked(metric, sign * question.relevance)
        assert np.abs(curve[:, 1:] - theirs).max() < 1e-6
