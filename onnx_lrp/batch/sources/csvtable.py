"""CSV row by row, each found again by the offset of its first byte."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import IO, Any

import numpy as np

from ...errors import InputError
from ...text import printable
from ..numbers import FIRST_ROUNDED
from .columns import Columns
from .files import NamedFile

_DELIMITERS = (",", ";", "\t")
_LONGEST_ROW = 1 << 24  # bytes
_LOOKED_AT = 100  # rows that show whether a column is one of numbers

_Record = tuple[int, "list[str] | csv.Error"]


@dataclass(frozen=True)
class CsvTable:
    """A table whose first row names the columns.

    Attributes:
        file: where it lies.
        delimiter: between cells.
        start: the offset of the first row.
        width: cells in a row.
        said: the places of path, label and target in a row.
        inputs: the places of the features, and their names.
    """

    file: NamedFile
    delimiter: str
    start: int
    width: int
    said: tuple[int | None, ...]
    inputs: tuple[tuple[int, str], ...]

    @staticmethod
    def open(file: NamedFile, columns: Columns) -> CsvTable:
        """Look at the first rows.

        Raises:
            InputError: no table, a column is missing or called as another one, or a feature is no number.
        """
        with open(file.path, "rb") as stream:
            first = stream.readline(_LONGEST_ROW)
            if b"\0" in first:
                raise InputError(f"{file.shown}: is no text in UTF-8; save it as CSV in UTF-8")
            if b"\r" in first and b"\n" not in first:
                typed = f"tr '\\r' '\\n' < {shlex.quote(file.shown)} > mended.csv"
                raise InputError(f"{file.shown}: its lines end with CR alone; end them with LF: {typed}")
            delimiter = _delimiter(first.decode("utf-8", "replace"))
            lines = _Lines(stream, file)
            header = next(_records(lines, delimiter), (0, []))[1]
        if isinstance(header, csv.Error) or not header:
            raise InputError(f"{file.shown}: names no columns in its first row; give each a name there")
        names = [name.strip() for name in header]
        _check_names(names, columns, file)
        said = tuple(None if n is None else names.index(n) for n in (columns.column, *columns.said))
        inputs = columns.inputs(names, file.shown) if columns.column is None else []
        if "" in inputs:
            said_so = f"{file.shown}: the first row does not name column {names.index('') + 1}"
            raise InputError(f"{said_so}; name it, or those that are inputs (--features a,b)")
        places = tuple((names.index(name), name) for name in inputs)
        table = CsvTable(file, delimiter, lines.offset, len(names), said, places)
        table._check_numbers()
        return table

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features."""
        return tuple(name for _, name in self.inputs)

    def cells(self) -> Iterator[tuple[int, Sequence[Any] | str]]:
        """The offset of each row, with its path, label and target, or what is wrong with it."""
        with open(self.file.path, "rb") as stream:
            for row, (offset, record) in enumerate(_records(_Lines(stream, self.file, self.start), self.delimiter)):
                wrong = self._wrong(record)
                if wrong or isinstance(record, csv.Error):
                    yield offset, f"row {row}: {wrong}"
                else:
                    yield offset, [None if place is None else record[place] for place in self.said]

    def features(self, offsets: Sequence[int]) -> Iterator[np.ndarray | InputError]:
        """The numbers of rows: float64, or objects where that would round."""
        with open(self.file.path, "rb") as stream:
            for offset in offsets:
                record = next(_records(_Lines(stream, self.file, offset), self.delimiter), (0, []))[1]
                wrong = self._wrong(record)
                if wrong or isinstance(record, csv.Error):
                    yield InputError(f"{self.file.shown}: {wrong}")
                else:
                    yield self._vector(record)

    def _vector(self, record: list[str]) -> np.ndarray | InputError:
        try:
            numbers = np.array([_number(record[place]) for place, _ in self.inputs])
        except ValueError:
            numbers = None
        if numbers is None or np.isnan(numbers).any():
            place, name = next((place, name) for place, name in self.inputs if not _is_number(record[place]))
            found = f"holds {printable(record[place], 40)!r}, no number" if record[place].strip() else "is empty"
            return InputError(f"{self.file.shown}: column {printable(name)!r} {found}; mend or leave out the row")
        return _exact(numbers, [record[place] for place, _ in self.inputs])

    def _wrong(self, record: list[str] | csv.Error) -> str:
        if isinstance(record, csv.Error):
            return f"no row of a table ({printable(str(record))}); mend or leave out the row"
        if len(record) != self.width:
            return f"{len(record)} cells, the first row names {self.width} columns; mend or leave out the row"
        return ""

    def _check_numbers(self) -> None:
        with open(self.file.path, "rb") as stream:
            records = islice(_records(_Lines(stream, self.file, self.start), self.delimiter), _LOOKED_AT)
            rows = [record for _, record in records if isinstance(record, list) and len(record) == self.width]
        for place, name in self.inputs:
            cells = [row[place] for row in rows if row[place].strip()]
            if cells and not any(map(_is_number, cells)):
                found = f"column {printable(name)!r} holds {printable(cells[0], 40)!r}, no numbers"
                raise InputError(f"{self.file.shown}: {found}; {NO_NUMBERS}")


def _exact(numbers: np.ndarray, cells: Sequence[str]) -> np.ndarray:
    large = np.isfinite(numbers) & (np.abs(numbers) >= FIRST_ROUNDED)
    if not large.any():
        return numbers
    exact = numbers.astype(object)
    exact[large] = [Decimal(cell) for cell, is_large in zip(cells, large) if is_large]
    return exact


NO_NUMBERS = (
    "name the columns that are inputs (--features a,b), the label (--label NAME), or what holds paths (--column NAME)"
)


class _Lines:
    """The lines of a file, which knows how far it has got."""

    def __init__(self, stream: IO[bytes], file: NamedFile, offset: int = 0) -> None:
        self._stream, self._file, self.offset = stream, file, offset
        stream.seek(offset)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(_LONGEST_ROW)
        if not line:
            raise StopIteration
        if len(line) == _LONGEST_ROW:
            raise InputError(
                f"{self._file.shown}: a line has more than {_LONGEST_ROW >> 20} MiB; give one row per line"
            )
        text = line.removeprefix(b"\xef\xbb\xbf") if self.offset == 0 else line
        self.offset += len(line)
        return text.decode("utf-8", "surrogateescape")


def _records(lines: _Lines, delimiter: str) -> Iterator[_Record]:
    """Each row with its offset, blank ones left out; after one that is malformed it goes on with the next line."""
    while True:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        offset = lines.offset
        try:
            for row in reader:
                if row:
                    yield offset, row
                offset = lines.offset
            return
        except csv.Error as error:
            yield offset, error


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _check_names(names: Sequence[str], columns: Columns, file: NamedFile) -> None:
    if all(map(_is_number, names)):
        raise InputError(f"{file.shown}: its first row holds numbers; put the names of the columns above it")
    columns.check(names, file.shown)


def _number(cell: str) -> float:
    """What a cell says; less than ``float`` takes: no digits of other scripts, and no ``1_000``.

    Raises:
        ValueError: it is no number.
    """
    if "_" in cell or not cell.strip().isascii():
        raise ValueError
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        number = _number(cell)
    except ValueError:
        return False
    return number == number
