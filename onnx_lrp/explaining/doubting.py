"""What there is to doubt of explanations, found when somebody asks for it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache as cached
from functools import partial

import numpy as np

from ..checking.observed import alike, seen
from ..checking.preparing import doubted
from ..engines.base import Question
from ..errors import OnnxLrpError
from ..explanation import Explanation
from ..pictures.intake import Taken, Way
from ..propagation.ledger import LedgerEntry
from ..propagation.tape import Feeds
from ..targets import Contrast, Seed
from .builds import Builds
from .known import fitting_labels, way_of


@dataclass(frozen=True)
class Doubted:
    """A batch of which explanations were made, with all that it takes to doubt these."""

    builds: Builds
    taken: Taken
    feeds: dict[str, np.ndarray]
    seed: Seed

    def with_doubts(self, found: Sequence[Explanation]) -> list[Explanation]:
        """The explanations of the batch, each with a way to find its doubts."""
        differ = len(found) > 1 and not isinstance(self.seed, Contrast)  # a margin and its mirror image are alike
        several = cached(partial(alike, found)) if differ else tuple[str, ...]
        prepared = cached(partial(about_pictures, self.builds, self.taken))

        def doubts(explanation: Explanation) -> tuple[str, ...]:
            ask = partial(self._ledger_of_one, explanation)
            return (*prepared(), *several(), *seen(explanation, self.builds.built.plan, self.feeds, ask))

        return [replace(explanation, doubts=partial(doubts, explanation)) for explanation in found]

    def _ledger_of_one(self, explanation: Explanation) -> tuple[LedgerEntry, ...]:
        """The account of the first sample, or of all where inputs have no samples of their own."""
        feeds: Feeds = self.feeds
        count = len(explanation.target)
        alone = all(x.shape[:1] == (count,) for x in feeds.values()) and isinstance(self.seed, str | Contrast)
        with contextlib.suppress(OnnxLrpError):  # a model may not take one sample
            some = {name: x[:1] for name, x in feeds.items()} if alone else feeds
            question = Question([explanation.target[:1] if alone else explanation.target], self.seed, ledger=True)
            with np.errstate(all="ignore"):
                return self.builds.run(some, question)[1][0].entries
        return ()


def about_pictures(builds: Builds, taken: Taken) -> tuple[str, ...]:
    """Whether pictures were prepared as the model expects them."""
    if taken.first is None:
        return ()
    name, pixels = taken.first
    way = way_of(builds)
    return (*([way.warning] if way.warning else []), *about_picture(builds, pixels, name, way))


def about_picture(builds: Builds, pixels: np.ndarray, name: str, way: Way) -> tuple[str, ...]:
    """Why a picture may not be prepared as the model expects it, in a line; it is run in the usual ways for that.

    Args:
        builds: of the model.
        pixels: (H, W, 1) or (H, W, 3), 0 to 255.
        name: the input's.
        way: how it was prepared; what is settled gives no doubt.
    """
    prepared = builds.built.prepared
    value = next(value for value in prepared.inputs if value.name == name)
    if way.settled:
        return ()
    return doubted(prepared, builds.setup.options, value, pixels, way.convention, fitting_labels(builds, None))
