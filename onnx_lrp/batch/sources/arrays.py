"""Inputs that are the rows of arrays: in .npy and .npz, or in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ...errors import InputError
from ...text import printable
from ..items import Item, Payload
from .columns import Columns, word_of
from .files import NamedFile, answers, by_file, place_in, reason_of
from .rows import HeldRows, RowRange, npy_rows, npz_rows

_CHUNK = 8 << 20  # bytes of a file that are read at once
_OPEN = 2  # files whose arrays are held ready
_LABELS = 10_000  # rows of labels that are read at once


@dataclass(frozen=True)
class ArrayRows:
    """Arrays that belong together, by the model's input (``""`` for the only one), with labels and targets by row."""

    inputs: dict[str, RowRange]
    label: RowRange | None
    target: RowRange | None

    def __len__(self) -> int:
        return next(iter(self.inputs.values())).shape[0]

    def items(self, name: str, file: int = 0) -> Iterator[Item]:
        """One for each row of a file of this name and number."""
        for start in range(0, len(self), _LABELS):
            rows = range(start, min(start + _LABELS, len(self)))
            columns = [_words(source, rows) for source in (self.label, self.target)]
            for row, label, target in zip(rows, *columns):
                yield Item(f"{name}[{row}]", place_in(file, row), label, target)

    def stretch(self, rows: Sequence[int]) -> dict[str, np.ndarray] | None:
        """Consecutive rows, as arrays; None if they are not consecutive."""
        if list(rows) != list(range(rows[0], rows[0] + len(rows))):
            return None
        return {name: array.range(rows[0], rows[0] + len(rows)) for name, array in self.inputs.items()}

    def payloads(self, rows: Sequence[int]) -> Iterator[Payload]:
        """Some rows; consecutive ones are read together."""
        step = max(1, _CHUNK // max(1, sum(array.dtype.itemsize * _row(array) for array in self.inputs.values())))
        for start, stop in _runs(rows, step):
            chunks = {name: array.range(start, stop) for name, array in self.inputs.items()}
            for each in zip(*map(_each, chunks.values())):
                yield Payload(dict(zip(chunks, each)))


def array_rows(arrays: Mapping[str, RowRange], columns: Columns, where: str) -> ArrayRows:
    """Arrays, of which some are said to be labels or targets.

    Raises:
        InputError: one is missing, has no rows, has other numbers of rows than the others, or holds no numbers.
    """
    columns.check(list(arrays), where, "array")
    names = columns.inputs(list(arrays), where, "array")
    used = {name: arrays[name] for name in (*names, *columns.named)}
    for name, array in used.items():
        if not array.shape or not array.shape[0]:
            raise InputError(f"{where}: the array{_called(name)} has no rows; give one row per input")
    if len({array.shape[0] for array in used.values()}) > 1:
        lengths = ", ".join(f"{printable(name)}: {array.shape[0]}" for name, array in used.items())
        remedy = "give arrays of one length, or name those that are inputs"
        raise InputError(f"{where}: the arrays have different numbers of rows ({lengths}); {remedy}")
    for name in names:
        if arrays[name].dtype.kind not in "biufU":
            raise InputError(f"{where}: the array{_called(name)} holds {arrays[name].dtype}; give numbers")
    label, target = (_column(arrays[name], name, where) if name else None for name in columns.said)
    inputs = {"" if len(names) == 1 else name: arrays[name] for name in names}
    return ArrayRows(inputs, label, target)


@dataclass(frozen=True)
class ArraySource:
    """The rows of files of arrays, one after another."""

    files: tuple[NamedFile, ...]
    columns: Columns
    _opened: dict[int, ArrayRows] = field(default_factory=dict, init=False, repr=False, compare=False)

    def items(self) -> Iterator[Item]:
        """One for each row.

        Raises:
            InputError: a file is damaged, or has no rows.
        """
        for number, file in enumerate(self.files):
            yield from self._rows(number).items(file.name, number)

    def read(self, items: Sequence[Item]) -> Iterator[Payload | InputError]:
        """The arrays of each row."""
        for number, group, rows in by_file(items):
            yield from answers(partial(self._read, number, rows), group, self.files[number].shown)

    def arrays(self, items: Sequence[Item]) -> dict[str, np.ndarray] | None:
        """All of them at once, where they are consecutive rows of one file that can be read."""
        files = list(by_file(items))
        try:
            return self._rows(files[0][0]).stretch(files[0][2]) if len(files) == 1 else None
        except Exception:  # parsers of damaged files raise nearly everything; which row it is, shows one by one
            return None

    def rows_of_bytes(self) -> list[tuple[int, ...]]:
        """The shape of a row of each array of bytes in the first file.

        Raises:
            InputError: the file is damaged, or has no rows.
        """
        arrays = self._rows(0).inputs.values()
        return [tuple(array.shape[1:]) for array in arrays if array.dtype == np.uint8]

    def _read(self, number: int, rows: Sequence[int]) -> Iterator[Payload]:
        return self._rows(number).payloads(rows)

    def _rows(self, number: int) -> ArrayRows:
        rows = self._opened.get(number)
        if rows is None:
            rows = _opened(self.files[number], self.columns)
            for other in list(self._opened)[: 1 - _OPEN]:  # what was compressed is held unpacked
                self._opened.pop(other, None)
            self._opened[number] = rows
        return rows

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "columns": self.columns, "_opened": {}}


