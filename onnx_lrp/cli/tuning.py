"""One run of ``onnx-lrp tune``: read and check everything, search with a bar of progress, write, and report."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

from ..composites import Composite
from ..composites.pictured import with_bounds
from ..rules import Bound
from ..tuning.tune import tune
from ..writing import Outputs, shown
from .evaluating import Bar, batch_of, true_classes
from .reading import files_read
from .request import Request, read

START = "default"


def run_tuning(args: Namespace) -> list[str]:
    """Do it all; return what to print.

    Raises:
        OnnxLrpError: something is wrong; then nothing was written.
    """
    outputs, path = Outputs(args.force, partial(files_read, args)), Path(args.out)
    outputs.reserve(path)
    request = read(Namespace(**vars(args), composite=with_bounds(START, args.low, args.high)))
    low, high = _bounds(request)
    bar = Bar(sys.stderr.isatty())
    with bar:
        found = tune(
            args.model, batch_of(args, request), true_classes(args.true_classes), low=low, high=high,
            tuning=args.tuning, imputation=args.imputation, steps=args.steps, region=args.region, mask=args.mask,
            limit=args.limit, random_seed=args.random_seed, progress=bar.show, **request.options,
        )  # fmt: skip
    content = found.composite.toml()
    outputs.add(path, lambda temporary: _write(temporary, content))
    outputs.write()
    if args.json:
        return [json.dumps({**found.as_dict(), "notes": request.about}, indent=2, allow_nan=False)]
    what = "the default, with the evidence" if found.kept else "the tuned composite"
    return [*request.about, *str(found).splitlines(), f"written: {shown(path)} ({what})"]


def _bounds(request: Request) -> tuple[Bound | None, Bound | None]:
    """As they were given, or else as they follow from the preprocessing."""
    return Composite.parse(request.composite).bounds or (None, None)


def _write(path: Path, content: str) -> None:
    path.write_text(content, "utf-8")
