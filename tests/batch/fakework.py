"""A work that sums numbers, and dies of some of them; worker processes import it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onnx_lrp.batch.blocks import Block, Done
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.items import InputSource, Item, Payload
from onnx_lrp.errors import InputError, OutputError


class Killed(BaseException):
    """In place of SIGKILL, where the test's own process works."""


def killed() -> None:
    raise Killed


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class FakeWork:
    """Writes a part with each row's answer.

    Attributes:
        folder: of the run.
        killers: rows that end the process.
        together: blocks that end the process, unless row by row.
        die: ends it.
        seconds: that a block takes.
    """

    folder: Folder
    killers: frozenset[int] = frozenset()
    together: frozenset[int] = frozenset()
    die: Callable[[], None] = killed
    seconds: float = 0.0
    calls: list[str] = field(default_factory=list)

    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        poisoned = poisoned or {}
        self.calls.append(f"{block.number}{'-' if poisoned else ''}")
        time.sleep(self.seconds)
        if block.number in self.together and len(poisoned) < len(block):
            self.die()
        answers = {row: poisoned.get(row) or self._answer(row) for row in block.rows}
        part = self.folder.part(block.number)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.with_suffix(".tmp").write_text(json.dumps([os.getpid(), answers]))
        part.with_suffix(".tmp").rename(part)
        return Done(block, len(poisoned))

    def stream(self, blocks: Iterator[Block]) -> Iterator[Done]:
        yield from map(self, blocks)

    def probe(self, block: Block, journal: Path) -> None:
        self.calls.append(f"probe {block.start}")
        for row in block.rows:
            with journal.open("a") as file:
                file.write(f"{row}\n")
            self._answer(row)

    def _answer(self, row: int) -> int:
        if row in self.killers:
            self.die()
        return row * row


def stored(folder: Folder) -> dict[int, int | str]:
    """All rows' answers."""
    parts = [json.loads(path.read_text())[1] for path in sorted(folder.parts.glob("*.parquet"))]
    return {int(row): answer for part in parts for row, answer in part.items()}


class FullDisk(FakeWork):
    """Cannot write."""

    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        raise OutputError("no space left")


class Elsewhere(FakeWork):
    """Cannot be loaded by a worker."""

    def __setstate__(self, state: dict[str, object]) -> None:
        raise ModuleNotFoundError("No module named 'elsewhere'")


@dataclass
class Watched:
    """A source that takes its time, notes who reads, and may hold a file that kills.

    Attributes:
        inner: the source.
        readers: a folder with a file for each process that has read, called by its number.
        seconds: that each input takes.
        killer: the end of the name of an input that ends the process.
    """

    inner: InputSource
    readers: Path
    seconds: float = 0.0
    killer: str = "/"

    def items(self) -> Iterator[Item]:
        return self.inner.items()

    def read(self, items: Sequence[Item]) -> Iterator[Payload | InputError]:
        (self.readers / str(os.getpid())).touch()
        for item, payload in zip(items, self.inner.read(items)):
            time.sleep(self.seconds)
            if item.name.endswith(self.killer):
                kill()
            yield payload

    def others(self) -> list[int]:
        """The processes that have read, without this one."""
        return [int(path.name) for path in self.readers.iterdir() if int(path.name) != os.getpid()]
