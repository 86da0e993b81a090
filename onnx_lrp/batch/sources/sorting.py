"""Names in their order, however many there are."""

from __future__ import annotations

import heapq
import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

_SORTED_AT_ONCE = 20_000  # names that are held and sorted at once
_READ_AT_ONCE = 1 << 14  # bytes of each sorted chunk that are held while they are merged


class SortedNames:
    """File names to be gone through in their order; beyond 20 000 they lie in a temporary file."""

    def __init__(self) -> None:
        self._some: list[bytes] = []
        self._spilled: IO[bytes] | None = None
        self._chunks: list[tuple[int, int]] = []

    def add(self, name: str) -> None:
        """One more name."""
        self._some.append(os.fsencode(name))
        if len(self._some) == _SORTED_AT_ONCE:
            self._spill()

    def __iter__(self) -> Iterator[str]:
        self._some.sort()
        names = heapq.merge(*(self._chunk(*bounds) for bounds in self._chunks), self._some)
        return map(os.fsdecode, names)

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, self._spilled.close)
        start = self._spilled.seek(0, os.SEEK_END)
        self._some.sort()
        self._spilled.write(b"\0".join(self._some) + b"\0")  # no file name holds a NUL
        self._chunks.append((start, self._spilled.tell()))
        self._some.clear()

    def _chunk(self, start: int, stop: int) -> Iterator[bytes]:
        file, rest = self._spilled, b""
        while file is not None and start < stop:
            file.seek(start)
            piece = file.read(min(_READ_AT_ONCE, stop - start))
            start += len(piece)
            *whole, rest = (rest + piece).split(b"\0")
            yield from whole
