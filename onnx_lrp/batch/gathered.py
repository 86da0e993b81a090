"""Inputs that the model is given together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from .blocks import Block
from .items import Item
from .loading import Prepped


@dataclass(frozen=True)
class Failure:
    """An input that has no answer: its row, what it is, why, and the hash of what it holds, if that is known."""

    row: int
    item: Item
    reason: str
    sha256: str | None = None


@dataclass(frozen=True)
class Gathered:
    """Inputs of a block that go together.

    Attributes:
        block: which.
        rows: their rows in the run.
        items: what they are.
        digests: SHA-256 of what each holds.
        feeds: what the model is fed, with one row for each input, if it has an axis of samples.
        failures: others of the block, that cannot be read.
        last: whether the block ends with it.
    """

    block: Block
    rows: Sequence[int] = ()
    items: Sequence[Item] = ()
    digests: Sequence[str] = ()
    feeds: dict[str, np.ndarray] = field(default_factory=dict)
    failures: Sequence[Failure] = ()
    last: bool = False

    def halves(self) -> tuple[Gathered, Gathered]:
        """Two groups of its inputs: so few calls find those that give an error. It has several."""
        middle = len(self.rows) // 2
        first, second = (self._some(part) for part in (slice(None, middle), slice(middle, None)))
        return first, second

    def _some(self, part: slice) -> Gathered:
        feeds = {name: a[part] for name, a in self.feeds.items()}
        return Gathered(self.block, self.rows[part], self.items[part], self.digests[part], feeds)

    def filled(self, size: int, constants: Collection[str] = ()) -> dict[str, np.ndarray]:
        """What the model is fed: always so many, the last one repeated, if it has an axis of samples.

        Always as many, since the last digits of an answer depend on how many samples there were.

        Args:
            size: how many.
            constants: inputs that have no axis of samples.
        """
        lacking = size - len(self.rows)
        if not lacking:
            return self.feeds
        return {
            name: a if name in constants else np.concatenate([a, np.repeat(a[-1:], lacking, 0)])
            for name, a in self.feeds.items()
        }

    def failed(self, error: BaseException | str) -> list[Failure]:
        """All of its inputs, for one reason."""
        reason = str(error) or "there is not enough memory to explain it"
        return [Failure(row, item, reason, sha) for row, item, sha in zip(self.rows, self.items, self.digests)]


def gathered(block: Block, samples: Sequence[tuple[int, Item, Prepped]]) -> Gathered:
    """Samples of one shape."""
    rows, items, prepped = (list(some) for some in zip(*samples))
    first = prepped[0].feeds
    feeds = first if len(rows) == 1 else {name: np.concatenate([one.feeds[name] for one in prepped]) for name in first}
    return Gathered(block, rows, items, [one.sha256 for one in prepped], feeds)
