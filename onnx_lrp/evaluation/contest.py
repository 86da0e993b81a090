"""One evaluation under way: every method by every measure, each result looked up first and kept at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..model.loading import Source
from .contenders import Contenders
from .measuring import Measure, Measured
from .methods import Attribute
from .resuming import Results, fingerprint
from .subject import Subject

COST = "seconds"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Contest:
    """Everything that the results of one evaluation depend on.

    Attributes:
        model: as the user gave it.
        subject: the model and its inputs.
        contenders: the methods.
        measures: by name.
        results: those that are known.
        base: a fingerprint of all that is the same for all methods.
        progress: what is told how far it is.
    """

    model: Source
    subject: Subject
    contenders: Contenders
    measures: dict[str, Measure]
    results: Results
    base: str
    progress: Progress | None

    def method(self, name: str, before: int) -> dict[str, Measured] | str:
        """All results of one method, and what it costs; or why it has no meaning for the model, if it is not LRP.

        Args:
            name: of the method.
            before: how many methods are done.
        """
        keys = {m: fingerprint(self.base, self.contenders.identity(name), m) for m in (COST, *self.measures)}
        found = {m: known for m, key in keys.items() if (known := self.results.get(key)) is not None}
        done = before * len(keys)
        if len(found) < len(keys):
            self._tell(done + len(found), f"{name}: explaining")
            try:
                contender = self.contenders.build(name, self.model)
                relevance, seconds = self._timed(contender.attribute)
            except InputError as error:
                if name in self.contenders.composites:
                    raise
                return str(error)
            for m in keys:
                if m not in found:
                    self._tell(done + len(found), f"{name}: {m}")
                    cost = Measured({COST: np.array([seconds])})
                    found[m] = cost if m == COST else self.measures[m].ask(contender, relevance)
                    self.results.put(keys[m], found[m])
        self._tell(done + len(keys), name)
        return found

    def _timed(self, attribute: Attribute) -> tuple[np.ndarray, float]:
        """Relevance, and seconds per input; what is made once, with the first two inputs, does not count."""
        x, targets = self.subject.x, self.subject.targets
        attribute(x[:2], targets[:2])
        start = time.perf_counter()
        relevance = attribute(x, targets)
        return relevance, (time.perf_counter() - start) / len(x)

    def _tell(self, done: int, what: str) -> None:
        if self.progress is not None:
            self.progress(done, len(self.contenders.names) * (1 + len(self.measures)), what)
