"""Explains blocks of inputs and stores what is found: the same object in this process, in a worker's, on a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError, InvalidModelError, NumericalError, TargetError
from ..explainer import Explainer
from ..explanation import Explanation
from ..streaming.ahead import ahead
from .blocks import Block, Done
from .drawing import draw
from .filling import Filling
from .folder import Folder
from .grouping import Gathered, Reader, reader_of
from .inventory import Inventory
from .items import InputSource
from .order import Order
from .selecting import classes_called
from .store.store import Store

READ_AHEAD = 2  # batches that are decoded and wait for the model
_BEHIND = 4  # things that are found and wait to be written
ONE_ROW = (InputError, TargetError, NumericalError, InvalidModelError, MemoryError)  # what an input alone may cause


class Work:
    """Explains blocks; what it was made of travels when it is pickled, sessions and threads are made where it arrives.

    Args:
        explainer: of the model.
        source: where the inputs lie.
        order: what is wanted.
        folder: the run's, with its inventory written.
    """

    def __init__(self, explainer: Explainer, source: InputSource, order: Order, folder: Folder) -> None:
        self.explainer, self.source, self.order, self.folder = explainer, source, order, folder
        explainer.expects(order.batch)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made on first use."""
        return {name: getattr(self, name) for name in ("explainer", "source", "order", "folder")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.explainer.expects(self.order.batch)

    def begin(self, rows: int) -> None:
        """Make what blocks are stored in, once, before anybody works; what is there stays.

        Args:
            rows: how many inputs the run has.

        Raises:
            OutputError: it cannot be made.
        """
        self._stored.create(rows, self.order.shapes, self.order.output)

    def __call__(self, block: Block, poisoned: Mapping[int, str] | None = None) -> Done:
        """Explain one block, and store it.

        Args:
            block: which.
            poisoned: rows that are not to be touched, and the error that they get.

        Raises:
            OnnxLrpError: not the fault of one input.
        """
        return next(self.stream([block], poisoned))

    def stream(self, blocks: Iterable[Block], poisoned: Mapping[int, str] | None = None) -> Iterator[Done]:
        """Explain blocks in a row, while the next inputs are decoded and what was found is written.

        Raises:
            OnnxLrpError: not the fault of one input; what was stored before stays.
        """
        writing: deque[Future[Done | None]] = deque()
        filling: Filling | None = None
        groups = ahead(self.reader.groups(blocks, poisoned or {}), READ_AHEAD)
        with closing(groups), ThreadPoolExecutor(1) as writer:
            for group in groups:
                filling = filling or Filling(group.block, self.explainer.prepared.explaining, self.order)
                filling.fail(group.failed)
                for some, explanation in self._explained(group, filling):
                    filling.add(some, explanation)
                    if self.order.save & {"png", "figure"}:
                        writing.append(writer.submit(draw, explanation, some.rows, some.items, self.order, self.folder))
                if group.last:
                    writing.append(writer.submit(self._store, filling))
                    filling = None
                while writing and (writing[0].done() or len(writing) > _BEHIND):
                    yield from _done(writing.popleft())
            while writing:
                yield from _done(writing.popleft())

    def probe(self, block: Block, journal: Path) -> None:
        """Explain a block's rows one at a time and keep nothing: the row that was noted last kills whoever explains it.

        Args:
            block: which.
            journal: a file that gets every row's number before it is read.
        """
        for row in block.rows:
            journal.write_text(str(row))
            for group in self.reader.groups([Block(block.number, row, row + 1)], {}):
                for _ in self._explained(group, Filling(group.block, self.explainer.prepared.explaining, self.order)):
                    pass

    @cached_property
    def reader(self) -> Reader:
        """Reads the inputs."""
        return reader_of(self.explainer, self.source, Inventory.open(self.folder.inputs), self.order.batch)

    @cached_property
    def _stored(self) -> Store:
        return Store(self.folder, self.order)

    def _store(self, filling: Filling) -> Done:
        return self._stored.write(filling.found(self.reader.inventory.origins(filling.block)))

    def _explained(self, group: Gathered, filling: Filling) -> Iterator[tuple[Gathered, Explanation]]:
        """A group's samples with their explanation; one by one, if together they give an error."""
        if not group.rows:
            return
        try:
            yield group, self._explain(group)
        except ONE_ROW as error:
            if len(group.rows) == 1:
                reason = str(error) or "not enough memory to explain it"
                filling.fail([(group.rows[0], group.items[0], reason)], group.samples[0].sha256)
                return
            for i in range(len(group.rows)):
                yield from self._explained(group.part(i), filling)

    def _explain(self, group: Gathered) -> Explanation:
        loader = self.reader.loader
        feeds = loader.check(group.feeds(self.order.batch, loader.batched))
        return self.explainer(feeds, self._targets(group), seed=self.order.seed)

    def _targets(self, group: Gathered) -> Any:
        """Those of the samples, where they have some: the group's samples all have, or none has."""
        if group.items[0].target is None:
            return self.order.target
        own = [_index(item.target or "", self.explainer.labels) for item in group.items]
        if not self.reader.loader.batched:
            return own[0]
        return [*own, *[own[-1]] * (self.order.batch - len(own))]


def _index(text: str, labels: Sequence[str]) -> int:
    """A class, given by its label or index.

    Raises:
        InputError: there is no such class, or several.
    """
    first, *others = sorted(classes_called(text, labels, "target"))
    if others:
        raise InputError(f"target {text!r} is the name of the classes {first} and {others[0]}; give an index")
    return first


def _done(one: Future[Done | None]) -> Iterator[Done]:
    found = one.result()
    if found is not None:
        yield found
