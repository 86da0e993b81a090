"""Places in Parquet files from which reading goes on, so that blocks in a row decode nothing twice."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ..arrow import load_pyarrow
from ..numbers import FIRST_ROUNDED
from .files import NamedFile

HELD_ROWS = 4096  # rows that are decoded at once
_HELD_BYTES = 8 << 20
_KEPT = 4  # cursors


class Cursor:
    """Some consecutive rows of a table, and the way to those that follow.

    Args:
        file: where it lies.
        opened: the same, as pyarrow has it open.
        names: of the columns that are read.
        bounds: the first row of each row group, and the number of rows.
    """

    def __init__(self, file: NamedFile, opened: Any, names: Sequence[str], bounds: Sequence[int]) -> None:
        self.file, self._opened, self._names, self._bounds = file, opened, list(names), bounds
        self._group = -1
        self._batches: Iterator[Any] = iter(())
        self.start = self._stop = 0
        self._numbers: np.ndarray = np.empty((0, 0))
        self._missing: np.ndarray = np.empty(0, np.bool_)

    def leads_to(self, row: int) -> bool:
        """Whether it comes to a row by going on, at most into the next row group."""
        return row == self._stop or self._is_before(row)

    def row(self, row: int) -> tuple[np.ndarray, bool]:
        """The features of a row, float64 or objects where that would round, and whether one is missing, NaN then.

        Raises:
            InputError: the table has fewer rows than it had.
        """
        if not self.start <= row < self._stop:
            self._move(row)
        return self._numbers[row - self.start], bool(self._missing[row - self.start])

    def _is_before(self, row: int) -> bool:
        return self.start <= row and self._group_of(row) == self._group

    def _group_of(self, row: int) -> int:
        return bisect_right(self._bounds, row) - 1

    def _move(self, row: int) -> None:
        if not self._is_before(row):
            self._group = self._group_of(row)
            size = max(1, min(HELD_ROWS, _HELD_BYTES // (8 * len(self._names))))
            chosen = {"row_groups": [self._group], "columns": self._names, "use_threads": False}
            self._batches = self._opened.iter_batches(size, **chosen)
            self.start = self._stop = self._bounds[self._group]
        while row >= self._stop:
            batch = next(self._batches, None)
            if batch is None:
                raise InputError(f"{self.file.shown}: ends before row {row}; save it again")
            self.start, self._stop = self._stop, self._stop + len(batch)
        numbers = _matrix(batch, self._names)
        self._numbers, self._missing = _exact(numbers, batch, self._names), np.isnan(numbers).any(axis=1)


class Cursors:
    """The last few that were in use, whatever the number of tables; pickled, there are none."""

    def __init__(self) -> None:
        self._kept: list[Cursor] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Cursors], tuple[()]]:
        return Cursors, ()

    def take(self, file: NamedFile, row: int) -> Cursor | None:
        """The one with the shortest way to a row, if there is one; meanwhile nobody else has it."""
        with self._lock:
            near = [cursor for cursor in self._kept if cursor.file == file and cursor.leads_to(row)]
            if not near:
                return None
            cursor = max(near, key=lambda cursor: cursor.start)
            self._kept.remove(cursor)
            return cursor

    def keep(self, cursor: Cursor) -> None:
        """Let others go on from there."""
        with self._lock:
            self._kept[:] = [*self._kept, cursor][-_KEPT:]


def _matrix(batch: Any, names: Sequence[str]) -> np.ndarray:
    pa = load_pyarrow()
    numbers = np.empty((len(batch), len(names)))
    for i, name in enumerate(names):
        column = batch.column(name)
        if pa.types.is_boolean(column.type) or pa.types.is_decimal(column.type):
            column = column.cast(pa.float64() if pa.types.is_decimal(column.type) else pa.uint8())
        numbers[:, i] = column.to_numpy(zero_copy_only=False)
    return numbers


def _exact(numbers: np.ndarray, batch: Any, names: Sequence[str]) -> np.ndarray:
    pa, exact = load_pyarrow(), numbers
    for i, name in enumerate(names):
        column, large = batch.column(name), np.flatnonzero(np.abs(numbers[:, i]) >= FIRST_ROUNDED)
        if len(large) and not pa.types.is_floating(column.type):
            exact = exact.astype(object, copy=False)
            exact[large, i] = column.take(pa.array(large)).to_pylist()
    return exact
