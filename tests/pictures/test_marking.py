"""Hatching: what speaks against can be told without colours."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_lrp.pictures.colormaps import COLOUR_MAPS
from onnx_lrp.pictures.marking import painted


def grey(share: float, cmap: str) -> np.ndarray:
    return painted(np.full((2, 2), share), 24, 24, cmap) @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("cmap", COLOUR_MAPS)
@pytest.mark.parametrize("strength", [0.2, 0.5, 0.75, 1.0])
def test_against_is_hatched_and_for_is_not(cmap: str, strength: float) -> None:
    assert np.ptp(grey(strength, cmap)) < 1e-9
    hatched = grey(-strength, cmap)
    assert np.ptp(hatched) > 8
    assert 0.1 < (np.abs(hatched - np.median(hatched)) > 4).mean() < 0.4


def test_fine_noise_is_left_alone() -> None:
    share = np.where(np.indices((40, 40)).sum(0) % 2, 0.9, -0.9)
    assert len(np.unique(painted(share, 1, 1, "bwr").reshape(-1, 3), axis=0)) == 2


def test_a_single_large_cell_is_hatched_up_to_its_edge() -> None:
    share = np.array([[0.0, -1.0, 1.0]])
    got = painted(share, 20, 20, "bwr")
    assert len(np.unique(got[:, :20].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(got[:, 20:40].reshape(-1, 3), axis=0)) == 2
    assert len(np.unique(got[:, 40:].reshape(-1, 3), axis=0)) == 1
