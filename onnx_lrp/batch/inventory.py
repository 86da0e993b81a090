"""The items of a run in a file: listed once, then found by their row, with none of them held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..text import printable
from ..writing import shown
from .arrow import load_pyarrow
from .blocks import Block
from .items import InputSource, Item
from .store.files import replaced_file

_BATCH = 10_000  # items in a record batch
_DIGEST = b"sha256"


class Inventory:
    """The items of a run, in an Arrow file that is mapped into memory. Pickled, it is opened again by its path.

    The columns ``name``, ``label`` and ``target`` hold bytes, since a path need not be text; ``origin`` is the row in
    the list of all inputs, of which these may be some. Several threads may read.
    """

    def __init__(self, path: Path, table: Any, digest: str) -> None:
        self.path, self._table, self.sha256 = path, table, digest

    @staticmethod
    def write(path: Path, source: InputSource, told: Callable[[int], None] = lambda _: None) -> Inventory:
        """List a source, and keep what it lists.

        Args:
            path: of the file; it gets its name when it is complete.
            source: whose items.
            told: is called with the number of items so far, every ten thousand.

        Raises:
            InputError: there is nothing to be listed.
            OutputError: the file cannot be written.
        """
        return _write(path, _numbered(source, told))

    @staticmethod
    def open(path: Path) -> Inventory:
        """Map a file that was written before.

        Raises:
            InputError: there is none, or it is damaged.
        """
        pa = load_pyarrow()
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            last = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
            return Inventory(path, reader.read_all(), last.custom_metadata[_DIGEST].decode())
        except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
            said = printable(str(error).splitlines()[0])
            raise InputError(f"{shown(path)}: no list of a run's inputs ({said}); start the run anew") from None

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def block(self, block: Block) -> list[Item]:
        """Its items."""
        return self._items(self._table.slice(block.start, len(block)))

    def item(self, row: int) -> Item:
        """One of them.

        Raises:
            IndexError: there are not so many.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self._items(self._table.slice(row, 1))[0]

    def origins(self, block: Block) -> list[int]:
        """Its rows in the list of all inputs."""
        return list(self._table.column("origin").slice(block.start, len(block)).to_pylist())

    def find(self, name: str) -> int:
        """The row of the first input that is called so.

        Raises:
            InputError: there is none.
        """
        pa = load_pyarrow()
        row = pa.compute.index(self._table.column("name"), pa.scalar(_bytes(name), pa.binary())).as_py()
        if row < 0:
            raise InputError(f"{shown(name)}: no input of the run is called so; name one as it is listed")
        return int(row)

    def take(self, rows: Iterable[int], path: Path) -> Inventory:
        """Some of the items, in this order, in a new file.

        Raises:
            InputError: there are no rows, or one that does not exist.
            OutputError: the file cannot be written.
        """
        return _write(path, self._taken(rows))

    def _taken(self, rows: Iterable[int]) -> Iterator[tuple[int, Item]]:
        rows = iter(rows)
        while some := list(islice(rows, _BATCH)):
            if not 0 <= min(some) <= max(some) < len(self):
                raise InputError(f"rows {min(some)} to {max(some)} are wanted of {len(self)} inputs; check them")
            table = self._table.take(some)
            yield from zip(table.column("origin").to_pylist(), self._items(table))

    @staticmethod
    def _items(table: Any) -> list[Item]:
        name, place, label, target, error = (table.column(i).to_pylist() for i in range(5))
        labels, targets = map(_text, label), map(_text, target)
        return [Item(*cells) for cells in zip(map(_named, name), place, labels, targets, error)]

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Inventory.open, (self.path,)


def _numbered(source: InputSource, told: Callable[[int], None]) -> Iterator[tuple[int, Item]]:
    for row, item in enumerate(source.items()):
        if row and row % _BATCH == 0:
            told(row)
        yield row, item


def _write(path: Path, items: Iterator[tuple[int, Item]]) -> Inventory:
    pa = load_pyarrow()
    with (
        replaced_file(path) as made,
        pa.OSFile(str(made), "wb") as file,
        pa.ipc.new_file(file, _schema(pa)) as writer,
    ):
        _fill(writer, items)
    return Inventory.open(path)


def _fill(writer: Any, items: Iterator[tuple[int, Item]]) -> None:
    """Batch by batch; an empty one at the end carries the digest of all, which is known only then."""
    pa, digest, count = load_pyarrow(), hashlib.sha256(), 0
    while some := list(islice(items, _BATCH)):
        columns = _columns(some)
        digest.update(repr(columns).encode())  # not Arrow's bytes, which another version may lay out otherwise
        writer.write_batch(pa.record_batch(columns, schema=_schema(pa)))
        count += len(some)
    if not count:
        raise InputError("there are no inputs; check what was given")
    writer.write_batch(
        pa.record_batch(_columns([]), schema=_schema(pa)), custom_metadata={_DIGEST: digest.hexdigest().encode()}
    )


def _columns(numbered: Sequence[tuple[int, Item]]) -> list[list[Any]]:
    items = [item for _, item in numbered]
    return [
        [_bytes(item.name) for item in items],
        [item.place for item in items],
        [_bytes(item.label) for item in items],
        [_bytes(item.target) for item in items],
        [None if item.error is None else printable(item.error, 4096) for item in items],
        [origin for origin, _ in numbered],
    ]


def _schema(pa: Any) -> Any:
    fields = {
        "name": pa.binary(), "place": pa.int64(), "label": pa.binary(), "target": pa.binary(), "error": pa.string(),
        "origin": pa.int64(),
    }  # fmt: skip
    return pa.schema(list(fields.items()))


def _bytes(text: str | None) -> bytes | None:
    try:
        return None if text is None else text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a pair of surrogates, as JSON can hold
        return str(text).encode("utf-8", "backslashreplace")


def _named(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _text(content: bytes | None) -> str | None:
    return None if content is None else _named(content)
