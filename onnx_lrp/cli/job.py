"""What ``onnx-lrp explain`` computes: the explanations of every batch, and what there is to doubt of them."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..checking.lattice import LATTICE
from ..checking.warnings import unused_bounds
from ..explainer import Explainer
from ..explanation import Explanation
from ..propagation.unbounded import unknown_bounds
from ..targets import Region, Seed, as_region
from ..text import printable, under
from ..writing import Outputs
from . import results
from .drawing import FigureStyle
from .feeding import Batch
from .naming import OutputPaths
from .texts import Texts

Style = results.HeatmapStyle | FigureStyle


@dataclass(frozen=True)
class Job:
    """What a run consists of; ``style`` is None where nothing is to be drawn, ``others`` explain by more composites."""

    args: Namespace
    explainer: Explainer
    others: tuple[Explainer, ...]
    labels: results.Labels
    target: Any
    seed: Seed
    style: Style | None
    outputs: Outputs
    names: OutputPaths
    texts: Texts

    @property
    def region(self) -> Region | None:
        """The target, if it is no single element."""
        return as_region(self.target) if self.names.top == 1 else None

    def about(self) -> Iterator[str]:
        """What explained what, and with -v how the model was rewritten and which rule goes where."""
        e = self.explainer
        rules = ", ".join(one.composite.name for one in (e, *self.others))
        how = f"{rules}{under(str(e.prepared.profile))} ({e.engine.name}, {e.engine.dtype.name})"
        yield f"{e.prepared.source}: explains {printable(e.prepared.output)!r} by {how}"
        yield from (f"note: {note}" for note in e.prepared.assumptions())
        yield from (f"note: {note}" for note in unknown_bounds(e.plan))
        if self.args.verbose:
            yield from (f"note: {note}" for note in e.prepared.notes)
            yield from str(e.composite).splitlines()

    def warnings(self, found: list[list[Explanation]]) -> list[str]:
        """What gives reason to doubt the results: of each kind one, since numbers differ from batch to batch."""
        plans = [e.plan for e in (self.explainer, *self.others)]
        lines = [line for plan in plans for line in unused_bounds(plan)]
        lines += [
            line for ranks in found for e in ranks for line in e.warnings if not (self.args.smooth and LATTICE in line)
        ]
        kinds = {re.sub(r"[\d.e+-]+", "", line)[:40]: line for line in reversed(lines)}
        return list(reversed(kinds.values()))

    def explained(self, batches: list[Batch]) -> list[list[Explanation]]:
        """Check what can be written, then explain every batch."""
        for batch in batches:
            self._reserve_numbers(batch)
            if self.names.together or self.names.top == 1:
                self._reserve_pictures(batch, None)
        return [self._explain(batch) for batch in batches]

    def _reserve_numbers(self, batch: Batch) -> None:
        for rank in range(self.names.top + len(self.others) if self.names.relevance else 0):
            self.outputs.reserve(self.names.numbers(batch, rank))

    def _reserve_pictures(self, batch: Batch, targets: np.ndarray | None) -> None:
        """``targets``, shape (samples, ranks), is needed where the names hold the class."""
        for i, sample in enumerate(batch.samples if targets is None else batch.counted(len(targets))):
            for value in self.drawn(batch, sample.picture):
                for target in [None] if targets is None else targets[i]:
                    self.outputs.reserve(self.names.picture(sample, value.name or "", target))

    def drawn(self, batch: Batch, picture: bool) -> list[ir.Value]:
        """The inputs that get a picture: all of them, or those of which a bare map makes sense."""
        explaining = self.explainer.prepared.explaining if self.style else []
        if self.names.together:
            return list(explaining)
        tokens = [value for value in explaining if self.texts.shows(value, batch)]
        return [*tokens, *(v for v in results.drawn(explaining, batch, picture) if v not in tokens)]

    def _explain(self, batch: Batch) -> list[Explanation]:
        """One explanation, or one for each rank of ``--top``, or for each composite."""
        if self.names.top == 1:
            explainers = (self.explainer, *self.others)
            found = [e(batch.feeds, self.target, seed=self.seed, ledger=self.args.ledger) for e in explainers]
            self.labels.check(found[0].output)
            return found
        found = self.explainer.several(batch.feeds, self.names.top, seed=self.seed, ledger=self.args.ledger)
        self.labels.check(found[0].output)
        if not self.names.together:
            self._reserve_pictures(batch, np.stack([explanation.target for explanation in found], axis=1))
        return found
