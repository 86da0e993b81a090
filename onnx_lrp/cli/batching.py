"""One run of ``onnx-lrp batch``: read what was typed, run with a bar of progress, and sum up."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..batch.asked import Run
from ..batch.conducting import conduct
from ..batch.folder import Folder
from ..batch.items import InputSource
from ..batch.outcome import Outcome
from ..batch.progress import display
from ..batch.run import from_pipe, target_for_all
from ..batch.selecting import Selection
from ..batch.sources.arrays import ArraySource
from ..batch.sources.opening import source_of
from ..explainer import Explainer
from ..pictures.intake import axes_of_bytes
from ..pictures.metadata import declared_by, size_said_by
from ..targets import as_seed
from ..text import printable
from ..writing import shown
from .request import options_of, preparation, size_of, told_of
from .targeting import meant, meant_against
from .telling import tell

NO_PICTURES = (".npy", ".npz", ".csv", ".tsv", ".parquet")  # unless a column holds paths of some
ERRORS = 3  # exit code: done, but some inputs failed


def run_batch(args: Namespace) -> int:
    """Do it all, print the summary, and return the exit code.

    Raises:
        OnnxLrpError: the run cannot begin or go on; what is done stays done.
        KeyboardInterrupt: after Ctrl-C, with how far it came.
    """
    run, about = _asked(args)
    tell(() if args.quiet or args.json else about)
    with display(sys.stderr, args.quiet) as told:
        outcome = conduct(replace(run, told=told))
    if args.json:
        print(json.dumps({**outcome.as_dict(), "about": about}, indent=2, allow_nan=False))
    else:
        tell(_summary(outcome), args.quiet)
    return ERRORS if outcome.failed and not args.allow_errors else 0


def _asked(args: Namespace) -> tuple[Run, list[str]]:
    """What is asked for, and what there is to tell before it begins."""
    selection = Selection(args.only, args.sample, args.random_seed)
    source = source_of(
        args.inputs, column=args.column, label=args.label, target=args.target_column, features=args.features
    )
    pictures = _any_picture(args, source)
    preprocessing, found = preparation(args, pictures)
    size = args.size or size_of(found) or size_said_by(Path(args.model))
    explainer = Explainer(
        args.model, args.composite, labels=args.labels,
        preprocessing=replace(preprocessing, size=size) if pictures or args.preprocess else None, **options_of(args),
    )  # fmt: skip
    run = Run(
        explainer, source, Folder(Path(args.out)), _order(args, explainer), args.batch_size, selection, args.workers,
        args.engine, from_pipe(args.inputs),
    )  # fmt: skip
    return run, [_heading(explainer), *told_of(args, preprocessing, found) * pictures]


def _any_picture(args: Namespace, source: InputSource) -> bool:
    """Whether inputs may be pictures: files, or rows that are bytes of some."""
    if isinstance(source, ArraySource):
        shapes = source.rows_of_bytes()
        declared = declared_by(Path(args.model)) if shapes else ()
        return any(axes_of_bytes(np.dtype(np.uint8), shape, value) for shape in shapes for value in declared)
    return args.column is not None or not all(path.lower().endswith(NO_PICTURES) for path in args.inputs)


def _order(args: Namespace, explainer: Explainer) -> dict[str, Any]:
    """The order's arguments as they were typed."""
    labels = explainer.labels
    against = meant_against(args.against, labels)
    return {
        "target": target_for_all(meant(args.target, labels), labels),
        "seed": as_seed(explainer.composite.seed_for(args.seed, against, args.baseline), against, args.baseline),
        "save": frozenset(args.save), "precision": args.precision, "whole": args.whole, "top": args.top,
    }  # fmt: skip


def _heading(explainer: Explainer) -> str:
    prepared, engine = explainer.prepared, explainer.engine
    how = f"{explainer.composite.name} ({engine.name}, {engine.dtype.name})"
    return f"{prepared.source}: explains {printable(prepared.output)!r} by {how}"


def _summary(outcome: Outcome) -> list[str]:
    chosen = "" if outcome.listed == outcome.inputs else f" of {outcome.listed:,}"
    now = outcome.inputs - outcome.done_before
    before = f", {outcome.done_before:,} of them before" if outcome.done_before else ""
    pace = f", {now:,} in {outcome.seconds:.1f} s, {outcome.rate:.1f} per second" if now else ""
    lines = [f"inputs: {outcome.inputs:,}{chosen}{before}{pace}", f"failed: {outcome.failed:,}"]
    lines += [f"  {shown(name)}: {printable(_reason(name, error), 300)}" for name, error in outcome.errors]
    if outcome.failed > len(outcome.errors):
        lines.append(f"  and {outcome.failed - len(outcome.errors):,} more, in the column error of the index")
    where = f"results: {shown(outcome.out)} (in Python: onnx_lrp.open_batch({shown(outcome.out)!r}))"
    return [*outcome.notes, *lines, where]


def _reason(name: str, error: str) -> str:
    """The error of an input, whose name it need not say once more."""
    for start in (f"{name!r}: ", f"{name}: "):
        error = error.removeprefix(start)
    return error
