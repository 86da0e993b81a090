"""Colour maps: what they have in common, who can tell their sides apart, and unknown names."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_lrp.errors import InputError
from onnx_lrp.pictures.colormaps import COLOUR_MAPS, colour_map, colours
from onnx_lrp.pictures.heatmap import heatmap

# Colour blindness as matrices on linear RGB (Machado, Oliveira and Fernandes 2009, severity 1)
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
          [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
TO_LAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
          [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip


def linear(shades: np.ndarray) -> np.ndarray:
    v = shades / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def oklab(light: np.ndarray) -> np.ndarray:
    return np.cbrt(np.clip(light, 0, 1) @ np.array(TO_LMS).T) @ np.array(TO_LAB).T


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_nothing_is_in_the_middle_and_more_is_farther_from_it(name: str) -> None:
    shares = np.linspace(-1, 1, 41)
    shades = colours(shares[None], name)[0]
    assert shades[20].tolist() in ([255, 255, 255], [0, 0, 0])
    for side in (shades[20:], shades[20::-1]):
        apart = np.linalg.norm(oklab(linear(side)) - oklab(linear(side[:1])), axis=1)
        assert (np.diff(apart) > 0).all()


@pytest.mark.parametrize("blindness", BLIND)
def test_the_colour_blind_tell_purple_from_orange(blindness: str) -> None:
    shares = np.array([0.4, 0.7, 1.0])
    sides = [linear(colours(sign * shares[None], "puor")[0]) @ np.array(BLIND[blindness]).T for sign in (1, -1)]
    assert np.linalg.norm(oklab(sides[0]) - oklab(sides[1]), axis=1).min() > 0.1  # 0.02 can just be seen


@pytest.mark.parametrize("name", ["bwr", "puor"])
def test_both_signs_are_equally_light(name: str) -> None:
    shares = np.linspace(0, 1, 21)
    sides = [oklab(linear(colours(sign * shares[None], name)[0]))[:, 0] for sign in (1, -1)]
    np.testing.assert_allclose(sides[0], sides[1], atol=0.02)


@pytest.mark.parametrize(
    ("name", "said"),
    [("sesmic", "did you mean seismic"), ("BWR", "did you mean bwr"), ("viridis", "there are bwr, puor, seismic"),
     (7, "no colour map '7'"), ("x\n" * 99, "no colour map ")],
)  # fmt: skip
def test_an_unknown_name(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        colour_map(name)
    assert str(caught.value).isprintable()
    with pytest.raises(InputError):
        heatmap(np.ones((2, 2)), cmap=name)
