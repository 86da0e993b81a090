"""Relevance blurred along the picture, so that areas show in place of single pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

REACH = 4  # standard deviations, beyond which a Gaussian is next to nothing


def smoothed(plane: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Blur (H, W) by a Gaussian of ``sigma`` pixels; 0 leaves it as it is.

    What would leave at an edge is mirrored back, so that the sum of relevance stays what it was.

    Raises:
        InputError: sigma is negative, not finite, or more than the picture is long.

    """
    longest = max(plane.shape)
    if not 0 <= sigma <= longest:
        raise InputError(f"smooth is {sigma}; give a number of pixels from 0 to {longest}, the input's longer side")
    if not sigma:
        return plane
    radius = max(1, math.ceil(REACH * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    blurred = plane.astype(np.float64)
    for axis in (0, 1):
        blurred = np.apply_along_axis(_blurred, axis, blurred, weights, radius)
    return blurred


def _blurred(line: NDArray[np.float64], weights: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    return np.convolve(np.pad(line, radius, mode="symmetric"), weights, mode="valid")
