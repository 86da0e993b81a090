"""One run of ``onnx-lrp explain``: read and check everything, compute, write, and only then report."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..checking.lattice import LATTICE
from ..checking.warnings import unused_bounds
from ..errors import InputError
from ..explainer import Explainer
from ..explanation import Explanation
from ..pictures.colormaps import colour_map
from ..pictures.heatmap import save_png
from ..propagation.unbounded import unknown_bounds
from ..targets import Contrast, Seed, as_region, as_seed
from ..text import printable, under
from ..writing import Outputs, shown
from . import results
from .drawing import FigureStyle
from .feeding import Batch, Feeder, Sample
from .former import Asked
from .keeping import keep, record_of_batches, targets_by_picture
from .naming import OutputPaths
from .reading import files_read
from .records import record
from .request import Request, read
from .targeting import meant, meant_against
from .texts import Texts
from .trying import doubted_picture

Style = results.HeatmapStyle | FigureStyle


def run_job(args: Namespace) -> list[str]:
    """Do it all; return what to print once every file is written.

    Raises:
        OnnxLrpError: something is wrong; then no file was written.
    """
    asked = Asked(args)
    outputs = Outputs(args.force, partial(files_read, args), asked.wrote)
    outputs.check_folders(args.heatmap or "", args.save_relevance or "", args.record or "")
    texts = Texts.read(args)
    request = read(args)
    explainer, *others = (
        Explainer(args.model, composite, labels=args.labels, **request.options)
        for composite in (request.composite, *request.others)
    )
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
        not (args.bare or args.overlay), tuple(e.composite.name for e in (explainer, *others) if others),
    )  # fmt: skip
    style = _style(args, request, labels.names)
    target = meant(args.target, labels.names)
    job = Job(args, explainer, tuple(others), labels, target, seed, style, outputs, names, texts)
    if args.record:
        outputs.reserve(Path(args.record))
    found = job.explained(batches)
    lines = job.results(batches, found)
    content = record_of_batches(batches, found, preprocessing if request.about else None, labels.names)
    keep(content, targets_by_picture(batches, found, names), asked.digest, outputs, args.record)
    outputs.write()
    doubts = () if args.no_doubt else doubted_picture(explainer, request)
    about, warnings = [*job.about(), *request.about], [*doubts, *job.warnings(found)]
    if args.json:
        return [record(explainer, seed, labels, batches, found, about, warnings, outputs.paths)]
    return [*(() if args.quiet else about), *lines, *(f"warning: {warning}" for warning in warnings)]


def _style(args: Namespace, request: Request, labels: tuple[str, ...]) -> Style | None:
    """How to draw, if at all.

    Raises:
        InputError: options that contradict each other, an unknown colour map, or names that cannot be read.
    """
    if args.composites and (args.top or args.composite != "default"):
        raise InputError("--composites stands for itself; leave out --composite and --top")
    if len(args.composites) > 1 and (args.bare or args.overlay):
        raise InputError("several composites are one figure; leave out --bare and --overlay, or give one --composite")
    colour_map(args.cmap)
    if args.no_heatmap:
        return None
    if args.bare or args.overlay:
        return results.HeatmapStyle(request.preprocessing, args.percentile, args.overlay, args.cmap, args.smooth)
    return FigureStyle.of(args, request.preprocessing, bool(request.about), labels)


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

    def results(self, batches: list[Batch], found: list[list[Explanation]]) -> list[str]:
        """What there is to say of every batch; what there is to write waits for the end."""
        lines: list[str] = []
        before = 0
        for batch, ranks in zip(batches, found):
            lines += self._results(batch, ranks, before)
            before += len(ranks[0].target)
        return lines

    def _reserve_numbers(self, batch: Batch) -> None:
        for rank in range(self.names.top + len(self.others) if self.names.relevance else 0):
            self.outputs.reserve(self.names.numbers(batch, rank))

    def _reserve_pictures(self, batch: Batch, targets: np.ndarray | None) -> None:
        """``targets``, shape (samples, ranks), is needed where the names hold the class."""
        for i, sample in enumerate(batch.samples if targets is None else batch.counted(len(targets))):
            for value in self._drawn(batch, sample.picture):
                for target in [None] if targets is None else targets[i]:
                    self.outputs.reserve(self.names.picture(sample, value.name or "", target))

    def _drawn(self, batch: Batch, picture: bool) -> list[ir.Value]:
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

    def _results(self, batch: Batch, ranks: list[Explanation], before: int) -> Iterator[str]:
        """What there is to say of a batch; ``before`` counts the samples of those before it."""
        context = ranks[0].context
        own = None if context is None else context.own  # of which the record has need, too
        for i, sample in enumerate(batch.counted(len(ranks[0].target))):
            yield sample.title
            scores = ranks[0].output[i]
            yield f"  prediction: {self.labels.describe(scores, int(scores.argmax()))}{results.sure(ranks[0], i)}"
            for explanation in ranks:
                rules = f" by {explanation.context.composite}" if self.others and explanation.context else ""
                said = self._explained(explanation, i, None if own is None else own[i : i + 1])
                yield f"  explained{rules}: {said}"
                yield f"    {results.account(explanation, i)}"
                yield from (f"    {line}" for line in self._shown(batch, sample, i, explanation, before))
            if isinstance(self.style, FigureStyle) and self.names.together:
                special = len(ranks) == 1 and (isinstance(self.seed, Contrast) or as_region(self.target) is not None)
                yield from (
                    f"  {line}"
                    for line in self._figures(batch, sample, i, ranks, said if special else None, before + i)
                )
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
        drawn = results.drawn(self.explainer.prepared.explaining, batch, sample.picture)
        for value in self.explainer.prepared.explaining:
            name = value.name or ""
            x, relevance = (results.of_sample(a[name], i, samples) for a in (batch.feeds, explanation.inputs))
            path = self.names.picture(sample, name, int(explanation.target[i]))
            if self.texts.shows(value, batch):
                row = self.texts.row(name, batch, i, relevance, before + i)
                yield f"tokens: {row.terminal()}"
                if self.style and not self.names.together:
                    yield self.texts.drawn(row, sample.title, path, self.outputs)
                continue
            if self.style is None:
                continue
            if value not in drawn:
                yield from results.features(name, x, relevance)
            if value not in drawn or self.names.together:
                continue
            if not isinstance(self.style, results.HeatmapStyle):
                raise InputError("a page shows tokens, and here are none; give -o a name that ends in .png")
            image = self.style.draw(value, x, relevance, sample.picture)
            self.outputs.add(path, partial(save_png, image))
            yield f"heatmap: {shown(path)}"

    def _figures(
        self, batch: Batch, sample: Sample, i: int, ranks: list[Explanation], title: str | None, place: int
    ) -> Iterator[str]:
        """One figure for every input, with all maps; ``place`` counts all samples."""
        assert isinstance(self.style, FigureStyle)
        for value in self._drawn(batch, sample.picture):
            name, path = value.name or "", self.names.picture(sample, value.name or "", None)
            if self.texts.shows(value, batch):
                each = [results.of_sample(e.inputs[name], i, len(e)) for e in ranks]
                rows = [self.texts.row(name, batch, i, relevance, place) for relevance in each]
                image = self.style.words(ranks, i, name, rows)
            else:
                image = self.style.draw(ranks, i, name, title, as_region(self.target) if self.names.top == 1 else None)
            self.outputs.add(path, partial(save_png, image))
            yield f"figure: {shown(path)}"

    def _kept(self, batch: Batch, rank: int, explanation: Explanation) -> Iterator[str]:
        """The numbers of a batch: to a file, and as a ledger."""
        if self.names.relevance:
            path = self.names.numbers(batch, rank)
            self.outputs.add(path, explanation.save)
            yield f"relevance: {shown(path)}"
        if explanation.ledger:
            yield f"ledger, from the output to the input{', all samples together' * (len(batch.samples) > 1)}:"
            yield from (f"  {line}" for line in results.ledger(explanation.ledger))
