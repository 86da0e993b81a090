"""Parquet row by row, decoded batch by batch: never more than a few thousand rows are held."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from ...errors import InputError
from ...text import printable
from ..arrow import load_pyarrow
from ..numbers import FIRST_ROUNDED
from .columns import Columns
from .csvtable import NO_NUMBERS
from .files import NamedFile, reason_of

_HELD_ROWS = 4096  # rows that are decoded at once
_HELD_BYTES = 8 << 20
_BUFFER = 1 << 20  # bytes of a column that are read at once
_CURSORS = 4  # places in the file that are remembered


@dataclass(frozen=True)
class ParquetTable:
    """A table, its features and where its row groups begin.

    Attributes:
        file: where it lies.
        said: the names of path, label and target.
        inputs: the names of the features.
        bounds: the first row of each row group, and the number of rows.
    """

    file: NamedFile
    said: tuple[str | None, ...]
    inputs: tuple[str, ...]
    bounds: tuple[int, ...]
    _cursors: list[_Cursor] = field(default_factory=list, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @staticmethod
    def open(file: NamedFile, columns: Columns) -> ParquetTable:
        """Look at the schema.

        Raises:
            InputError: no Parquet, a column is missing or called as another one, or a feature is no number.
        """
        with _parquet(file) as opened:
            schema, metadata = opened.schema_arrow, opened.metadata
            groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        columns.check(schema.names, file.shown)
        inputs = columns.inputs(schema.names, file.shown) if columns.column is None else []
        _check_types(schema, inputs, columns.column, file)
        bounds = tuple(accumulate(groups, initial=0))
        return ParquetTable(file, (columns.column, *columns.said), tuple(inputs), bounds)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return self.inputs

    def cells(self) -> Iterator[tuple[int, Sequence[Any] | str]]:
        """The number of each row, with its path, label and target."""
        wanted = list(dict.fromkeys(name for name in self.said if name is not None))
        if not wanted:
            yield from ((row, (None, None, None)) for row in range(self.bounds[-1]))
            return
        row = 0
        try:
            with _parquet(self.file) as opened:
                for batch in opened.iter_batches(_HELD_ROWS, columns=wanted, use_threads=False):
                    held = {name: batch.column(name).to_pylist() for name in wanted}
                    empty = [None] * len(batch)
                    cells = [held[name] if name is not None else empty for name in self.said]
                    yield from enumerate(zip(*cells), row)
                    row += len(batch)
        except (OSError, ValueError) as error:  # Arrow's own are some of these
            raise _unreadable(self.file, error) from error

    def features(self, rows: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """The numbers of rows: float64, or objects where that would round."""
        if not rows:
            return
        cursor = self._take(rows[0])
        for row in rows:
            vector, missing = cursor.row(row)
            if missing:
                name = printable(next(name for name, number in zip(self.inputs, vector) if number != number))
                yield InputError(f"{self.file.shown}: row {row}: column {name!r} is empty; mend or leave out the row")
            else:
                yield vector
        with self._lock:
            self._cursors[:] = [*self._cursors, cursor][-_CURSORS:]

    def _take(self, row: int) -> _Cursor:
        """The cursor with the shortest way to a row; meanwhile nobody else has it."""
        with self._lock:
            near = [cursor for cursor in self._cursors if cursor.is_before(row)]
            if not near:
                return _Cursor(self)
            cursor = max(near, key=lambda cursor: cursor.start)
            self._cursors.remove(cursor)
            return cursor


class _Cursor:
    """Some consecutive rows of a table, and the way to those that follow."""

    def __init__(self, table: ParquetTable) -> None:
        self._table, self._opened = table, _parquet(table.file)
        self._group = -1
        self._batches: Iterator[Any] = iter(())
        self.start = self._stop = 0
        self._numbers: np.ndarray = np.empty((0, 0))
        self._missing: np.ndarray = np.empty(0, np.bool_)

    def is_before(self, row: int) -> bool:
        """Whether it can go on to a row."""
        return self.start <= row and self._group_of(row) == self._group

    def row(self, row: int) -> tuple[np.ndarray, bool]:
        """The features of a row, and whether one is missing, NaN then."""
        if not self.start <= row < self._stop:
            self._move(row)
        return self._numbers[row - self.start], bool(self._missing[row - self.start])

    def _group_of(self, row: int) -> int:
        return bisect_right(self._table.bounds, row) - 1

    def _move(self, row: int) -> None:
        if not self.is_before(row):
            self._group = self._group_of(row)
            names = list(self._table.inputs)
            size = max(1, min(_HELD_ROWS, _HELD_BYTES // (8 * len(names))))
            chosen = {"row_groups": [self._group], "columns": names, "use_threads": False}
            self._batches = self._opened.iter_batches(size, **chosen)
            self.start = self._stop = self._table.bounds[self._group]
        while row >= self._stop:
            batch = next(self._batches, None)
            if batch is None:
                raise InputError(f"{self._table.file.shown}: ends before row {row}; save it again")
            self.start, self._stop = self._stop, self._stop + len(batch)
        numbers = _matrix(batch, self._table.inputs)
        self._numbers, self._missing = _exact(numbers, batch, self._table.inputs), np.isnan(numbers).any(axis=1)


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


def _check_types(schema: Any, inputs: Sequence[str], paths: str | None, file: NamedFile) -> None:
    types = load_pyarrow().types
    for name in inputs:
        kind = schema.field(name).type
        if not any(
            is_one(kind) for is_one in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
        ):
            found = f"column {printable(name)!r} holds {printable(str(kind), 40)}, no numbers"
            raise InputError(f"{file.shown}: {found}; {NO_NUMBERS}")
    if paths is not None:
        kind = schema.field(paths).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if not any(is_one(kind) for is_one in (types.is_string, types.is_large_string, types.is_binary)):
            found = f"column {printable(paths)!r} holds {printable(str(kind), 40)}, no paths"
            raise InputError(f"{file.shown}: {found}; name the one that holds paths (--column NAME)")


def _parquet(file: NamedFile) -> Any:
    pa = load_pyarrow()
    try:
        return pa.parquet.ParquetFile(file.path, buffer_size=_BUFFER, pre_buffer=False)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: NamedFile, error: Exception) -> InputError:
    said = printable(reason_of(error).splitlines()[0])
    return InputError(f"{file.shown}: cannot be read ({said}); check the path, or save the file again")
