"""Ways to prepare pictures, side by side."""

from __future__ import annotations

import math

import numpy as np
import pytest

from onnx_lrp.pictures.conventions import Attempt, Convention, doubt, every, named, tried, usual, views
from onnx_lrp.pictures.preprocessing import PREPROCESSINGS, Preprocessing

OWN = Convention("--preprocess raw", PREPROCESSINGS["raw"])
OTHER = Convention("--preprocess caffe", PREPROCESSINGS["caffe"])


def test_which_ways_there_are() -> None:
    ways = usual(3)
    assert len(ways) == 7
    assert {w.options for w in ways} >= {
        "--preprocess raw --channels bgr",
        "--preprocess caffe",
        "--preprocess imagenet",
    }
    assert len({w.preprocessing for w in every(3)}) == 20
    assert [w.options for w in usual(1)] == ["--preprocess raw", "--preprocess zero-one", "--preprocess signed"]
    assert len(every(1)) == 6


def test_the_views_of_a_picture() -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 5, 3)).astype(np.float32)
    same, darker, blank = views(pixels)
    assert np.array_equal(same, pixels)
    assert np.allclose(darker, 0.8 * pixels)
    for channel in range(3):
        assert np.allclose(blank[..., channel], pixels[..., channel].mean())


def test_a_weight_by_hand() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.1, 0.1, 0.8]])
    bc = [sum(math.sqrt(a * b) for a, b in zip(shares[0], other)) for other in shares[1:]]
    assert tried(OWN, shares).weight == pytest.approx((bc[0] ** 6 * (1 - bc[1])) ** 2)
    assert tried(OWN, np.array([[0.9, 0.1]] * 3)).weight == pytest.approx(0)  # a blank picture gets the same answer


@pytest.mark.parametrize(
    ("own", "weight", "other", "other_weight", "said"),
    [
        ([0.6, 0.4], 0.1, [0.1, 0.9], 0.9, "'b' (0.9 by --preprocess caffe)"),
        ([0.6, 0.4], 0.9, [0.1, 0.9], 0.1, ""),
        ([0.6, 0.4], 0.1, [0.9, 0.1], 0.9, ""),
        ([0.6, 0.4], 0.5, [0.35, 0.65], 0.5, ""),  # a slight majority is no reason
    ],
)
def test_when_there_is_doubt(
    own: list[float], weight: float, other: list[float], other_weight: float, said: str
) -> None:
    lines = doubt(Attempt(OWN, np.array(own), weight), [Attempt(OTHER, np.array(other), other_weight)], ["a", "b"])
    assert bool(lines) == bool(said)
    assert all(said in line and "'a' has the probability 0.6 by --preprocess raw" in line for line in lines)


def test_a_low_probability_is_named() -> None:
    flat = np.full(100, 0.01)
    (line,) = doubt(Attempt(OWN, flat, 0.5), [])
    assert line.startswith("the probability is low: class 0 has 0.01 by --preprocess raw")


def test_the_way_in_use_has_one_vote() -> None:
    """Of what is tried, the same way is left out."""
    own = Attempt(OWN, np.array([0.5, 0.5]), 0.1)
    twin = Attempt(Convention("twin", Preprocessing()), np.array([0.0, 1.0]), 1.0)
    assert doubt(own, [twin]) == ()


def test_names() -> None:
    assert named(1, ["a", "b\x1b"]) == repr("b\\x1b")
    assert named(2, ["a", "b"]) == "class 2"
