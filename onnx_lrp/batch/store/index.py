"""The index of a run: one row per input. While the run goes on it lies in parts, one per block, which then merge."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import OutputError
from ...staging import temporary
from ...writing import shown
from ..folder import Folder
from ..found import Found
from ..order import Order
from .files import arrow_module, staged_file, writing_to

# Name, type and meaning of every column
COLUMNS = (
    ("row", "int64", "of the input in the run, from 0; its maps have the same row"),
    ("origin", "int64", "row in the inputs as they were given, where a first pass chose some; else the same as row"),
    ("input", "string", "its name: a path, a member of an archive, FILE[row]; bytes that are no text are escaped"),
    ("sha256", "string", "of the file's bytes or of the array; null if it could not be read"),
    ("label", "string", "the true class as it was given, an index or a label; null if none was"),
    ("prediction", "int64", "flat index of the largest output; null in a row with an error, as all that follows"),
    ("predicted", "string", "label of the prediction; null without labels"),
    ("probability", "float64", "the model's of its prediction; null if the output is no row of classes"),
    ("target", "int64", "flat index of what is explained"),
    ("explained", "string", "label of the target; null without labels"),
    ("start", "float64", "sum of relevance at the target"),
    ("relevance", "float64", "sum of relevance at the inputs"),
    ("absorbed", "float64", "what of the start did not reach the inputs"),
    ("size", "float64", "sum of |relevance| at the inputs"),
    ("warnings", "string", "doubts about the explanation, joined; null if there are none"),
    ("error", "string", "why there is no explanation; null if there is one"),
)
TOP_COLUMNS = (
    ("top_classes", "int64", "flat indices of the largest outputs, the largest first"),
    ("top_probabilities", "float64", "their probabilities"),
)
ROWS_AT_ONCE = 65536  # rows in a row group of the merged index: some 20 MB
_PART = re.compile(r"\d{8,}\.parquet")


def index_schema(order: Order) -> Any:
    """The Arrow schema of the index: ``COLUMNS``, and lists of ``TOP_COLUMNS`` if the order saves ``topk``."""
    pa = arrow_module()
    fields = [pa.field(name, getattr(pa, kind)()) for name, kind, _ in COLUMNS]
    if "topk" in order.save:
        fields += [pa.field(name, pa.list_(getattr(pa, kind)())) for name, kind, _ in TOP_COLUMNS]
    return pa.schema(fields)


def escaped(name: str) -> str:
    """A name as the index holds it: UTF-8, with bytes of a path that are none escaped."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode("utf-8")


def write_part(found: Found, folder: Folder, order: Order) -> Path:
    """Store a block's rows of the index; with this, it is done.

    Raises:
        OutputError: it cannot be written.
        ValueError: there is a column that the index does not have.
    """
    return write_rows(_filled(found), folder.part(found.block.number), index_schema(order))


def write_rows(columns: Mapping[str, Sequence[Any]], path: Path, schema: Any) -> Path:
    """A Parquet file of these columns, whole or not at all; equal rows make equal bytes. What is missing is null.

    Raises:
        OutputError: it cannot be written.
        ValueError: there is a column that the schema does not have.
    """
    unknown = set(columns) - set(schema.names)
    if unknown:
        raise ValueError(f"the index has no column {', '.join(sorted(unknown))}")
    pa, buffer = arrow_module(), io.BytesIO()
    count = len(next(iter(columns.values())))
    arrays = [_array(pa, columns.get(f.name, [None] * count), f.type) for f in schema]
    with _writer(buffer, schema) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    with staged_file(path) as made:
        path.parent.mkdir(exist_ok=True)
        made.write_bytes(buffer.getbuffer())
    return path


def done_blocks(folder: Folder) -> set[int]:
    """Numbers of the blocks that are stored, as long as the parts are not merged: ask :func:`is_complete` first."""
    return set(_parts(folder))


def is_complete(folder: Folder) -> bool:
    """Whether all parts are merged into the index."""
    return folder.index.exists()


def merge(folder: Folder) -> None:
    """Make the index of the parts, then remove them. Interrupted anywhere, a further call completes it.

    Raises:
        OutputError: a part is missing or damaged, or the index cannot be written.
    """
    if not is_complete(folder):
        _write_index(folder)
    if folder.parts.exists():
        with writing_to(folder.parts):
            shutil.rmtree(folder.parts)


def index_table(folder: Folder) -> Any:
    """The index as an Arrow table; of a run under way, the rows that are done, in their order (possibly none).

    Raises:
        OutputError: a file of it is damaged.
    """
    if not is_complete(folder):
        tables = []
        try:
            tables = list(_tables(folder))
        except FileNotFoundError:
            if not is_complete(folder):  # else they were merged meanwhile
                raise
        if not is_complete(folder):
            pa = arrow_module()
            return pa.concat_tables(tables) if tables else index_schema(Order()).empty_table()
    return _read(folder.index)


def _tables(folder: Folder) -> Iterator[Any]:
    return (_read(folder.part(number)) for number in _parts(folder))


def _write_index(folder: Folder) -> None:
    numbers = _parts(folder)
    missing = next((n for n, number in enumerate(numbers) if n != number), None) if numbers else 0
    if missing is not None:
        raise OutputError(f"{shown(folder.part(missing))}: is missing; give the same command again to have it written")
    made = temporary(folder.path, ".parquet")
    with writing_to(folder.index):
        try:
            with made.open("wb") as file:
                _stream(_tables(folder), file)
            os.replace(made, folder.index)
        finally:
            made.unlink(missing_ok=True)


def _stream(tables: Iterator[Any], file: Any) -> None:
    pa = arrow_module()
    first = next(tables)
    held, count = [first], len(first)
    with _writer(file, first.schema) as writer:
        for table in tables:
            held.append(table)
            count += len(table)
            if count >= ROWS_AT_ONCE:
                writer.write_table(pa.concat_tables(held))
                held, count = [], 0
        if held:
            writer.write_table(pa.concat_tables(held))


def _writer(file: Any, schema: Any) -> Any:
    # All that could differ between two runs is fixed; the schema of Arrow is left out, it makes a small part twice as
    # large and says nothing that Parquet does not
    return arrow_module().parquet.ParquetWriter(
        file, schema, compression="zstd", compression_level=3, version="2.6", store_schema=False
    )


def _parts(folder: Folder) -> list[int]:
    try:
        names = os.listdir(folder.parts)
    except FileNotFoundError:
        return []
    return sorted(int(name.partition(".")[0]) for name in names if _PART.fullmatch(name))


def _read(path: Path) -> Any:
    pa = arrow_module()
    try:
        return pa.parquet.ParquetFile(path).read(use_threads=False)
    except FileNotFoundError:
        raise
    except (pa.lib.ArrowInvalid, OSError):
        raise OutputError(
            f"{shown(path)}: is damaged; remove it, and give the same command again to have it written anew"
        ) from None


def _filled(found: Found) -> dict[str, list[Any]]:
    rows = list(found.block.rows)
    return {"row": rows, "origin": rows, **found.columns}


def _array(pa: Any, values: Sequence[Any], kind: Any) -> Any:
    """A column; its words escaped."""
    text = [escaped(v) if isinstance(v, str) else v for v in values] if pa.types.is_string(kind) else values
    return pa.array(text, kind)
