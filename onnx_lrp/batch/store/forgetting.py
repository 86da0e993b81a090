"""Blocks are forgotten, so that they are done again; what was found of all others stays."""

from __future__ import annotations

import shutil
from collections.abc import Collection

from ..blocks import blocks_of
from ..folder import Folder
from ..order import Order
from .files import writing_to
from .index import index_schema, index_table, is_complete, write_rows


def forget(folder: Folder, order: Order, numbers: Collection[int]) -> None:
    """Remove these blocks from the index, which is in parts afterwards. Interrupted anywhere, a further call does it.

    Raises:
        OutputError: the index is damaged, or it cannot be written.
    """
    if is_complete(folder):
        _divide(folder, order, numbers)
        with writing_to(folder.index):
            folder.index.unlink()  # last, since as long as it is there the parts count for nothing
    with writing_to(folder.parts):
        for number in numbers:
            folder.part(number).unlink(missing_ok=True)


def _divide(folder: Folder, order: Order, left_out: Collection[int]) -> None:
    """Parts of a merged index, as they were before."""
    table, schema = index_table(folder), index_schema(order)
    shutil.rmtree(folder.parts, ignore_errors=True)  # of a merge that was interrupted
    for block in blocks_of(len(table), order.block):
        if block.number not in left_out:
            write_rows(table.slice(block.start, len(block)).to_pydict(), folder.part(block.number), schema)
