"""One run of ``onnx-lrp explain``: read and check everything, compute, write, and only then report."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from ..checking.warnings import unknown_bounds, unused_bounds
from ..explainer import Explainer
from ..explanation import Explanation
from ..pictures.heatmap import save_png
from ..targets import Contrast, Seed, as_region, as_seed
from ..text import printable, under
from ..writing import Outputs, shown
from . import results
from .feeding import Batch, Feeder, Sample
from .naming import OutputPaths
from .reading import files_read
from .records import record
from .request import read
from .targeting import meant, meant_against
from .texts import Texts
from .trying import doubted_picture


def run_job(args: Namespace) -> list[str]:
    """Do it all; return what to print once every file is written.

    Raises:
        OnnxLrpError: something is wrong; then no file was written.
    """
    outputs = Outputs(args.force, partial(files_read, args))
    outputs.check_folders(args.heatmap or "", args.save_relevance or "")
    texts = Texts.read(args)
    request = read(args)
    explainer = Explainer(args.model, request.composite, labels=args.labels, **request.options)
    labels = results.Labels(explainer.labels)
    against = meant_against(args.against, labels.names)
    seed = as_seed(explainer.composite.seed_for(args.seed, against, args.baseline), against, args.baseline)
    inputs = explainer.prepared.inputs
    preprocessing = request.for_model(explainer.prepared)
    batches = Feeder(inputs, preprocessing, explainer.prepared.source).batches(texts.fed(request.files, inputs))
    names = OutputPaths(
        args.heatmap, args.save_relevance, explainer.composite.name, len(batches),
        sum(len(batch.samples) for batch in batches),
        tuple(value.name or "" for value in explainer.prepared.explaining), args.top or 1,
    )  # fmt: skip
    style = None if args.no_heatmap else results.HeatmapStyle(request.preprocessing, args.percentile, args.overlay)
    job = Job(args, explainer, labels, meant(args.target, labels.names), seed, style, outputs, names, texts)
    found = job.explained(batches)
    lines = job.results(batches, found)
    outputs.write()
    doubts = () if args.no_doubt else doubted_picture(explainer, request)
    about, warnings = [*job.about(), *request.about], [*doubts, *job.warnings(found)]
    if args.json:
        return [record(explainer, seed, labels, batches, found, about, warnings, outputs.paths)]
    return [*about, *lines, *(f"warning: {warning}" for warning in warnings)]


@dataclass(frozen=True)
class Job:
    """What a run consists of; ``style`` is None where no heatmap is wanted."""

    args: Namespace
    explainer: Explainer
    labels: results.Labels
    target: Any
    seed: Seed
    style: results.HeatmapStyle | None
    outputs: Outputs
    names: OutputPaths
    texts: Texts

    def about(self) -> Iterator[str]:
        """What explained what, and with -v how the model was rewritten and which rule goes where."""
        e = self.explainer
        how = f"{e.composite.name}{under(str(e.prepared.profile))} ({e.engine.name}, {e.engine.dtype.name})"
        yield f"{e.prepared.source}: explains {printable(e.prepared.output)!r} by {how}"
        yield from (f"note: {note}" for note in e.prepared.assumptions())
        yield from (f"note: {note}" for note in unknown_bounds(e.plan))
        if self.args.verbose:
            yield from (f"note: {note}" for note in e.prepared.notes)
            yield from str(e.composite).splitlines()

    def warnings(self, found: list[list[Explanation]]) -> list[str]:
        """What gives reason to doubt the results: of each kind one, since numbers differ from batch to batch."""
        lines = [*unused_bounds(self.explainer.plan), *(line for ranks in found for e in ranks for line in e.warnings)]
        kinds = {re.sub(r"[\d.e+-]+", "", line)[:40]: line for line in reversed(lines)}
        return list(reversed(kinds.values()))

    def explained(self, batches: list[Batch]) -> list[list[Explanation]]:
        """Check what can be written, then explain every batch."""
        for batch in batches:
            self._reserve_numbers(batch)
            if self.names.top == 1:
                self._reserve_pictures(batch, None)
        return [self._explain(batch) for batch in batches]

    def results(self, batches: list[Batch], found: list[list[Explanation]]) -> list[str]:
        """What there is to say of every batch; what there is to write waits for the end."""
        lines: list[str] = []
        before = 0
        for batch, ranks in zip(batches, found):
            lines += self._results(batch, ranks, before)
            before += len(ranks[0].target)
        return lines

    def _reserve_numbers(self, batch: Batch) -> None:
        for rank in range(self.names.top if self.names.relevance else 0):
            self.outputs.reserve(self.names.numbers(batch, rank))

    def _reserve_pictures(self, batch: Batch, targets: np.ndarray | None) -> None:
        """``targets``, shape (samples, ranks), is needed where the names hold the class."""
        for i, sample in enumerate(batch.samples if targets is None else batch.counted(len(targets))):
            for value in self._drawn(batch, sample.picture):
                for target in [None] if targets is None else targets[i]:
                    self.outputs.reserve(self.names.picture(sample, value.name or "", target))

    def _drawn(self, batch: Batch, picture: bool) -> list[ir.Value]:
        """The inputs that get a heatmap."""
        explaining = self.explainer.prepared.explaining if self.style else []
        tokens = [value for value in explaining if self.texts.shows(value, batch)]
        return [*tokens, *(v for v in results.drawn(explaining, batch, picture) if v not in tokens)]

    def _explain(self, batch: Batch) -> list[Explanation]:
        """One explanation, or one for each rank of ``--top``."""
        if self.names.top == 1:
            found = [self.explainer(batch.feeds, self.target, seed=self.seed, ledger=self.args.ledger)]
            self.labels.check(found[0].output)
            return found
        found = self.explainer.several(batch.feeds, self.names.top, seed=self.seed, ledger=self.args.ledger)
        self.labels.check(found[0].output)
        self._reserve_pictures(batch, np.stack([explanation.target for explanation in found], axis=1))
        return found

    def _results(self, batch: Batch, ranks: list[Explanation], before: int) -> Iterator[str]:
        """What there is to say of a batch; ``before`` counts the samples of those before it."""
        own = self.explainer.probability(batch.feeds)
        for i, sample in enumerate(batch.counted(len(ranks[0].target))):
            yield sample.title
            scores = ranks[0].output[i]
            yield f"  prediction: {self.labels.describe(scores, int(scores.argmax()))}{results.sure(ranks[0], i)}"
            for explanation in ranks:
                yield f"  explained: {self._explained(explanation, i, None if own is None else own[i : i + 1])}"
                yield f"    {results.account(explanation, i)}"
                yield from (f"    {line}" for line in self._shown(batch, sample, i, explanation, before))
        for rank, explanation in enumerate(ranks):
            yield from self._kept(batch, rank, explanation)

    def _explained(self, explanation: Explanation, i: int, own: np.ndarray | None) -> str:
        """The target, or the region and its sum; with what the model itself makes of it behind a head."""
        region = as_region(self.target) if self.names.top == 1 else None
        sums = explanation.conservation.target
        start = float(sums[min(i, len(sums) - 1)])
        if region is not None:
            return f"region {region}, {start:.6g}"
        scores, element = explanation.output[i], int(explanation.target[i])
        described = self.labels.describe(scores, element)
        if isinstance(self.seed, Contrast):
            described = self.labels.contrast(self.seed, scores, element, start)
        if own is None or own.size != scores.size or own.dtype.kind != "f" or self.seed == Contrast("probability"):
            return described
        fits = own.min() >= 0 and own.max() <= 1
        return f"{described}, {'probability' if fits else 'output'} {own.reshape(-1)[element]:.4g}"

    def _shown(self, batch: Batch, sample: Sample, i: int, explanation: Explanation, before: int) -> Iterator[str]:
        """Draw one sample, or print what cannot be drawn."""
        samples = len(explanation.target)
        drawn = self._drawn(batch, sample.picture)
        for value in self.explainer.prepared.explaining:
            name = value.name or ""
            x, relevance = (results.of_sample(a[name], i, samples) for a in (batch.feeds, explanation.inputs))
            path = self.names.picture(sample, name, int(explanation.target[i]))
            if self.texts.shows(value, batch):
                row = self.texts.row(name, batch, i, relevance, before + i)
                yield f"tokens: {row.terminal()}"
                if self.style:
                    yield self.texts.drawn(row, sample.title, path, self.outputs)
                continue
            if self.style is None:
                continue
            if value not in drawn:
                yield from results.features(name, x, relevance)
                continue
            image = self.style.draw(value, x, relevance, sample.picture)
            self.outputs.add(path, partial(save_png, image))
            yield f"heatmap: {shown(path)}"

    def _kept(self, batch: Batch, rank: int, explanation: Explanation) -> Iterator[str]:
        """The numbers of a batch: to a file, and as a ledger."""
        if self.names.relevance:
            path = self.names.numbers(batch, rank)
            self.outputs.add(path, explanation.save)
            yield f"relevance: {shown(path)}"
        if explanation.ledger:
            yield f"ledger, from the output to the input{', all samples together' * (len(batch.samples) > 1)}:"
            yield from (f"  {line}" for line in results.ledger(explanation.ledger))
