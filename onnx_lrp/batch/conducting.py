"""How a run goes: its folder is locked, the inputs are listed and chosen, the missing blocks are done, and merged."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import BackendError, InputError, OutputError
from ..explainer import Explainer
from ..text import nearest, printable
from ..writing import shown
from .blocks import Block, Done, blocks_of
from .choosing import Choice
from .folder import Folder
from .interrupting import Interrupt
from .inventory import Inventory
from .items import InputSource
from .locking import written_by_us
from .manifest import REMEDY, manifest_of, read_manifest, same_run, write_manifest
from .order import PRECISIONS, SAVED, Order
from .outcome import Outcome, failed_in, first_errors
from .pool import BlockWork, done_by
from .predicting import Predictor
from .progress import Told
from .store.index import done_blocks, is_complete
from .store.store import Store
from .work import Work, sized

PREDICTED_AT_ONCE = 1024  # inputs in a block of the first pass, whose answers are small
ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Run:
    """What is asked for.

    Attributes:
        explainer: what explains.
        source: of the inputs.
        folder: where everything goes.
        order: the arguments of an :class:`Order` but for its batch and block.
        batch: how many samples the model is given at once; None leaves it to us.
        choice: which of the inputs are wanted.
        workers: processes; None is one here, and on a cluster as many as there are processors to spare.
        engine: one of ``ENGINES``.
        once: the source can be listed only once, as what comes through a pipe.
        told: how far it is.
    """

    explainer: Explainer
    source: InputSource
    folder: Folder
    order: dict[str, Any]
    batch: int | None = None
    choice: Choice = field(default_factory=Choice)
    workers: int | None = None
    engine: str = "local"
    once: bool = False
    told: Told = lambda *_: None

    def __post_init__(self) -> None:
        strange = sorted(set(self.order["save"]) - set(SAVED))
        if strange:
            raise InputError(f"--save {_unknown(strange[0], SAVED)}")
        if self.order["precision"] not in PRECISIONS:
            raise InputError(f"--precision {_unknown(self.order['precision'], PRECISIONS)}")
        if self.engine not in ENGINES:
            raise BackendError(f"--engine {_unknown(self.engine, ENGINES)}")
        numbers = {"--batch-size": self.batch, "--workers": self.workers, "--top": self.order["top"]}
        for option, number in numbers.items():
            if number is not None and number < 1:
                raise InputError(f"{option} must be at least 1, not {number}")

    def conduct(self) -> Outcome:
        """Do all of it that is not done yet.

        Raises:
            OutputError: the folder holds something else or another run, somebody else writes it, or it cannot be
                written.
            InputError: the inputs cannot be listed, or are others than before; or a choice that cannot be made.
            KeyboardInterrupt: with a message, after Ctrl-C.
            OnnxLrpError: as for the Explainer; what is done stays done.
        """
        began = time.monotonic()
        read_manifest(self.folder)  # before anything is made in a folder of others
        with written_by_us(self.folder), Interrupt() as interrupt:
            return _Going(self, interrupt).all(began)


@dataclass
class _Going:
    """A run under way."""

    run: Run
    interrupt: Interrupt
    done: int = 0
    failed: int = 0
    total: int = 0
    notes: list[str] = field(default_factory=list)

    def all(self, began: float) -> Outcome:
        manifest, order = self._begun()
        inventory = self._chosen(self._listed(manifest), manifest, order)
        self.total, folder = len(inventory), self.run.folder
        before = self.total if is_complete(folder) else self._blocks_done(inventory, order)
        store = Store(folder, order)
        if not is_complete(folder):
            self._explained(Work(self.run.explainer, self.run.source, order, folder), order)
        store.finish()  # also where an earlier call was stopped in the middle of it
        if folder.predictions.exists():
            shutil.rmtree(folder.predictions, ignore_errors=True)
        failed = failed_in([folder.index])
        return Outcome(
            str(folder.path), self.total, int(manifest["listed"]), failed, before, time.monotonic() - began,
            first_errors(folder.index) if failed else (), tuple(self.notes),
        )  # fmt: skip

    def _begun(self) -> tuple[dict[str, Any], Order]:
        """The manifest, written or found, and the order; batch and block are those of the beginning."""
        run = self.run
        old = read_manifest(run.folder)
        if old is None:
            order = sized(run.explainer, run.source, {**run.order, "batch": run.batch or "auto"})
            new = manifest_of(run.explainer, order, run.choice.as_dict())
            write_manifest(run.folder, new)
            return new, order
        try:
            batch, block = int(old["order"]["batch"]), int(old["order"]["block"])
        except (KeyError, TypeError, ValueError):
            raise OutputError(f"{shown(run.folder.manifest)}: says no batch and block; {REMEDY}") from None
        order = Order(**run.order, batch=run.batch or batch, block=block)
        new = manifest_of(run.explainer, order, run.choice.as_dict())
        self.notes += same_run(old, new, run.folder.path)
        return old, order

    def _listed(self, manifest: dict[str, Any]) -> Inventory:
        """All inputs, or once they are chosen, these; listed again to see that they are the same."""
        folder, source = self.run.folder, self.run.source
        if manifest["listed"] is not None:
            if not self.run.once:
                self._compare(manifest)
            return Inventory.open(folder.inputs)
        if folder.inputs.exists():  # it got its name when it was complete, but the manifest does not know it yet
            inventory = Inventory.open(folder.inputs)
        else:
            inventory = Inventory.write(folder.inputs, source, self._listing)
        manifest.update(listed=len(inventory), inventory_sha256=inventory.sha256)
        if self.run.choice.all:
            manifest["count"] = len(inventory)
        write_manifest(folder, manifest)
        return inventory

    def _compare(self, manifest: dict[str, Any]) -> None:
        folder = self.run.folder
        path = folder.path / f".onnx_lrp-now{folder.inputs.suffix}"
        try:
            now = Inventory.write(path, self.run.source, self._listing)
            if now.sha256 == manifest["inventory_sha256"]:
                return
            raise InputError(
                f"{shown(folder.path)} was begun with {manifest['listed']:,} inputs, and now there are {len(now):,}, "
                f"or others; give the same ones, or {REMEDY}"
            )
        finally:
            path.unlink(missing_ok=True)

    def _listing(self, count: int) -> None:
        self.interrupt.check()
        self.run.told(0, count, 0, "listing")

    def _chosen(self, inventory: Inventory, manifest: dict[str, Any], order: Order) -> Inventory:
        """The inputs of the run. The manifest counts them before they take the place of all others."""
        folder, choice, labels = self.run.folder, self.run.choice, self.run.explainer.labels
        if manifest["count"] == len(inventory):
            return inventory
        choice.check(inventory, labels)
        if choice.only is not None:
            self._predicted(inventory, order)
        rows = choice.rows(inventory, folder, labels)
        manifest["count"] = len(rows)
        write_manifest(folder, manifest)
        return inventory.take(rows, folder.inputs)

    def _predicted(self, inventory: Inventory, order: Order) -> None:
        """The first pass: what is predicted of every input, as far as no earlier call found it."""
        run = self.run
        order = replace(order, block=max(order.block, order.batch, PREDICTED_AT_ONCE))
        run.folder.predictions.mkdir(exist_ok=True)
        stored = {path.name for path in run.folder.predictions.iterdir()}
        blocks = list(blocks_of(len(inventory), order.block))
        missing = [block for block in blocks if f"{block.number:08d}.parquet" not in stored]
        self.total, self.failed = len(inventory), 0
        self.done = self.total - sum(map(len, missing))
        self._through(Predictor(run.explainer, run.source, order, run.folder), iter(missing), "predicting")

    def _blocks_done(self, inventory: Inventory, order: Order) -> int:
        """Inputs of blocks that are done, counted with their failures."""
        stored = done_blocks(self.run.folder)
        self.failed = failed_in(map(self.run.folder.part, stored))
        self.done = sum(len(block) for block in blocks_of(self.total, order.block) if block.number in stored)
        return self.done

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
            for done in self._engine(work, blocks):
                self.done, self.failed = self.done + len(done.block), self.failed + done.failed
                asked = self.interrupt.asked()
                self.run.told(self.done, self.total, self.failed, "stopping" if asked else phase)
                if asked and self.run.engine != "local":  # which cannot be asked to finish what it began
                    break
        except KeyboardInterrupt:
            raise KeyboardInterrupt(self._interrupted(phase)) from None
        if self.interrupt.asked() and self.done < self.total:
            raise KeyboardInterrupt(self._interrupted(phase))

    def _interrupted(self, phase: str) -> str:
        what = "done" if phase == "explaining" else "predicted"
        return f"interrupted: {self.done:,} of {self.total:,} {what}; the same command goes on"

    def _engine(self, work: BlockWork, blocks: Iterator[Block]) -> Iterator[Done]:
        if self.run.engine == "local":
            return done_by(work, blocks, self.run.workers or 1, self.interrupt.asked)
        from ..ray import run_blocks  # takes packages that few have

        found: Iterator[Done] = run_blocks(work, blocks, concurrency=self.run.workers)
        return found


def _unknown(word: str, known: tuple[str, ...]) -> str:
    return f"{printable(word)!r} is none of {', '.join(known)}{nearest(word, known)}"
