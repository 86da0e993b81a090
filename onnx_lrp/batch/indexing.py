"""An index into an array that lies in a file, cut in two: what is read of each axis, and an index into just that."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np


def cut_index(
    key: Any, rows: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, tuple[slice, ...], tuple[Any, ...]]:
    """What to read of an array for an index, and where in that NumPy finds what the index means.

    Args:
        key: all that NumPy takes as an index.
        rows: the numbers of the rows, which are the array's first axis.
        shape: of the array, (rows, ...).

    Returns:
        The numbers of the rows to read, the stretches to read of the other axes, and the index into what is read.

    Raises:
        IndexError: as NumPy says it.
    """
    np.broadcast_to(False, shape)[key]  # this array takes no memory: what is wrong with the index, NumPy says
    parts = list(_spelled(key))
    spare = len(shape) - sum(map(_takes_axis, parts))
    cuts: list[Callable[[Any], tuple[Any, Any]]] = [partial(_some_rows, rows)]
    axes = iter(cuts + [partial(_stretch, size) for size in shape[1:]])
    read, within = list[Any](), list[Any]()
    for part in parts:
        within.append(part)
        if part is Ellipsis:
            read += [cut(slice(None))[0] for cut in islice(axes, spare)]
        elif _takes_axis(part):
            found, within[-1] = next(axes)(part)
            read.append(found)
    return read[0], tuple(read[1:]), tuple(within)


def _spelled(key: Any) -> Iterator[Any]:
    """The parts of an index, one of them ``...``: slices, integer arrays, new axes; masks become their places."""
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis):
        if part is None or part is Ellipsis or isinstance(part, slice):
            yield part
            continue
        array = np.asarray(part)
        if array.dtype == bool and array.ndim:
            yield from array.nonzero()
        elif array.dtype == object:
            yield np.asarray(operator.index(part))
        else:
            yield array if array.size else array.astype(np.intp)  # an empty list makes no integers


def _takes_axis(part: Any) -> bool:
    """A single True or False makes an axis instead, as None does."""
    return part is not None and part is not Ellipsis and (isinstance(part, slice) or part.dtype != bool)


def _some_rows(rows: np.ndarray, part: Any) -> tuple[np.ndarray, Any]:
    """Each row that is wanted, once, and where in these they are."""
    found = rows[part]
    if isinstance(part, slice):
        return found, slice(None)
    once, places = np.unique(found, return_inverse=True)
    return once, places.reshape(found.shape)


def _stretch(size: int, part: Any) -> tuple[slice, Any]:
    """From the first to the last place of an axis that is wanted, and where in it they are."""
    places = np.arange(size)[part]
    start, stop = (int(places.min()), int(places.max()) + 1) if places.size else (0, 0)
    if not isinstance(part, slice):
        return slice(start, stop), places - start
    step = part.indices(size)[2]
    return slice(start, stop, abs(step)), slice(None, None, 1 if step > 0 else -1)
