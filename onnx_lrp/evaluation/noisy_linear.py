"""Pixels from their neighbours: noisy linear imputation (Rong et al. 2022, "A consistent and efficient evaluation
strategy for attribution methods", section 4).

Every missing pixel is the weighted mean of its neighbours, missing or not: 1/6 for each that shares a side, 1/12 for
each that shares a corner, over the sum of those that exist. Multiplied by that sum the system is symmetric and positive
definite as long as one pixel is known, so conjugate gradients solve it, for all pictures and channels at once. They
start from the solution of the picture at half its size, since what they need long for is what varies slowly.
"""

from __future__ import annotations

import numpy as np

CORNER = 1 / 12
LEAST, MOST_ROUNDS = 1e-5, 500  # of the residual, relative to the picture
COARSEST = 4  # pixels: smaller pictures are not halved
ROUGHNESS = 0.01


def solved(x: np.ndarray, missing: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The pictures with what is missing from its neighbours, without noise.

    Args:
        x: float64 (n, C, H, W); what is missing there is not read.
        missing: bool of the same shape.
        otherwise: what a plane becomes that has no known pixel, (n, C, 1, 1).
    """
    if min(x.shape[2:]) <= COARSEST:
        return _from(otherwise, x, missing)
    coarse = solved(*_halved(x, missing), otherwise)
    fine = coarse.repeat(2, 2).repeat(2, 3)[:, :, : x.shape[2], : x.shape[3]]
    return _from(fine, x, missing)


def _halved(x: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of what is known among four pixels; missing where none is."""
    n, c, height, width = x.shape
    odd = ((0, 0), (0, 0), (0, height % 2), (0, width % 2))
    shape = (n, c, -(-height // 2), 2, -(-width // 2), 2)
    sums = np.pad(np.where(missing, 0.0, x), odd).reshape(shape).sum((3, 5))
    counts = np.pad(~missing, odd).reshape(shape).sum((3, 5))
    return _quotient(sums, counts.astype(np.float64)), counts == 0


def _from(start: np.ndarray, x: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """By conjugate gradients."""
    known = np.where(missing, 0.0, x)
    sums = _neighbours(np.ones((1, 1, *x.shape[2:])))

    def system(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(missing, sums * values - _neighbours(values), 0.0))

    found = np.where(missing, start, 0.0)
    residual = np.where(missing, _neighbours(known), 0.0) - system(found)
    direction, energy = residual, _dot(residual, residual)
    enough = LEAST**2 * (_dot(known, known) + _dot(found, found))
    for _ in range(MOST_ROUNDS):
        if (energy <= enough).all():
            break
        applied = system(direction)
        step = _quotient(energy, _dot(direction, applied))
        found, residual = found + step * direction, residual - step * applied
        left = _dot(residual, residual)
        direction, energy = residual + _quotient(left, energy) * direction, left
    return np.asarray(known + found)


def _neighbours(values: np.ndarray) -> np.ndarray:
    """The weighted sum of a pixel's eight neighbours: corners a², sides 2a², which is one pass along each axis."""
    wide = _pass(np.swapaxes(_pass(values), 2, 3))
    return np.asarray(CORNER * (np.swapaxes(wide, 2, 3) - 4 * values))


def _pass(values: np.ndarray) -> np.ndarray:
    """Each value twice, and its two neighbours along the last axis."""
    result = 2 * values
    result[..., 1:] += values[..., :-1]
    result[..., :-1] += values[..., 1:]
    return result


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each plane, (n, C, 1, 1)."""
    return np.asarray(np.einsum("nchw,nchw->nc", a, b)[..., None, None])


def _quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """0 where there is nothing left to divide."""
    return np.asarray(np.divide(a, b, out=np.zeros_like(a), where=b > 0))
