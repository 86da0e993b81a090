"""An array in a few lines: a hash that finds any changed bit, and coarse sums that say by how much another one differs.

A hash alone cannot tell a wrong explanation from one that another machine rounded differently. So beside it stand the
sums of R and of |R| over the cells of a grid, a few hundred bytes for an array of any size.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

GRID = 8  # cells along each of two axes
DIGITS = 9  # significant ones of every number in a record


def array_facts(array: np.ndarray) -> dict[str, Any]:
    """Dtype, shape and SHA-256 of an array."""
    return {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": array_sha256(array)}


def array_sha256(array: np.ndarray) -> str:
    """Of dtype, shape and values in C order, little-endian: hexadecimal digits."""
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    digest = hashlib.sha256(f"{plain.dtype.str} {array.shape}\n".encode())
    digest.update(plain.tobytes())
    return digest.hexdigest()


def rows_sha256(array: np.ndarray) -> list[str]:
    """:func:`array_sha256` of each row of an array, faster where there are many."""
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    head = hashlib.sha256(f"{plain.dtype.str} {array.shape[1:]}\n".encode())
    size, found = plain.nbytes // max(len(plain), 1), []
    view = memoryview(plain.reshape(-1).view(np.uint8).data)
    for start in range(0, size * len(plain), size or 1):
        digest = head.copy()
        digest.update(view[start : start + size])
        found.append(digest.hexdigest())
    return found or [head.hexdigest()] * len(plain)


def cells(relevance: np.ndarray, samples: int) -> list[dict[str, list[str]]]:
    """ΣR and Σ|R| over a grid of at most 8×8 cells, for each sample, or for all if the first axis is not theirs.

    The grid lies on the two longest axes of a sample, in their order, and all others are summed over; a sample of one
    axis is cut into at most 64 pieces.

    Args:
        relevance: shape (samples, ...).
        samples: how many there are.

    Returns:
        Per sample ``sum`` and ``size``: one string per row of cells, of numbers of 9 significant digits.
    """
    rows = relevance if relevance.shape[:1] == (samples,) else relevance[None]
    return [{"sum": _written(_grid(one)), "size": _written(_grid(np.abs(one)))} for one in rows.astype(np.float64)]


def numbers_of(rows: list[str]) -> np.ndarray:
    """The cells that a record holds, float64 (rows, columns).

    Raises:
        ValueError: they are none.
    """
    return np.array([[float(n) for n in row.split()] for row in rows], np.float64)


def _grid(sample: np.ndarray) -> np.ndarray:
    if sample.ndim < 2:
        return _summed(sample.reshape(1, -1), 1, GRID * GRID)
    kept = sorted(sorted(range(sample.ndim), key=lambda axis: (-sample.shape[axis], axis))[:2])
    plane = sample.sum(tuple(axis for axis in range(sample.ndim) if axis not in kept))
    return _summed(_summed(plane, 0, GRID), 1, GRID)


def _summed(plane: np.ndarray, axis: int, most: int) -> np.ndarray:
    """The sums of at most so many pieces along an axis, of nearly equal length."""
    count = min(most, plane.shape[axis])
    if not count:
        return plane
    return np.asarray(np.add.reduceat(plane, np.arange(count) * plane.shape[axis] // count, axis=axis))


def _written(plane: np.ndarray) -> list[str]:
    return [" ".join(f"{n + 0.0:.{DIGITS}g}" for n in row) for row in plane]
