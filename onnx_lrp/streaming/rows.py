"""Some samples, with which others they make a batch, and batches of one size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rows:
    """Some samples of a stream.

    Attributes:
        feeds: by input name, with an axis of samples in front.
        count: how many samples there are.
        single: a sample that came alone, and is gathered with those beside it.
        whole: what has no axis of samples: neither gathered, nor cut, nor filled up.
        shared: by input name, what all samples have in common.
        targets: the class that came with each of them, as it was given; none if none came.
        first: the first picture among them, as in :class:`onnx_lrp.pictures.intake.Taken`.
    """

    feeds: Mapping[str, np.ndarray]
    count: int
    single: bool = False
    whole: bool = False
    shared: Mapping[str, np.ndarray] = field(default_factory=dict)
    targets: tuple[Any, ...] = ()
    first: tuple[str, np.ndarray] | None = None

    @property
    def kind(self) -> object:
        """Alike of samples that fit into one batch."""
        shared = {name: (a.shape, a.dtype, a.tobytes()) for name, a in self.shared.items()}
        return shared, {name: (a.shape[1:], a.dtype) for name, a in self.feeds.items()}

    def parts(self, size: int | None) -> Iterator[Rows]:
        """Stretches of at most so many samples, copies: whoever made them may use the memory again."""
        step = size if size is not None and not self.whole else max(self.count, 1)
        for start in range(0, self.count, step):
            some = slice(start, start + step)
            feeds = {name: np.array(a if self.whole else a[some]) for name, a in self.feeds.items()}
            count = min(step, self.count - start)
            yield replace(self, feeds=feeds, count=count, targets=self.targets[some])

    def filled(self, size: int | None) -> Rows:
        """With copies of the last sample up to this size; ``count`` stays."""
        more = 0 if size is None or self.whole else size - self.count
        if more <= 0:
            return self
        feeds = {name: np.concatenate([a, np.repeat(a[-1:], more, axis=0)]) for name, a in self.feeds.items()}
        return replace(self, feeds=feeds, targets=self.targets + self.targets[-1:] * more)


def joined(rows: Sequence[Rows]) -> Rows:
    """Samples of one kind as one batch."""
    feeds = {name: np.concatenate([one.feeds[name] for one in rows]) for name in rows[0].feeds}
    targets = tuple(target for one in rows for target in one.targets)
    return replace(rows[0], feeds=feeds, count=sum(one.count for one in rows), single=False, targets=targets)
