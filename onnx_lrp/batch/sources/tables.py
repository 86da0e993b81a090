"""Inputs that are rows of tables: of CSV or Parquet, numbers themselves or paths of files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ...errors import InputError
from ..items import Item, Payload
from .columns import Columns, names_in_words, word_of
from .csvtable import CsvTable
from .cursors import Cursors
from .files import NamedFile, answers, by_file, file_payload, place_in
from .parquet import ParquetTable

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv")


@dataclass(frozen=True)
class TableSource:
    """The rows of tables, one table after another.

    Attributes:
        files: CSV or Parquet.
        columns: what is in them. With a ``column`` of paths each row is a file, relative to the current folder or else
            to the table's; without one, it is its features as a vector in the order of the columns.
        here: the folder that relative paths start from.
    """

    files: tuple[NamedFile, ...]
    columns: Columns
    here: str = ""
    _cursors: Cursors = field(default_factory=Cursors, init=False, repr=False, compare=False)
    _opened: dict[int, CsvTable | ParquetTable] = field(default_factory=dict, init=False, repr=False, compare=False)

    def items(self) -> Iterator[Item]:
        """One for each row.

        Raises:
            InputError: a table is damaged or has no rows, or its columns are not as they were said to be.
        """
        for number, file in enumerate(self.files):
            row = -1
            for row, (offset, cells) in enumerate(self._table(number).cells()):
                yield self._item(number, f"{file.name}[{row}]", offset, cells)
            if row < 0:
                raise InputError(f"{file.shown}: the table has no rows; give one row per input")

    def _item(self, number: int, name: str, offset: int, cells: Sequence[Any] | str) -> Item:
        place = number if self.columns.column is not None else place_in(number, offset)
        if isinstance(cells, str):
            return Item(name, place, error=f"{self.files[number].shown}: {cells}")
        path, label, target = map(word_of, cells)
        if self.columns.column is None:
            return Item(name, place, label, target)
        if path is None:
            return Item(name, place, label, target, error=f"{self.files[number].shown}: {name} names no file")
        return Item(path, place, label, target)

    def read(self, items: Sequence[Item]) -> Iterator[Payload | InputError]:
        """The file that a row names, or its features."""
        if self.columns.column is None:
            for number, group, offsets in by_file(items):
                wanted = [offset for item, offset in zip(group, offsets) if item.error is None]
                yield from answers(partial(self._features, number, wanted), group, self.files[number].shown)
            return
        for item in items:
            beside = os.path.dirname(self.files[item.place].path)
            yield InputError(item.error) if item.error is not None else file_payload(item.name, self.here, beside)

    def _features(self, number: int, offsets: Sequence[int]) -> Iterator[Payload | InputError]:
        for found in self._table(number).features(offsets):
            yield found if isinstance(found, InputError) else Payload({"": found}, typed=False)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the columns that make a row's vector, in their order, which is that of the first table."""
        return self._table(0).names

    @property
    def advice(self) -> str:
        """What to do where no row fits the model, if nobody said which columns are inputs."""
        if self.columns.column is not None or self.columns.features:
            return ""
        names = names_in_words(self.feature_names)
        return f"; taken for inputs were {names}: name those that are (--features a,b), or the label (--label NAME)"

    def _table(self, number: int) -> CsvTable | ParquetTable:
        if number not in self._opened:
            file = self.files[number]
            table = self._open(file, self.columns)
            if number and table.names != self.feature_names:
                table = self._open(file, self._as_first(file, table.names))
            self._opened[number] = table
        return self._opened[number]

    def _open(self, file: NamedFile, columns: Columns) -> CsvTable | ParquetTable:
        if file.path.lower().endswith(PARQUET):
            return ParquetTable.open(file, columns, self._cursors)
        return CsvTable.open(file, columns)

    def _as_first(self, file: NamedFile, names: Sequence[str]) -> Columns:
        """The columns of a table whose features stand in another order than the first one's.

        Raises:
            InputError: they are others.
        """
        wanted = self.feature_names
        odd = sorted(set(names) ^ set(wanted))
        if odd:
            where = f"{file.shown}: has not the columns of {self.files[0].shown}: only one has"
            raise InputError(f"{where} {names_in_words(odd)}; name those that are inputs (--features a,b)")
        return replace(self.columns, features=wanted)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": {}}
