"""Rows by the name of their input, and elements of a map by index or name."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..errors import InputError
from ..text import nearest, printable
from .arrow import load_pyarrow
from .reading import positions_where
from .store.index import escaped

_COMPARED = 10_000  # names that one which is not there is compared with


def places_of(table: Any, name: str) -> list[int]:
    """Which rows of an index have an input called so, by its whole name or else by its file name."""
    wanted = escaped(name)
    found = positions_where(table, "input", wanted)
    if len(found):
        return [int(i) for i in found]
    ends = load_pyarrow().compute.ends_with(table["input"], wanted).fill_null(False)
    places = np.flatnonzero(ends.to_numpy())
    return [int(i) for i in places if os.path.basename(table["input"][int(i)].as_py()) == wanted]


def place_of(table: Any, name: str) -> int:
    """Which row of an index has the input called so, as for :func:`places_of`.

    Raises:
        InputError: none has, or several have.
    """
    found = places_of(table, name)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"several inputs are called {printable(name)!r}: {_apart(table, found)}")
    wanted = escaped(name)
    known = [one.as_py() or "" for one in islice(table["input"], _COMPARED)]
    hint = nearest(wanted, [*known, *map(os.path.basename, known)]) or "; see .index for their names"
    raise InputError(f"no input that is done is called {printable(name)!r}{hint}")


def class_at(class_: int, count: int) -> int:
    """The index of a class, of so many.

    Raises:
        InputError: there is none such.
    """
    i = operator.index(class_)
    if not 0 <= i < count:
        raise InputError(f"there is no class {i}; give one from 0 to {count - 1}")
    return i


def feature_at(feature: int | str | tuple[int, ...], names: Sequence[str], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of one element of a map.

    Args:
        feature: a name, a number that counts the elements row by row, or an index for each axis.
        names: of the elements, row by row.
        shape: of the map.

    Raises:
        InputError: there is no such element.
    """
    if isinstance(feature, str):
        if feature not in names:
            raise InputError(
                f"no feature is called {printable(feature)!r}{nearest(feature, names) or '; give its index'}"
            )
        feature = names.index(feature)
    if not isinstance(feature, tuple):
        i, size = operator.index(feature), int(np.prod(shape))
        if not -size <= i < size:
            raise InputError(f"feature {i} is not in a map of {size} elements; give one below {size}")
        return tuple(int(n) for n in np.unravel_index(i % size, shape))
    if len(feature) != len(shape) or not all(-n <= i < n for i, n in zip(feature, shape)):
        raise InputError(f"feature {feature} is no index into a map of shape {shape}; give one number per axis")
    return tuple(int(i % n) for i, n in zip(feature, shape))


def _apart(table: Any, places: Sequence[int]) -> str:
    """What tells rows of one name apart: their paths, or else their numbers."""
    paths = list(dict.fromkeys(printable(table["input"][i].as_py(), 4096) for i in places))
    if len(paths) > 1:
        return f"{' and '.join(paths[:2])}; give the whole name"
    return f"numbers {places[0]} and {places[1]} are both {paths[0]}; give the number"
