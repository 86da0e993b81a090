"""Parquet row by row, decoded batch by batch: never more than a few thousand rows are held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from ...errors import InputError
from ...text import printable
from ..arrow import load_pyarrow
from .columns import Columns
from .csvtable import NO_NUMBERS
from .cursors import HELD_ROWS, Cursor, Cursors
from .files import NamedFile, reason_of

_BUFFER = 1 << 20  # bytes of a column that are read at once


@dataclass(frozen=True)
class ParquetTable:
    """A table, its features and where its row groups begin.

    Attributes:
        file: where it lies.
        said: the names of path, label and target.
        inputs: the names of the features.
        bounds: the first row of each row group, and the number of rows.
        cursors: where reading has got to, in this table and in others.
    """

    file: NamedFile
    said: tuple[str | None, ...]
    inputs: tuple[str, ...]
    bounds: tuple[int, ...]
    cursors: Cursors

    @staticmethod
    def open(file: NamedFile, columns: Columns, cursors: Cursors) -> ParquetTable:
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
        return ParquetTable(file, (columns.column, *columns.said), tuple(inputs), bounds, cursors)

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
                for batch in opened.iter_batches(HELD_ROWS, columns=wanted, use_threads=False):
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
        cursor = self.cursors.take(self.file, rows[0])
        cursor = cursor or Cursor(self.file, _parquet(self.file), self.inputs, self.bounds)
        for i, row in enumerate(rows, 1):
            vector, missing = cursor.row(row)
            if i == len(rows):  # nobody comes back for what is behind the last one
                self.cursors.keep(cursor)
            if missing:
                name = printable(next(name for name, number in zip(self.inputs, vector) if number != number))
                yield InputError(f"{self.file.shown}: row {row}: column {name!r} is empty; mend or leave out the row")
            else:
                yield vector


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
