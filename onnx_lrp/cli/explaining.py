"""One run of ``onnx-lrp explain``: read and check everything, compute, write, and only then report."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path

from ..errors import InputError
from ..explainer import Explainer
from ..pictures.colormaps import colour_map
from ..targets import as_seed
from ..writing import Outputs
from . import results
from .drawing import FigureStyle
from .feeding import Feeder
from .former import Asked
from .job import Job, Style
from .keeping import keep, record_of_batches, targets_by_picture
from .lines import Lines
from .naming import OutputPaths
from .reading import files_read
from .records import record
from .request import Request, read
from .targeting import meant, meant_against
from .texts import Texts
from .trying import doubted_picture


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
    lines = Lines(job).results(batches, found)
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
