"""Methods that average gradients: over noisy copies, or along a path."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from ..errors import InputError

COPIES = 32
NOISE = 0.15  # of a sample's range, as the standard deviation
STEPS = 32

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]


def smoothgrad(gradient: Field, seed: int = 0) -> Field:
    """The mean gradient over noisy copies (Smilkov et al. 2017, eq. 1).

    The noise is normal, of 15 % of the sample's range, and belongs to the sample: a batch's parts have no say in it.

    Args:
        gradient: inputs (n, ...), targets (n,) -> gradients.
        seed: of the noise.
    """

    def one(x: np.ndarray, target: np.ndarray) -> np.ndarray:
        noise = own_generator(x, seed).normal(size=(COPIES, *x.shape)) * (NOISE * (float(x.max()) - float(x.min())))
        return _mean(gradient, (x + noise).astype(x.dtype), target)

    return lambda inputs, targets: _each(one, inputs, targets)


def integrated_gradients(gradient: Field, baseline: np.ndarray | float = 0.0) -> Field:
    """(x - x₀) ⊙ the mean gradient on the straight path from x₀ to x (Sundararajan et al. 2017, eq. 1), by midpoints.

    Args:
        gradient: inputs (n, ...), targets (n,) -> gradients.
        baseline: x₀: a number, or an array that broadcasts to a sample.

    Raises:
        InputError: from the function: the baseline does not fit a sample.
    """
    places = (np.arange(STEPS) + 0.5) / STEPS

    def one(x: np.ndarray, target: np.ndarray) -> np.ndarray:
        try:
            start = np.broadcast_to(np.asarray(baseline, np.float64), x.shape)
        except ValueError:
            raise InputError(f"a baseline of shape {np.shape(baseline)} does not fit a sample of {x.shape}") from None
        way = x - start
        path = start + places.reshape(-1, *(1,) * x.ndim) * way
        return np.asarray(way * _mean(gradient, path.astype(x.dtype), target))

    return lambda inputs, targets: _each(one, inputs, targets)


def own_generator(x: np.ndarray, seed: int) -> np.random.Generator:
    """Random numbers that depend on a sample and the seed, and on nothing else."""
    return np.random.default_rng([seed, zlib.crc32(np.ascontiguousarray(x).tobytes())])


def _mean(gradient: Field, copies: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.asarray(gradient(copies, np.full(len(copies), target, np.int64)).mean(0))


def _each(one: Field, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.stack([one(x, target) for x, target in zip(np.asarray(inputs), np.asarray(targets))])
