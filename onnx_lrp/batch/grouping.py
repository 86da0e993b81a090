"""The inputs of blocks as batches for the model, read and decoded ahead of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..explainer import Explainer
from ..writing import shown
from .blocks import Block
from .gathered import Failure, Gathered, gathered
from .inventory import Inventory
from .items import ArraysSource, InputSource, Item, Payload
from .loading import Loader, Prepped

FRONT = 1000  # inputs among which there has to be one that can be explained
DECODERS = 4  # threads: decoding leaves the interpreter to others for most of its time
_AT_ONCE = 8 << 20  # bytes of arrays that are read at once, but at least a batch
_WAITING = 1 << 28  # bytes of inputs of several shapes that wait for others of their shape
Waiting = tuple[int, Item, "Future[Prepped | str] | Prepped | str"]


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
        with ThreadPoolExecutor(DECODERS) as pool:
            for block in blocks:
                items = self.inventory.block(block)
                given = 0 if poisoned else (yield from self._together(block, items))
                if given < len(items):
                    yield from self._one_by_one(block, items, given, poisoned, pool)

    def fed(self, group: Gathered) -> dict[str, np.ndarray]:
        """What the model is fed of a group: always ``size`` samples, where it has an axis for them.

        Raises:
            InputError: it does not fit.
        """
        if not self.loader.batched:
            return self.loader.check(group.feeds)
        if self.loader.fixed is not None:
            return self.loader.check(group.filled(self.size, self.loader.constants))
        return replace(group, feeds=self.loader.check(group.feeds)).filled(self.size)  # errors name its own shape

    def _together(self, block: Block, items: Sequence[Item]) -> Generator[Gathered, None, int]:
        """A block's inputs as long as they are stretches of arrays that fit the model as they are; how many these were.

        The first batch shows how many can be held, and are read at once from there on.
        """
        like, start, step = items[0].target is None, 0, self.size
        if not isinstance(self.source, ArraysSource) or any(i.error or (i.target is None) != like for i in items):
            return 0
        while start < len(items):
            found = self.source.arrays(items[start : start + step])
            feeds = None if found is None else self.loader.as_it_is(found)
            if feeds is None or found is None:
                break
            yield from self._cut(block, items, start, feeds, self.loader.digests(found))
            start += step
            step = self.size * max(1, _AT_ONCE // max(1, sum(a[: self.size].nbytes for a in feeds.values())))
        return start

    def _cut(
        self, block: Block, items: Sequence[Item], start: int, feeds: Mapping[str, np.ndarray], digests: Sequence[str]
    ) -> Iterator[Gathered]:
        """Batches of what lies from ``start`` on."""
        for i in range(0, len(digests), self.size):
            at, part = slice(start + i, start + i + self.size), slice(i, i + self.size)
            cut = {name: a[part] for name, a in feeds.items()}
            yield Gathered(
                block, block.rows[at], items[at], digests[part], cut, last=start + i + self.size >= len(items)
            )  # fmt: skip

    def _one_by_one(
        self, block: Block, items: Sequence[Item], given: int, poisoned: Mapping[int, str], pool: ThreadPoolExecutor
    ) -> Iterator[Gathered]:
        """A block's inputs but for the first, which are given."""
        waiting: dict[object, list[tuple[int, Item, Prepped]]] = {}
        failures: list[Failure] = []
        held, most = 0, 1 if self.loader.constants else self.size  # who has constants of its own is filled up alone
        for row, item, sample in self._loaded(block.rows[given:], items[given:], poisoned, pool):
            if isinstance(sample, str):
                failures.append(Failure(row, item, sample))
                continue
            key = (sample.shape, item.target is not None)
            waiting.setdefault(key, []).append((row, item, sample))
            held += sample.nbytes
            full = [key] if len(waiting[key]) == most else []
            while full or (held > _WAITING and len(waiting) > 1):
                samples = waiting.pop(full.pop() if full else next(iter(waiting)))
                held -= sum(one.nbytes for _, _, one in samples)
                yield gathered(block, samples)
        yield from (gathered(block, samples) for samples in waiting.values())
        yield Gathered(block, failures=failures, last=True)

    def _loaded(
        self, rows: range, items: Sequence[Item], poisoned: Mapping[int, str], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[int, Item, Prepped | str]]:
        """Row by row in order; arrays are made ready here, and files by the pool, a bounded number ahead."""
        named = list(zip(rows, items))
        payloads = self.source.read([item for row, item in named if row not in poisoned and item.error is None])
        ahead: deque[Waiting] = deque()
        for row, item in named:
            reason = poisoned.get(row) or item.error
            ahead.append((row, item, reason or self._begun(item, next(payloads), pool)))
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
            return str(error) or "there is not enough memory to read it"

    def first(self, count: int) -> Sequence[Prepped]:
        """Some samples that can be read and fit the model, from the front.

        Raises:
            InputError: there is none among the first thousand.
        """
        block = Block(0, 0, min(len(self.inventory), FRONT))
        found: list[Prepped] = []
        why = "there is none"
        with ThreadPoolExecutor(1) as pool:
            for row, item, sample in self._loaded(block.rows, self.inventory.block(block), {}, pool):
                error = sample if isinstance(sample, str) else self._unfit(gathered(block, [(row, item, sample)]))
                if error is None and not isinstance(sample, str):
                    found.append(sample)
                elif error is not None:
                    named = repr(item.name)[1:-1] in error  # as errors of files name them, which escapes some letters
                    why = error if named else f"{shown(item.name)}: {error}"
                if len(found) == count:
                    break
        if not found:
            why += getattr(self.source, "advice", "")
            raise InputError(f"none of the first {len(block)} inputs can be explained; the last of them: {why}")
        return found

    def _unfit(self, group: Gathered) -> str | None:
        try:
            self.fed(group)
        except InputError as error:
            return str(error)
        return None


def _ready(one: Waiting) -> tuple[int, Item, Prepped | str]:
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
