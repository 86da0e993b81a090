"""Blurred relevance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from onnx_lrp.errors import InputError
from onnx_lrp.pictures.smoothing import smoothed

PLANE = np.random.default_rng(3).standard_normal((9, 14))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 7.0])
def test_is_a_gaussian_and_keeps_the_sum(sigma: float) -> None:
    got = smoothed(PLANE, sigma)
    np.testing.assert_allclose(got, gaussian_filter(PLANE, sigma, mode="reflect", radius=int(np.ceil(4 * sigma))))
    assert got.sum() == pytest.approx(PLANE.sum())


def test_nothing_asked_nothing_done() -> None:
    assert smoothed(PLANE, 0) is PLANE


@pytest.mark.parametrize("sigma", [-1, float("nan"), float("inf"), 14.5])
def test_what_makes_no_sense(sigma: float) -> None:
    with pytest.raises(InputError, match="from 0 to 14"):
        smoothed(PLANE, sigma)
