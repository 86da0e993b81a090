"""One run of ``onnx-lrp compare``: read and check everything, compute, write, and only then report."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..comparison.compare import Comparer, Explanations
from ..comparison.report import Comparison, Likeness, join
from ..errors import InputError
from ..model.graph import dims
from ..pictures.heatmap import save_png
from ..pictures.preprocessing import Preprocessing
from ..pictures.sheet import contrast
from ..targets import Seed, as_seed
from ..text import printable
from ..writing import Outputs, shown
from . import results
from .feeding import Batch, Feeder, Sample
from .naming import OutputPaths
from .reading import files_read
from .request import read
from .targeting import meant, meant_against

Above = tuple[tuple[str, ...], tuple[str, ...]]  # samples and layers that drift too far
LONGEST_TITLE = 28  # characters: what a tile has room for
TOGETHER = 8  # samples: relevance of all layers is kept for as many, by both models


def run_gate(args: Namespace) -> tuple[list[str], int]:
    """Do it all; return what to print once every file is written, and the exit code.

    Raises:
        OnnxLrpError: something is wrong; then no file was written.
    """
    outputs = Outputs(args.force, partial(files_read, args))
    outputs.check_folders(args.heatmap or "")
    target, against = meant(args.target, None), meant_against(args.against, None)
    request = read(args)
    comparer = Comparer(args.a, args.b, request.composite, layers=args.layers, top_k=args.top_k, **request.options)
    seed = as_seed(comparer.a.composite.seed_for(args.seed, against, args.baseline), against, args.baseline)
    source = comparer.a.prepared.source
    batches = Feeder(comparer.inputs, request.for_model(comparer.a.prepared), source).batches(request.files, TOGETHER)
    names = OutputPaths(
        args.heatmap, None, comparer.a.composite.name, len(batches), sum(len(batch.samples) for batch in batches),
        tuple(value.name or "" for value in comparer.inputs), 1,
    )  # fmt: skip
    job = ComparisonJob(args, comparer, target, seed, request.preprocessing, outputs, names)
    report, pictures = job.run(batches)
    above, layers = _above(args, report)
    outputs.write()
    show, about = _json if args.json else _text, [*request.about, *_rewritten(args, comparer)]
    return show(args, report, (above, layers), pictures, about), int(bool(above or layers))


@dataclass(frozen=True)
class ComparisonJob:
    """What a run consists of."""

    args: Namespace
    comparer: Comparer
    target: Any
    seed: Seed
    preprocessing: Preprocessing
    outputs: Outputs
    names: OutputPaths

    def run(self, batches: list[Batch]) -> tuple[Comparison, list[Path]]:
        """Compare and draw; returns the report and the pictures' paths, which are still to be written."""
        for batch in batches if self.args.heatmap else ():
            for sample in batch.samples:
                for value in self._drawn(batch, sample):
                    self.outputs.reserve(self.names.picture(sample, value.name or "", None))
        reports, pictures = [], []
        for batch in batches:
            explanations = self.comparer(batch.feeds, self.target, seed=self.seed)
            samples = batch.counted(len(explanations[0].target))
            reports.append(self.comparer.report(explanations, [sample.title for sample in samples]))
            if self.args.heatmap:
                pictures += list(self._pictures(batch, samples, explanations, reports[-1]))
        return join(reports), pictures

    def _drawn(self, batch: Batch, sample: Sample) -> list[ir.Value]:
        found = results.drawn(self.comparer.inputs, batch, sample.picture)
        if not found:
            raise InputError(f"{sample.title}: no picture, so there is no heatmap to draw; leave out --heatmap")
        return found

    def _pictures(
        self, batch: Batch, samples: tuple[Sample, ...], explanations: Explanations, report: Comparison
    ) -> Iterator[Path]:
        maps = zip(*(explanation.inputs.values() for explanation in explanations))
        for k, (value, pair) in enumerate(zip(self.comparer.inputs, maps)):
            name = value.name or ""
            for i, sample in enumerate(samples):
                if value not in self._drawn(batch, sample):
                    continue
                x, *pair_of_one = (results.of_sample(array, i, len(samples)) for array in (batch.feeds[name], *pair))
                a, b = (results.surface(value, relevance, sample.picture) for relevance in pair_of_one)
                picture = self._display(value, x, sample.picture)
                image = contrast(a, b, picture, self.args.percentile, self._titles(report.samples[i].inputs[k]))
                path = self.names.picture(sample, name, None)
                self.outputs.add(path, partial(save_png, image))
                yield path

    def _titles(self, likeness: Likeness) -> tuple[str, str]:
        """The models' file names, and how alike their relevance is."""
        a, b = (printable(Path(path).name, LONGEST_TITLE) for path in (self.args.a, self.args.b))
        return f"A: {a}", f"B: {b}, cosine {likeness.cosine:.6f}"

    def _display(self, value: ir.Value, x: np.ndarray, picture: bool) -> np.ndarray | None:
        """What the models saw, if it was a picture: other data have no colours."""
        return self.preprocessing.display(x, dims(value) or x.shape) if picture else None


def _rewritten(args: Namespace, comparer: Comparer) -> Iterator[str]:
    """With -v: what was done to each model."""
    for name, explainer in (("A", comparer.a), ("B", comparer.b)) if args.verbose else ():
        yield from (f"note: {name}: {note}" for note in explainer.prepared.notes)


def _above(args: Namespace, report: Comparison) -> Above:
    """What is above the limits that are given.

    Raises:
        InputError: a limit for layers, where none is compared: a gate that is always open.
    """
    if args.max_layer_drift is not None and not any(sample.layers for sample in report.samples):
        raise InputError(
            "--max-layer-drift has no layer to judge by: the models have none in common (--layers NAME,...)"
        )
    samples = () if args.max_drift is None else report.above(args.max_drift)
    return samples, () if args.max_layer_drift is None else report.layers_above(args.max_layer_drift)


def _text(args: Namespace, report: Comparison, above: Above, pictures: list[Path], about: list[str]) -> list[str]:
    lines = [
        *(() if args.quiet else about),
        *str(report).splitlines(),
        *(f"heatmap: {shown(path)}" for path in pictures),
    ]
    samples, layers = above
    if args.max_layer_drift is not None:
        worst = {name: max(1 - e.cosine for s in report.samples for e in s.layers if e.name == name) for name in layers}
        lines.append(_verdict("layer", "--max-layer-drift", args.max_layer_drift, worst))
    if args.max_drift is not None:
        drifts = {sample.sample: sample.drift for sample in report.samples}
        lines.append(_verdict("sample", "--max-drift", args.max_drift, {name: drifts[name] for name in samples}))
    return lines


def _verdict(what: str, option: str, limit: float, above: dict[str, float]) -> str:
    named = ", ".join(f"{name} ({drift:.3g})" for name, drift in above.items())
    return f"above {option} {limit:g}: {named}" if above else f"no {what} is above {option} {limit:g}"


def _json(args: Namespace, report: Comparison, above: Above, pictures: list[Path], about: list[str]) -> list[str]:
    extra = {
        "max_drift": args.max_drift, "above": above[0], "max_layer_drift": args.max_layer_drift,
        "layers_above": above[1], "heatmaps": [shown(path) for path in pictures],
    }  # fmt: skip
    return [json.dumps({**report.as_dict(), **extra, "notes": about}, indent=2)]
