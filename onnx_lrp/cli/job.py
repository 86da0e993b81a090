"""One run of ``onnx-lrp explain``: read and check everything, compute, write, and only then report."""

from __future__ import annotations

import inspect
import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx_ir as ir

from ..composites import PRESETS as COMPOSITES
from ..explainer import Explainer
from ..explanation import Explanation
from ..pictures.heatmap import save_png
from ..pictures.preprocessing import Preprocessing
from ..pictures.reading import Picture
from ..text import clean
from . import results
from .explain import PREPROCESSING
from .feeding import Batch, Feeder, File, Sample, read_files
from .labels import read_labels
from .writing import Outputs, shown


def run_job(args: Namespace) -> Iterator[str]:
    """Do it all; the lines to print come when everything is written.

    Raises:
        OnnxLrpError: something is wrong; then no file was written.
    """
    outputs = Outputs(args.force)
    for path in filter(None, (args.heatmap, args.save_relevance)):
        outputs.check_folder(Path(path))
    labels = results.Labels(read_labels(args.labels))
    preprocessing = Preprocessing.create(
        args.preprocess or PREPROCESSING,
        scale=args.scale, mean=args.mean, std=args.std, channels=args.channels, fit=args.fit,
    )  # fmt: skip
    files = read_files(args.inputs)
    pictures = any(isinstance(file.content, Picture) for file in files)
    composite = with_bounds(args.composite, preprocessing) if pictures or args.preprocess else args.composite
    explainer = Explainer(
        args.model, composite, output=args.output, backend=args.backend, dtype=args.dtype, device=args.device,
        batchnorm=args.batchnorm, threads=args.threads,
    )  # fmt: skip
    brush = results.Brush(preprocessing, args.percentile, args.overlay)
    job = Job(args, explainer, labels, brush, outputs)
    lines = list(job.run(files))
    yield from job.header(pictures)
    yield from lines


def with_bounds(composite: str, preprocessing: Preprocessing) -> str:
    """The composite with the bounds of z^B, per channel, where it takes some and has none: black and white pixels."""
    name, _, settings = composite.partition(":")
    known = inspect.signature(COMPOSITES[name.strip()]).parameters if name.strip() in COMPOSITES else {}
    if "low" not in known or re.search(r"\b(low|high)\s*=", settings):
        return composite
    channels = max(len(preprocessing.mean), len(preprocessing.std))
    low, high = ("/".join(map(str, b.reshape(-1))) for b in preprocessing.bounds((None, channels, None, None)))
    return f"{name}:{','.join(filter(None, (settings, f'low={low}', f'high={high}')))}"


@dataclass(frozen=True)
class Job:
    """What a run consists of."""

    args: Namespace
    explainer: Explainer
    labels: results.Labels
    brush: results.Brush
    outputs: Outputs

    def header(self, pictures: bool) -> Iterator[str]:
        """What was done to what."""
        e, p = self.explainer, self.brush.preprocessing
        xp = f"{type(e.backend).__name__.removesuffix('Backend').lower()}, {np.dtype(e.backend.dtype).name}"
        yield f"{e.prepared.source}: explains {clean(e.prepared.output)!r} by {e.composite.name} ({xp})"
        if pictures:
            name = self.args.preprocess or f"{PREPROCESSING}, the default"
            mean, std = ("/".join(f"{n:g}" for n in numbers) for numbers in (p.mean, p.std))
            yield (
                f"pictures prepared as {name}: x = (pixel * {p.scale:g} - {mean}) / {std}, {p.channels}, "
                f"{p.fit} to the model's size"
            )
        if self.args.verbose:
            yield from (f"note: {note}" for note in e.prepared.notes)
            yield from str(e.composite).splitlines()

    def run(self, files: Sequence[File]) -> Iterator[str]:
        """Explain and write; yields what there is to say."""
        inputs = self.explainer.prepared.inputs
        batches = Feeder(inputs, self.brush.preprocessing, self.explainer.prepared.source).batches(files)
        if not self.args.top:  # with --top the names hold the classes, which are not known yet
            self._reserve(batches, None, len(batches))
        found = [self._explain(batch, len(batches)) for batch in batches]
        lines = [line for batch, ranks in zip(batches, found) for line in self._results(batch, ranks, len(batches))]
        self.outputs.write()
        yield from lines

    def _explain(self, batch: Batch, batches: int) -> list[Explanation]:
        """One explanation, or one for each rank of ``--top``."""
        args = self.args
        again = partial(self.explainer, batch.feeds, seed=args.seed, ledger=args.ledger)
        first = again(args.target)
        self.labels.check(first.output)
        if not args.top:
            return [first]
        scores = first.output.reshape(len(first.output), -1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : args.top]
        self._reserve([batch], order, batches)
        return [first, *(again(order[:, rank]) for rank in range(1, order.shape[1]))]
