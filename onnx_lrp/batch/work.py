"""Explains blocks of inputs and stores what is found: the same object in this process, in a worker's, on a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import BackendError, ConversionError, InputError, InvalidModelError, NumericalError, TargetError
from ..explainer import Explainer
from ..explanation import Explanation
from ..streaming.ahead import ahead
from ..streaming.lanes import in_order
from .answers import Answers, answers_of, answers_of_failures, require_shapes
from .blocks import Block, Done
from .drawing import DRAWN, draw
from .filling import Filling
from .folder import Folder
from .gathered import Gathered
from .grouping import Reader, reader_of
from .inventory import Inventory
from .items import InputSource
from .order import Order
from .selecting import classes_called
from .store.store import Store

READ_AHEAD = 2  # batches that are decoded and wait for the model
_BEHIND = 2  # blocks that are found and wait to be written
# What an input alone may cause: a backend says by its own error that memory runs out, or that it lacks such sizes
ONE_INPUT = (
    InputError, TargetError, NumericalError, InvalidModelError, ConversionError, BackendError, MemoryError
)  # fmt: skip


@dataclass
class Work:
    """Explains blocks; what it was made of travels when it is pickled, sessions and threads are made where it arrives.

    Attributes:
        explainer: of the model.
        source: where the inputs lie.
        order: what is wanted.
        folder: the run's, with its inventory written.
        lanes: batches that are explained at once, each by a thread of its own.
    """

    explainer: Explainer
    source: InputSource
    order: Order
    folder: Folder
    lanes: int = 1

    def __post_init__(self) -> None:
        self.explainer.expects(self.order.batch)

    def __reduce__(self) -> tuple[type[Work], tuple[Any, ...]]:
        return type(self), (self.explainer, self.source, self.order, self.folder, self.lanes)

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

    def stream(self, blocks: Iterable[Block], poisoned: Mapping[int, str] | None = None) -> Generator[Done, None, None]:
        """Explain blocks in a row, while the next inputs are decoded and what was found is written.

        Raises:
            OnnxLrpError: not the fault of one input; what was stored before stays.
        """
        writing: deque[Future[Done]] = deque()
        filling: Filling | None = None
        groups = ahead(self.reader.groups(blocks, poisoned or {}), READ_AHEAD)
        answered = in_order(groups, self.answers, self.lanes)
        with closing(groups), ThreadPoolExecutor(1) as writer, closing(answered):
            for group, answers in answered:
                filling = filling or Filling(group.block, self.order)
                for some in answers:
                    filling.add(some)
                if group.last:
                    writing.append(writer.submit(self._store, filling))
                    filling = None
                while writing and (writing[0].done() or len(writing) > _BEHIND):
                    yield writing.popleft().result()
            while writing:
                yield writing.popleft().result()

    def probe(self, block: Block, journal: Path) -> None:
        """Explain a block's rows one at a time and keep nothing: the row that was noted last kills whoever explains it.

        Args:
            block: which.
            journal: a file that gets every row's number before it is read.
        """
        for row in block.rows:
            journal.write_text(str(row))
            for group in self.reader.groups([Block(block.number, row, row + 1)], {}):
                self.answers(group)

    def answers(self, group: Gathered) -> list[Answers]:
        """What a group gives; those that give an error are found by halving. Pictures are drawn on the way."""
        failed = [answers_of_failures(group.failures)] if group.failures else []
        return [*failed, *(self._answers(group) if group.rows else ())]

    def _answers(self, group: Gathered) -> list[Answers]:
        try:
            explanation = self._explain(group)
            found = answers_of(explanation, group, self.explainer.prepared.explaining, self.order)
        except ONE_INPUT as error:
            if len(group.rows) == 1:
                return [answers_of_failures(group.failed(error))]
            return [answers for half in group.halves() for answers in self._answers(half)]
        if self.order.save & DRAWN:
            draw(explanation, group, self.order, self.folder)
        return [found]

    def _explain(self, group: Gathered) -> Explanation:
        feeds = self.reader.fed(group)
        require_shapes(feeds, self.explainer.prepared.explaining, self.order)
        return self.explainer(feeds, self._targets(group), seed=self.order.seed)

    def _targets(self, group: Gathered) -> Any:
        """Those of the inputs, where they have some: all of a group have, or none has."""
        if group.items[0].target is None:
            return self.order.target
        own = [_index(item.target or "", self.explainer.labels) for item in group.items]
        if not self.reader.loader.batched:
            return own[0]
        return [*own, *[own[-1]] * (self.order.batch - len(own))]

    @cached_property
    def reader(self) -> Reader:
        """Reads the inputs."""
        return reader_of(self.explainer, self.source, Inventory.open(self.folder.inputs), self.order.batch)

    @cached_property
    def _stored(self) -> Store:
        return Store(self.folder, self.order)

    def _store(self, filling: Filling) -> Done:
        return self._stored.write(filling.found(self.reader.inventory.origins(filling.block)))


def _index(text: str, labels: Sequence[str]) -> int:
    """A class, given by its label or index.

    Raises:
        InputError: there is no such class, or several.
    """
    first, *others = sorted(classes_called(text, labels, "target"))
    if others:
        raise InputError(f"target {text!r} is the name of the classes {first} and {others[0]}; give an index")
    return first
