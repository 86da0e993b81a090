"""The inputs of blocks as batches for the model, decoded by a few threads ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from ..explainer import Explainer
from .blocks import Block
from .inventory import Inventory
from .items import InputSource, Item, Payload
from .loading import Loader, Prepped

DECODERS = 4  # threads: decoding leaves the interpreter to others for most of its time
Failed = tuple[int, Item, str]


@dataclass(frozen=True)
class Gathered:
    """Samples of a block that the model is given together.

    Attributes:
        block: which.
        rows: their rows in the run.
        items: what they are called.
        samples: what they hold.
        failed: rows, items and reasons of others that cannot be read.
        last: whether the block ends with it.
    """

    block: Block
    rows: list[int] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    samples: list[Prepped] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    last: bool = False

    def part(self, i: int) -> Gathered:
        """One sample alone."""
        return Gathered(self.block, self.rows[i : i + 1], self.items[i : i + 1], self.samples[i : i + 1])

    def feeds(self, size: int, batched: bool) -> dict[str, np.ndarray]:
        """What the model is fed: always ``size`` samples, the last one repeated, if it has an axis of samples.

        Always as many, since the last digits of an answer depend on how many samples there were.
        """
        if not batched:
            return self.samples[0].feeds
        filled = [*self.samples, *[self.samples[-1]] * (size - len(self.samples))]
        return {name: np.concatenate([sample.feeds[name] for sample in filled]) for name in filled[0].feeds}


@dataclass(frozen=True)
class Reader:
    """Reads blocks.

    Attributes:
        source: where the inputs lie.
        inventory: what they are.
        loader: makes samples.
        size: how many go together.
    """

    source: InputSource
    inventory: Inventory
    loader: Loader
    size: int

    def groups(self, blocks: Iterable[Block], poisoned: Mapping[int, str]) -> Iterator[Gathered]:
        """Every block as groups of samples of one shape, with or without targets of their own; the last one says so.

        Args:
            blocks: which.
            poisoned: rows that are not to be read, and why.
        """
        with ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(DECODERS))
            for block in blocks:
                yield from self._of_block(block, poisoned, pool)

    def _of_block(self, block: Block, poisoned: Mapping[int, str], pool: ThreadPoolExecutor) -> Iterator[Gathered]:
        waiting: dict[object, Gathered] = {}
        failed: list[Failed] = []
        for row, item, sample in self._loaded(block, poisoned, pool):
            if isinstance(sample, str):
                failed.append((row, item, sample))
                continue
            key = (sample.shape, item.target is not None)
            group = waiting.setdefault(key, Gathered(block))
            group.rows.append(row)
            group.items.append(item)
            group.samples.append(sample)
            if len(group.rows) == self.size:
                yield waiting.pop(key)
        yield from waiting.values()
        yield Gathered(block, failed=failed, last=True)

    def _loaded(
        self, block: Block, poisoned: Mapping[int, str], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[int, Item, Prepped | str]]:
        """Row by row in order; arrays are made ready here, and files by the pool, a bounded number ahead."""
        items = self.inventory.block(block)
        named = list(zip(block.rows, items))
        readable = [item for row, item in named if row not in poisoned and item.error is None]
        payloads = self.source.read(readable)
        ahead: deque[tuple[int, Item, Future[Prepped | str] | Prepped | str]] = deque()
        for row, item in named:
            reason = poisoned.get(row) or item.error
            begun = reason or self._begun(item, next(payloads), pool)
            if not ahead and not isinstance(begun, Future):
                yield row, item, begun
                continue
            ahead.append((row, item, begun))
            if len(ahead) > 2 * DECODERS:
                yield _ready(ahead.popleft())
        yield from map(_ready, ahead)

    def _begun(
        self, item: Item, payload: Payload | InputError, pool: ThreadPoolExecutor
    ) -> Future[Prepped | str] | Prepped | str:
        if isinstance(payload, InputError):
            return str(payload)
        if isinstance(payload.data, bytes):
            return pool.submit(self._load, item, payload)
        return self._load(item, payload)

    def _load(self, item: Item, payload: Payload) -> Prepped | str:
        try:
            return self.loader.load(item, payload)
        except (InputError, MemoryError) as error:
            return str(error) or "not enough memory to read it"

    def first(self, count: int) -> Sequence[Prepped]:
        """Some samples that can be read, from the front.

        Raises:
            InputError: there is none among the first thousand.
        """
        most = min(len(self.inventory), 1000)
        found: list[Prepped] = []
        why = "there is none"
        with ThreadPoolExecutor(1) as pool:
            for _, item, sample in self._loaded(Block(0, 0, most), {}, pool):
                if isinstance(sample, str):
                    why = f"{item.name}: {sample}" if item.name not in sample else sample
                else:
                    found.append(sample)
                if len(found) == count:
                    break
        if not found:
            raise InputError(f"none of the first {most} inputs can be read; the last of them: {why}")
        return found


def _ready(one: tuple[int, Item, Future[Prepped | str] | Prepped | str]) -> tuple[int, Item, Prepped | str]:
    row, item, sample = one
    return row, item, sample.result() if isinstance(sample, Future) else sample


def reader_of(explainer: Explainer, source: InputSource, inventory: Inventory, size: int) -> Reader:
    """What reads a model's inputs.

    Args:
        explainer: of the model.
        source: where they lie.
        inventory: what they are.
        size: how many go together.
    """
    prepared = explainer.prepared
    loader = Loader(prepared.inputs, explainer.way.convention.preprocessing, prepared.source)
    return Reader(source, inventory, loader, size)
