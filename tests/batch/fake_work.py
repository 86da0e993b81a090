"""Stand-ins for what explains: they write a part that says who wrote it, and die where they are told to."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from onnx_lrp.batch.blocks import Block, Done
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.found import Found
from onnx_lrp.batch.inventory import Inventory
from onnx_lrp.batch.order import Order
from onnx_lrp.batch.store.index import write_rows
from onnx_lrp.batch.store.store import Store


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
        yield from map(self, blocks)

    def probe(self, block: Block, journal: Path) -> None:
        with journal.open("a") as file:
            for row in block.rows:
                print(row, file=file, flush=True)
                if row in self.deadly:
                    _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class FakeExplaining:
    """In place of Work: its rows say what was asked; an input whose name holds "bad" has an error.

    Attributes: as of Work; ``seconds`` a block takes, ``stop_at`` is the block that sends a SIGINT to this process.
    """

    explainer: object
    source: object
    order: Order
    folder: Folder
    lanes: int = 1
    seconds: float = 0.0
    stop_at: int = -1

    def __reduce__(self) -> tuple[type[FakeExplaining], tuple[object, ...]]:  # the explainer would take its time
        return type(self), (None, self.source, self.order, self.folder, 1, self.seconds, self.stop_at)

    def begin(self, rows: int) -> None:
        assert len(Inventory.open(self.folder.inputs)) == rows
        Store(self.folder, self.order).create(rows, {})

    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        time.sleep(self.seconds)
        if block.number == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        items = Inventory.open(self.folder.inputs).block(block)
        columns = {
            "input": [item.name for item in items], "label": [item.label for item in items],
            "origin": Inventory.open(self.folder.inputs).origins(block),
            "error": ["cannot be read" if "bad" in item.name else None for item in items],
        }  # fmt: skip
        return Store(self.folder, self.order).write(Found(block, columns))

    def stream(self, blocks: Iterable[Block]) -> Iterator[Done]:
        yield from map(self, blocks)

    def probe(self, block: Block, journal: Path) -> None:
        raise AssertionError("nothing died")


@dataclass
class FakePredicting(FakeExplaining):
    """In place of the Predictor: the class is the number in the input's name."""

    def begin(self, rows: int) -> None:
        raise AssertionError("a first pass stores no maps")

    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        import pyarrow as pa

        with (self.folder.path / "passes").open("a") as file:
            file.write(f"{block.number}\n")
        items = Inventory.open(self.folder.inputs).block(block)
        bad = ["bad" in item.name for item in items]
        columns = {
            "row": list(block.rows),
            "prediction": [None if b else int(Path(item.name).stem.split("-")[1]) for b, item in zip(bad, items)],
            "probability": [None if b else 0.5 for b in bad],
            "error": ["cannot be read" if b else None for b in bad],
        }
        kinds = {"row": pa.int64(), "prediction": pa.int64(), "probability": pa.float64(), "error": pa.string()}
        path = self.folder.predictions / self.folder.part(block.number).name
        write_rows(columns, path, pa.schema(list(kinds.items())))
        return Done(block, sum(bad))


def fake_sizes(order: Order, explainer: object, source: object, inventory: object, batch: int | None) -> Order:
    """In place of sizing.with_sizes: two inputs at once, four in a block."""
    return replace(order, batch=batch or 2, block=4, output=(10,))
