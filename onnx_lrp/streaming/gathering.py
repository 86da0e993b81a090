"""Batches of what an iterator gives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from ..errors import InputError
from .rows import Rows, joined


def batches_of(
    iterable: Iterable[Any], read: Callable[[Any], Rows], size: int, fixed: int | None = None
) -> Generator[Rows, None, None]:
    """The items of ``iterable`` as batches, in their order; the iterator is closed in the end.

    Args:
        iterable: gives samples, or batches of them; may have no end.
        read: makes samples of an item.
        size: how many samples a batch has at most.
        fixed: how many samples a batch always has: what is missing are copies of the last sample.

    Raises:
        InputError: an item that cannot be read, behind the batches of those before it.
        Exception: whatever the iterator raises, likewise.
    """
    iterator = iter(iterable)
    try:
        for batch in _gathered(_numbered(iterator, read), fixed or size):
            yield batch.filled(fixed)
    finally:
        if hasattr(iterator, "close"):
            iterator.close()


def _numbered(iterator: Iterator[Any], read: Callable[[Any], Rows]) -> Iterator[Rows]:
    """The samples of each item; errors say which."""
    for number, item in enumerate(iterator):
        try:
            rows = read(item)
        except InputError as error:
            raise InputError(f"item {number} of the stream: {error}") from error
        yield rows


def _gathered(some: Iterator[Rows], size: int) -> Iterator[Rows]:
    """Single samples together, batches as they come or in parts."""
    pending: list[Rows] = []
    kind: object = None
    try:
        for rows in some:
            if pending and not (rows.single and rows.kind == kind):
                yield joined(pending)
                pending = []
            if not rows.single:
                yield from rows.parts(size)
                continue
            pending.append(rows)
            kind = rows.kind
            if len(pending) == size:
                yield joined(pending)
                pending = []
    except Exception:
        if pending:  # what came before the error is explained before it is raised
            yield joined(pending)
        raise
    if pending:
        yield joined(pending)
