"""One run of ``onnx-lrp evaluate``: read and check everything, compute with a bar of progress, draw, and report."""

from __future__ import annotations

import json
import shutil
import sys
from argparse import Namespace
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..composites.pictured import from_preprocessing
from ..errors import InputError
from ..evaluation.evaluate import BY_DEFAULT, evaluate
from ..evaluation.report import Evaluation
from ..explainer import Explainer
from ..pictures.curves import Panel, draw_curves
from ..pictures.heatmap import save_png
from ..pictures.lines import read_lines
from ..pictures.reading import read_input
from ..text import printable
from ..writing import Outputs, shown
from .feeding import Feeder
from .reading import files_read
from .request import Request, read

BAR = 24
CLEAR = "\r\x1b[K"


def run_evaluation(args: Namespace) -> list[str]:
    """Do it all; return what to print.

    Raises:
        OnnxLrpError: something is wrong; then no picture was written.
    """
    outputs = Outputs(args.force, partial(files_read, args))
    if args.curves:
        outputs.reserve(Path(args.curves))
        if "flipping" not in args.measures:
            raise InputError("--curves draws pixel flipping, which is not measured; add it to --measures")
    texts = args.composites or list(BY_DEFAULT)
    request = read(Namespace(**vars(args), composite=texts[0]))
    bar = Bar(sys.stderr.isatty())
    with bar:
        found = evaluate(
            args.model, batch_of(args, request), true_classes(args.true_classes),
            composites=_bounded(texts, args, request),
            against=args.against, measures=args.measures, imputation=args.imputation, steps=args.steps,
            region=args.region, mask=args.mask, seed=args.seed, limit=args.limit, random_seed=args.random_seed,
            progress=bar.show, resume=args.resume, **request.options,
        )  # fmt: skip
    if args.curves:
        outputs.add(Path(args.curves), partial(save_png, curves_of(found), force=True))
    outputs.write()
    if args.json:
        return [json.dumps({**found.as_dict(), "notes": request.about}, indent=2, allow_nan=False)]
    about = [] if args.quiet else request.about
    return [*about, *str(found).splitlines(), *([f"curves: {shown(args.curves)}"] if args.curves else [])]


def curves_of(found: Evaluation) -> Any:
    """The picture of pixel flipping: both orders side by side, on the probability, or else on the logit."""
    names = [name for name in found.methods if name in found.curves]
    measure = "p" if "p MoRF" in found.curves[names[0]] else "logit"
    titles = {"MoRF": "most relevant first: lower is better", "LeRF": "least relevant first: higher is better"}
    panels = [
        Panel(title, {n: list(zip(found.curves[n]["share"], found.curves[n][f"{measure} {order}"])) for n in names})
        for order, title in titles.items()
    ]
    label = "probability of the target" if measure == "p" else "logit of the target"
    return draw_curves(panels, "share taken away", label, (0, 1) if measure == "p" else None)


class Bar:
    """A line on a terminal's standard error that says how far it is; elsewhere nothing."""

    def __init__(self, seen: bool) -> None:
        self.seen = seen

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._write(CLEAR)

    def show(self, done: int, total: int, what: str) -> None:
        """Redraw it."""
        full = BAR * done // max(total, 1)
        line = f"[{'#' * full}{'.' * (BAR - full)}] {done}/{total} {printable(what)}"
        self._write(CLEAR + line[: shutil.get_terminal_size().columns - 1])

    def _write(self, text: str) -> None:
        if self.seen:
            sys.stderr.write(text)
            sys.stderr.flush()


def _bounded(texts: list[str], args: Namespace, request: Request) -> dict[str, str]:
    """Composites by how they were typed, with the bounds that follow from the preprocessing."""
    if len(set(texts)) < len(texts):
        raise InputError("a composite is given twice (--composites)")
    known = request.about or args.preprocess
    return {text: from_preprocessing(text, request.preprocessing) if known else text for text in texts}


def batch_of(args: Namespace, request: Request) -> Any:
    """All files as one batch.

    Raises:
        InputError: they differ in shape, or do not fit the model.
    """
    contents = [file.content for file in request.files]
    if len(contents) == 1 and isinstance(contents[0], np.ndarray) and not request.about:  # no bytes of pictures
        return contents[0]
    prepared = Explainer(args.model, request.composite, **request.options).prepared
    batches = Feeder(prepared.inputs, request.for_model(prepared), prepared.source).batches(request.files)
    return _together([batch.feeds for batch in batches])


def _together(feeds: list[dict[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    shapes = {str({name: a.shape[1:] for name, a in feed.items()}) for feed in feeds}
    if len(shapes) > 1:
        raise InputError(
            "the inputs differ in shape and cannot be evaluated together; give pictures one size (--size 224)"
        )
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def true_classes(path: str | None) -> np.ndarray | None:
    """Of each input, one integer per line of a file, or as an array; None without a file.

    Raises:
        InputError: the file holds something else.
    """
    if path is None:
        return None
    if path.lower().endswith(".npy"):
        content = read_input(Path(path))
        if not isinstance(content, np.ndarray):
            raise InputError(f"{shown(path)}: the true classes are one array of integers")
        return content
    lines = read_lines(path, "true classes")
    try:
        return np.array([int(line) for line in lines])
    except ValueError:
        raise InputError(f"{shown(path)}: the true classes are integers, one per line") from None
