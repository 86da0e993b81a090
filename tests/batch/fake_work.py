"""Stand-ins for what explains: they write a part that says who wrote it, and die where they are told to."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from onnx_lrp.batch.blocks import Block, Done


@dataclass
class FakeWork:
    """Writes one JSON file for every block.

    Attributes:
        folder: where.
        deadly: rows that kill whoever reads them.
        once: a block that kills the first process that has it.
        failing: a block that raises ``error``.
        seconds: that a block takes.
    """

    folder: Path
    deadly: tuple[int, ...] = ()
    once: int = -1
    failing: int = -1
    error: Exception = field(default_factory=lambda: OSError(28, "No space left on device"))
    seconds: float = 0.0

    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        poisoned = poisoned or {}
        (self.folder / f"pid-{os.getpid()}").touch()
        if block.number == self.failing:
            raise self.error
        if block.number == self.once and not (self.folder / "died").exists():
            (self.folder / "died").touch()
            _die()
        time.sleep(self.seconds)
        for row in block.rows:
            if row in self.deadly and row not in poisoned:
                _die()
        rows = {row: poisoned.get(row) for row in block.rows}
        (self.folder / f"{block.number:08d}.json").write_text(json.dumps({"pid": os.getpid(), "rows": rows}))
        return Done(block, len(poisoned))

    def stream(self, blocks: Iterable[Block]) -> Iterator[Done]:
        return map(self, blocks)

    def probe(self, block: Block, journal: Path) -> None:
        with journal.open("a") as file:
            for row in block.rows:
                print(row, file=file, flush=True)
                if row in self.deadly:
                    _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
