"""What ``onnx-lrp explain`` says of its explanations, and draws on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..errors import InputError
from ..explanation import Explanation
from ..pictures.heatmap import save_png
from ..targets import Contrast
from ..writing import shown
from . import results
from .drawing import FigureStyle
from .feeding import Batch, Sample
from .job import Job


@dataclass(frozen=True)
class Lines:
    """Of one job."""

    job: Job

    def results(self, batches: list[Batch], found: list[list[Explanation]]) -> list[str]:
        """What there is to say of every batch; what there is to write waits for the end."""
        lines: list[str] = []
        before = 0
        for batch, ranks in zip(batches, found):
            lines += self._results(batch, ranks, before)
            before += len(ranks[0].target)
        return lines

    def _results(self, batch: Batch, ranks: list[Explanation], before: int) -> Iterator[str]:
        """What there is to say of a batch; ``before`` counts the samples of those before it."""
        context = ranks[0].context
        own = None if context is None else context.own  # of which the record has need, too
        for i, sample in enumerate(batch.counted(len(ranks[0].target))):
            yield sample.title
            scores = ranks[0].output[i]
            yield f"  prediction: {self.job.labels.describe(scores, int(scores.argmax()))}{results.sure(ranks[0], i)}"
            for explanation in ranks:
                rules = f" by {explanation.context.composite}" if self.job.others and explanation.context else ""
                said = self._explained(explanation, i, None if own is None else own[i : i + 1])
                yield f"  explained{rules}: {said}"
                yield f"    {results.account(explanation, i)}"
                yield from (f"    {line}" for line in self._shown(batch, sample, i, explanation, before))
            if isinstance(self.job.style, FigureStyle) and self.job.names.together:
                special = len(ranks) == 1 and (isinstance(self.job.seed, Contrast) or self.job.region is not None)
                yield from (
                    f"  {line}"
                    for line in self._figures(batch, sample, i, ranks, said if special else None, before + i)
                )
        for rank, explanation in enumerate(ranks):
            yield from self._kept(batch, rank, explanation)

    def _explained(self, explanation: Explanation, i: int, own: np.ndarray | None) -> str:
        """The target, or the region and its sum; with what the model itself makes of it behind a head."""
        region = self.job.region
        sums = explanation.conservation.target
        start = float(sums[min(i, len(sums) - 1)])
        if region is not None:
            return f"region {region}, {start:.6g}"
        scores, element = explanation.output[i], int(explanation.target[i])
        described = self.job.labels.describe(scores, element)
        if isinstance(self.job.seed, Contrast):
            described = self.job.labels.contrast(self.job.seed, scores, element, start)
        if own is None or own.size != scores.size or own.dtype.kind != "f" or self.job.seed == Contrast("probability"):
            return described
        fits = own.min() >= 0 and own.max() <= 1
        return f"{described}, {'probability' if fits else 'output'} {own.reshape(-1)[element]:.4g}"

    def _shown(self, batch: Batch, sample: Sample, i: int, explanation: Explanation, before: int) -> Iterator[str]:
        """Draw one sample, or print what cannot be drawn."""
        samples = len(explanation.target)
        drawn = results.drawn(self.job.explainer.prepared.explaining, batch, sample.picture)
        for value in self.job.explainer.prepared.explaining:
            name = value.name or ""
            x, relevance = (results.of_sample(a[name], i, samples) for a in (batch.feeds, explanation.inputs))
            path = self.job.names.picture(sample, name, int(explanation.target[i]))
            if self.job.texts.shows(value, batch):
                row = self.job.texts.row(name, batch, i, relevance, before + i)
                yield f"tokens: {row.terminal()}"
                if self.job.style and not self.job.names.together:
                    yield self.job.texts.drawn(row, sample.title, path, self.job.outputs)
                continue
            if self.job.style is None:
                continue
            if value not in drawn:
                yield from results.features(name, x, relevance)
            if value not in drawn or self.job.names.together:
                continue
            if not isinstance(self.job.style, results.HeatmapStyle):
                raise InputError("a page shows tokens, and here are none; give -o a name that ends in .png")
            image = self.job.style.draw(value, x, relevance, sample.picture)
            self.job.outputs.add(path, partial(save_png, image))
            yield f"heatmap: {shown(path)}"

    def _figures(
        self, batch: Batch, sample: Sample, i: int, ranks: list[Explanation], title: str | None, place: int
    ) -> Iterator[str]:
        """One figure for every input, with all maps; ``place`` counts all samples."""
        assert isinstance(self.job.style, FigureStyle)
        for value in self.job.drawn(batch, sample.picture):
            name, path = value.name or "", self.job.names.picture(sample, value.name or "", None)
            if self.job.texts.shows(value, batch):
                each = [results.of_sample(e.inputs[name], i, len(e)) for e in ranks]
                rows = [self.job.texts.row(name, batch, i, relevance, place) for relevance in each]
                image = self.job.style.words(ranks, i, name, rows)
            else:
                image = self.job.style.draw(ranks, i, name, title, self.job.region)
            self.job.outputs.add(path, partial(save_png, image))
            yield f"figure: {shown(path)}"

    def _kept(self, batch: Batch, rank: int, explanation: Explanation) -> Iterator[str]:
        """The numbers of a batch: to a file, and as a ledger."""
        if self.job.names.relevance:
            path = self.job.names.numbers(batch, rank)
            self.job.outputs.add(path, explanation.save)
            yield f"relevance: {shown(path)}"
        if explanation.ledger:
            yield f"ledger, from the output to the input{', all samples together' * (len(batch.samples) > 1)}:"
            yield from (f"  {line}" for line in results.ledger(explanation.ledger))
