"""A run is cut into blocks of consecutive inputs; each is done when its part of the index has its name."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .folder import Folder


@dataclass(frozen=True)
class Block:
    """The inputs ``start`` to ``stop`` (excluded) of a run, by their row."""

    number: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def rows(self) -> range:
        """The rows of its inputs."""
        return range(self.start, self.stop)


@dataclass(frozen=True)
class Done:
    """A block that is stored: how many inputs it had, and how many of them have an error in place of an answer."""

    block: Block
    failed: int


def blocks_of(count: int, size: int) -> Iterator[Block]:
    """All of a run of ``count`` inputs."""
    for number, start in enumerate(range(0, count, size)):
        yield Block(number, start, min(start + size, count))


class BlockWork(Protocol):
    """What is done with every block, in whichever process: it can be pickled."""

    folder: Folder

    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        """Do one and store it; the ``poisoned`` rows get their error without being read."""

    def stream(self, blocks: Iterable[Block]) -> Generator[Done, None, None]:
        """Do many, in their order, with reading, computing and writing side by side."""

    def probe(self, block: Block, journal: Path) -> None:
        """Go through a block's rows, each noted in the journal before it begins; nothing is stored."""
