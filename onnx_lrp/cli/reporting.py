"""One run of ``onnx-lrp report``: explain sample by sample, then write one page."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..checking.check import verdict_on
from ..checking.warnings import unused_bounds
from ..propagation.unbounded import unknown_bounds
from ..report.content import Told, content_of
from ..report.page import render, require_jinja
from ..report.quality import read_quality
from ..writing import Outputs, shown, write_bytes
from .keeping import record_of_batches
from .reading import files_read
from .reportmaking import ReportMaker, check_count


def write_report(args: Namespace) -> Iterator[str]:
    """Do it all; returns what to print once the file is written.

    Raises:
        OnnxLrpError: something is wrong; then no file was written.
    """
    require_jinja()
    check_count(len(args.inputs))
    quality = read_quality(Path(args.quality)) if args.quality else None
    outputs = Outputs(args.force, partial(files_read, args))
    outputs.check_folders(args.output_file or "")
    maker = ReportMaker.of(args)
    path = Path(args.output_file or f"{Path(args.inputs[0]).stem}_{maker.explainer.composite.name}.html")
    outputs.reserve(path)
    found = [maker.explained(batch) for batch in maker.batches]
    record = record_of_batches(maker.batches, found, maker.pictures, maker.labels.names)
    explainer = maker.explainer
    told = Told(
        verdict_on(explainer.prepared, explainer.plan), record,
        [*unused_bounds(explainer.plan), *record["warnings"]],
        [*maker.about, *unknown_bounds(explainer.plan)], quality, args.percentile,
    )  # fmt: skip
    cases = [case for place, batch, ranks in maker.placed(found) for case in maker.cases(batch, ranks, place)]
    page = render(content_of(told, cases)).encode("utf-8", "backslashreplace")
    outputs.add(path, partial(write_bytes, page))
    outputs.write()
    yield f"report: {shown(path)} ({len(cases)} sample{'s' * (len(cases) > 1)}, {len(page) / 1e6:.2f} MB)"
    yield from (f"warning: {line}" for line in told.warnings)
