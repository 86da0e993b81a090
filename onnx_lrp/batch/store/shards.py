"""An array of a run and its files, one for every block: what is lost or damaged is said, and never read as nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...writing import shown

WhichRows = slice | Sequence[int] | np.ndarray
_UNREADABLE = (OSError, ValueError, RuntimeError)  # what zarr and its codecs raise of files that are damaged


@dataclass(frozen=True)
class Shards:
    """An array with a row per input.

    Attributes:
        array: Zarr's.
        folder: where its files lie.
    """

    array: Any
    folder: Path

    def write(self, rows: slice, values: np.ndarray) -> None:
        """Store the rows of a block: a whole file, whatever is there of it."""
        # zarr would read the file that is there, and fail if it is half of one
        self._file(rows.start // self._block).unlink(missing_ok=True)
        self.array[rows] = values

    def read(self, rows: WhichRows, at: tuple[Any, ...] = ()) -> np.ndarray:
        """Some rows, and of these what ``at`` indexes.

        Raises:
            InputError: a file of them is missing, empty or damaged.
        """
        numbers = np.unique(np.arange(self.array.shape[0])[rows] // self._block).tolist()
        for number in numbers if self.array.size else ():
            if not _size(self._file(number)):  # zarr takes it for one that was never written
                raise InputError(f"{shown(self._file(number))}: is missing or empty; {self._remedy(number)}")
        try:
            return _taken(self.array, rows, at)
        except _UNREADABLE:
            for number in numbers:
                self._read_all(number)
            raise

    def lost(self, numbers: Iterable[int]) -> Iterator[tuple[int, Path]]:
        """Of blocks that are done, those whose file is missing or empty; names and sizes are all that is looked at.

        A block has its file even if all of its rows failed.
        """
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(self.folder)}
        for number in numbers if self.array.size else ():  # an array without elements has no files
            if not sizes.get(self._file(number).name):
                yield number, self._file(number)

    @property
    def _block(self) -> int:
        return int((self.array.shards or self.array.chunks)[0])

    def _file(self, number: int) -> Path:
        return self.folder / f"c.{number}{'.0' * (self.array.ndim - 1)}"

    def _read_all(self, number: int) -> None:
        try:
            self.array[number * self._block : (number + 1) * self._block]
        except _UNREADABLE:
            remedy = f"remove it, and {self._remedy(number)}"
            raise InputError(f"{shown(self._file(number))}: is damaged; {remedy}") from None

    def _remedy(self, number: int) -> str:
        last = min((number + 1) * self._block, self.array.shape[0]) - 1
        return f"give the same command again to have rows {number * self._block} to {last} explained anew"


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _taken(array: Any, rows: WhichRows, at: tuple[Any, ...]) -> np.ndarray:
    if isinstance(rows, slice):
        return np.asarray(array[(rows, *at)])
    rows = np.asarray(rows, np.int64)
    if len(rows) and (np.diff(rows) == 1).all():
        return np.asarray(array[(slice(int(rows[0]), int(rows[-1]) + 1), *at)])
    return np.asarray(array.oindex[(rows, *at, *[slice(None)] * (array.ndim - 1 - len(at)))])