@dataclass(frozen=True)
class MemorySource:
    """The rows of arrays in memory; pickled, they are copied."""

    rows: ArrayRows

    @staticmethod
    def of(arrays: Mapping[str, Any], columns: Columns) -> MemorySource:
        """Arrays by the model's input.

        Raises:
            InputError: they do not fit each other, or hold no numbers.
        """
        held = {str(name): HeldRows(np.asarray(array)) for name, array in arrays.items()}
        return MemorySource(array_rows(held, columns, "the arrays"))

    def items(self) -> Iterator[Item]:
        """One for each row."""
        return self.rows.items("")

    def arrays(self, items: Sequence[Item]) -> dict[str, np.ndarray] | None:
        """All of them at once, where they are consecutive."""
        return self.rows.stretch([item.place for item in items])

    def read(self, items: Sequence[Item]) -> Iterator[Payload | InputError]:
        """The arrays of each row."""
        return self.rows.payloads([item.place for item in items])


def _opened(file: NamedFile, columns: Columns) -> ArrayRows:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of old versions
            arrays = {"": npy_rows(file)} if file.path.lower().endswith(".npy") else npz_rows(file)
    except InputError as error:
        raise InputError(f"{file.shown}: {error}") from None
    except Exception as error:  # parsers of damaged files raise nearly everything
        said = printable(reason_of(error))
        raise InputError(f"{file.shown}: cannot be read ({said}); check the path, or save the file again") from error
    return array_rows(arrays, columns, file.shown)


def _called(name: str) -> str:
    return f" {printable(name)!r}" if name else ""


def _column(array: RowRange, name: str, where: str) -> RowRange:
    if len(array.shape) > 2 or (len(array.shape) == 2 and array.shape[1] != 1):
        raise InputError(f"{where}: the array {printable(name)!r} has shape {array.shape}; give one number per row")
    return array


def _row(array: RowRange) -> int:
    return int(np.prod(array.shape[1:], dtype=np.int64))


def _each(chunk: np.ndarray) -> Iterable[np.ndarray]:
    """The rows: arrays, even those that hold one number."""
    return chunk if chunk.ndim > 1 else map(np.asarray, chunk)


def _words(array: RowRange | None, rows: range) -> Sequence[str | None]:
    if array is None:
        return (None,) * len(rows)
    return [word_of(value) for value in array.range(rows.start, rows.stop).reshape(-1).tolist()]


def _runs(rows: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of consecutive rows, none longer than so many."""
    start = stop = None
    for row in rows:
        if start is None or row != stop or row - start >= most:
            if start is not None and stop is not None:
                yield start, stop
            start = row
        stop = row + 1
    if start is not None and stop is not None:
        yield start, stop
