"""How a run goes: its folder is locked, the inputs are listed and chosen, the missing blocks are done, and merged."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import OutputError
from .asked import Run, in_lanes, on_fallback
from .beginning import begun
from .blocks import Block, BlockWork, Done, blocks_of
from .interrupting import Interrupt
from .inventory import Inventory
from .locking import written_by_us
from .manifest import former_run, write_manifest
from .order import Order
from .outcome import Outcome, failed_in, first_errors
from .pool import done_by
from .predicting import Predictor
from .progress import LISTING
from .store.index import done_blocks, is_complete
from .store.store import Store
from .work import Work

PREDICTED_AT_ONCE = 1024  # inputs in a block of the first pass, whose answers are small


def conduct(run: Run) -> Outcome:
    """Do all of it that is not done yet.

    Raises:
        OutputError: the folder holds something else or another run, somebody else writes it, or it cannot be
            written.
        InputError: the inputs cannot be listed, or are others than before; or a selection that cannot be made.
        KeyboardInterrupt: with a message, after Ctrl-C.
        OnnxLrpError: as for the Explainer; what is done stays done.
    """
    began = time.monotonic()
    former_run(run.folder)  # before anything is made in a folder of others
    with written_by_us(run.folder), Interrupt() as interrupt:
        return _Going(in_lanes(run), interrupt).all(began)


@dataclass
class _Going:
    """A run under way."""

    run: Run
    interrupt: Interrupt
    done: int = 0
    failed: int = 0
    total: int = 0

    def all(self, began: float) -> Outcome:
        start = begun(self.run, self._listing)
        self.run = on_fallback(replace(self.run, explainer=start.explainer))
        manifest, order = start.manifest, start.order
        inventory = self._chosen(start.inventory, manifest, order)
        self.total, folder = len(inventory), self.run.folder
        before = self.total if is_complete(folder) else self._blocks_done(inventory, order)
        store = Store(folder, order)
        if not is_complete(folder):
            self._explained(Work(self.run.explainer, self.run.source, order, folder, self.run.lanes), order)
        store.finish()  # also where an earlier call was stopped in the middle of it
        if folder.predictions.exists():
            shutil.rmtree(folder.predictions, ignore_errors=True)
        failed = failed_in([folder.index])
        return Outcome(
            str(folder.path), self.total, int(manifest["listed"]), failed, before, time.monotonic() - began,
            first_errors(folder.index) if failed else (), tuple(start.notes),
        )  # fmt: skip

    def _listing(self, count: int) -> None:
        self.interrupt.check()
        self.run.told(0, count, 0, LISTING)

    def _chosen(self, inventory: Inventory, manifest: dict[str, Any], order: Order) -> Inventory:
        """The inputs of the run. The manifest counts them before they take the place of all others."""
        folder, selection, labels = self.run.folder, self.run.selection, self.run.explainer.labels
        if manifest.get("count") == len(inventory):
            return inventory
        selection.check(inventory, labels, math.prod(order.output))
        if selection.only is not None:
            self._predicted(inventory, order)
        rows = selection.rows(inventory, folder, labels)
        manifest["count"] = len(rows)
        write_manifest(folder, manifest)
        return inventory.take(rows, folder.inputs)

    def _predicted(self, inventory: Inventory, order: Order) -> None:
        """The first pass: what is predicted of every input, as far as no earlier call found it."""
        run = self.run
        order = replace(order, block=max(order.block, order.batch, PREDICTED_AT_ONCE))
        run.folder.predictions.mkdir(exist_ok=True)
        self._count_failures(sorted(run.folder.predictions.glob("[0-9]*.parquet")))
        stored = {path.name for path in run.folder.predictions.iterdir()}
        blocks = list(blocks_of(len(inventory), order.block))
        missing = [block for block in blocks if f"{block.number:08d}.parquet" not in stored]
        self.total = len(inventory)
        self.done = self.total - sum(map(len, missing))
        self._through(Predictor(run.explainer, run.source, order, run.folder, run.lanes), iter(missing), "predicting")

    def _blocks_done(self, inventory: Inventory, order: Order) -> int:
        """Inputs of blocks that are done, counted with their failures."""
        self._count_failures(map(self.run.folder.part, done_blocks(self.run.folder)))
        stored = done_blocks(self.run.folder)
        self.done = sum(len(block) for block in blocks_of(self.total, order.block) if block.number in stored)
        return self.done

    def _count_failures(self, parts: Iterable[Path]) -> None:
        """Of these parts alone; what a power cut left of a part goes."""
        self.failed = 0
        for part in parts:
            try:
                self.failed += failed_in([part])
            except OutputError:
                part.unlink()

    def _explained(self, work: Work, order: Order) -> None:
        stored = done_blocks(self.run.folder)
        work.begin(self.total)
        missing = (block for block in blocks_of(self.total, order.block) if block.number not in stored)
        self._through(work, missing, "explaining")

    def _through(self, work: BlockWork, blocks: Iterator[Block], phase: str) -> None:
        """Every block; interrupted, what is under way is finished first.

        Raises:
            KeyboardInterrupt: there was a Ctrl-C.
        """
        self.run.told(self.done, self.total, self.failed, phase)
        try:
            with closing(self._engine(work, blocks)) as engine:
                self._heard(engine, phase)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted(phase)) from None
        if self.interrupt.asked() and self.done < self.total:
            raise KeyboardInterrupt(self._interrupted(phase))

    def _heard(self, engine: Iterator[Done], phase: str) -> None:
        for done in engine:
            self.done, self.failed = self.done + len(done.block), self.failed + done.failed
            asked = self.interrupt.asked()
            self.run.told(self.done, self.total, self.failed, "stopping" if asked else phase)
            if asked and self.run.engine != "local":  # which cannot be asked to finish what it began
                break

    def _interrupted(self, phase: str) -> str:
        what = "done" if phase == "explaining" else "predicted"
        return f"interrupted: {self.done:,} of {self.total:,} {what}; the same command goes on"

    def _engine(self, work: BlockWork, blocks: Iterator[Block]) -> Generator[Done, None, None]:
        if self.run.engine == "local":
            return done_by(work, blocks, self.run.workers or 1, self.interrupt.asked)
        from ..ray import run_blocks  # takes packages that few have

        found: Generator[Done, None, None] = run_blocks(work, blocks, concurrency=self.run.workers)
        return found
