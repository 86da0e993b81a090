"""Which output to explain, and the relevance that the walk starts with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import TargetError
from .contrasts import Contrast
from .seeds import Seed, as_seed

Target = int | Sequence[int] | Sequence[Sequence[int]] | np.ndarray | None


def resolve(target: Target, logits: np.ndarray) -> np.ndarray:
    """The explained element of each sample, as a flat index into ``logits[sample].ravel()``.

    Args:
        target: None (argmax per sample), an int (a flat index), a tuple of ints (one element of an output of higher
            rank), or a list or array with one int, or one tuple, per sample.
        logits: the explained tensor, shape (samples, ...).

    Returns:
        int64, shape (samples,).

    Raises:
        TargetError: wrong number of targets, out of range, or not integers.
    """
    samples, shape = len(logits), logits.shape[1:]
    size = _size(logits)
    if target is None:
        return np.asarray(logits.reshape(samples, size).argmax(1))
    flat = _flat(target, samples, shape)
    for wrong in flat[(flat < 0) | (flat >= size)].tolist():
        raise TargetError(f"target {wrong} is out of range: the output has {size} elements, 0 to {size - 1}")
    return flat.astype(np.int64)


def _size(logits: np.ndarray) -> int:
    """Elements of a sample's output, at least one."""
    size = math.prod(logits.shape[1:])
    if logits.size == 0:
        raise TargetError(f"the output has no elements, its shape is {logits.shape}: there is nothing to explain")
    return size


def largest(logits: np.ndarray, count: int) -> list[np.ndarray]:
    """The ``count`` largest outputs of each sample, or all if there are fewer: flat indices of shape (samples,) each.

    Raises:
        TargetError: the count is below 1, or there is no output at all.
    """
    flat = logits.reshape(len(logits), -1)
    if count < 1 or not flat.shape[1]:
        raise TargetError(f"cannot explain the {count} largest of {flat.shape[1]} outputs")
    order = np.argsort(-flat, axis=1, kind="stable")
    return [order[:, rank] for rank in range(min(count, flat.shape[1]))]


def _flat(target: Target, samples: int, shape: tuple[int, ...]) -> np.ndarray:
    """One flat index per sample, range not checked yet."""
    given = _integers(target)
    position = isinstance(target, tuple) and given.ndim == 1 and (len(shape) > 1 or given.shape != (samples,))
    if position and len(given) == len(shape):
        return np.full(samples, _ravel(given[None], shape)[0])
    if given.ndim == 0:
        return np.full(samples, given)
    if given.shape == (samples,) and not position:
        return given
    if given.shape == (samples, len(shape)):
        return _ravel(given, shape)
    raise TargetError(
        f"target {target!r:.80} fits neither one output of shape {shape} nor {samples} samples; "
        "give one int, one tuple, or one per sample"
    )


def _integers(target: Target) -> np.ndarray:
    try:
        given = np.asarray(target)
    except ValueError:
        raise TargetError(f"targets must all have the same length, not {target!r:.80}") from None
    if given.dtype.kind not in "iu":
        raise TargetError(f"target must be an integer, a tuple, or one per sample, not {target!r:.80}")
    return given


def _ravel(index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.atleast_1d(np.ravel_multi_index(tuple(index.T), shape))
    except ValueError:
        wrong = index[((index < 0) | (index >= shape)).any(1)][0]
        raise TargetError(f"target {wrong.tolist()} is out of range for an output of shape {shape}") from None


def seed_relevance(seed: Seed, target: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The relevance to start with: zero but for the targets, or what a contrast says.

    Args:
        seed: ``"logit"`` (the output's own value), ``"one"``, a :class:`Contrast` or the word for one, or an array of
            the shape of ``logits``, which is taken as it is.
        target: flat index per sample, shape (samples,).
        logits: shape (samples, ...).

    Raises:
        TargetError: unknown word, wrong shape, not finite, or a contrast that does not fit.
    """
    seed = as_seed(seed)
    if isinstance(seed, Contrast):
        return seed.start(logits, target)
    if isinstance(seed, str):
        flat = np.zeros((len(logits), _size(logits)), logits.dtype)
        rows = np.arange(len(flat))
        flat[rows, target] = logits.reshape(flat.shape)[rows, target] if seed == "logit" else 1.0
        return flat.reshape(logits.shape)
    given = np.asarray(seed)
    if given.dtype.kind not in "fiu" or given.shape != logits.shape or not np.isfinite(given).all():
        raise TargetError(f"the seed must be finite numbers of the output's shape {logits.shape}, not {given.shape}")
    return given.astype(logits.dtype)
