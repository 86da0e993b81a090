"""report: write one HTML file that shows predictions, maps, accounts, rules, warnings and provenance."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from ..report import MOST_ON_A_PAGE
from .arguments import (
    PREPARATION,
    add_against,
    add_computation,
    add_force,
    add_inputs,
    add_labels,
    add_model,
    add_percentile,
    add_preprocessing,
    add_seed,
    add_target,
)
from .explain import add_text
from .words import count, names

NAME = "report"
EPILOG = f"""\
{PREPARATION}

The file needs nothing else: it works offline, prints, and can be sent. It takes at most {MOST_ON_A_PAGE} samples.

Exit code: 0 done, 1 the model is rejected, 2 data, options or files are wrong (then nothing is written)."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp report``."""
    add_model(parser)
    add_inputs(parser)
    group = parser.add_argument_group("what to explain")
    add_target(group, "the highest")
    group.add_argument(
        "--top", metavar="K", type=count, default=3, help="classes to choose from (default: %(default)s)"
    )
    add_labels(group)
    group.add_argument(
        "--layers", metavar="NAME,...", type=names, default=(), help="also show relevance inside the net"
    )
    add_seed(group)
    add_against(group, "by their index or label")
    add_preprocessing(parser)
    add_text(parser)
    results = parser.add_argument_group("results")
    results.add_argument("-o", "--output-file", metavar="FILE.html", type=page, help="(default: INPUT_COMPOSITE.html)")
    results.add_argument(
        "--quality", metavar="FILE.json", help="what `onnx-lrp evaluate --json` printed for this model, as a table"
    )
    add_percentile(results)
    add_force(results)
    add_computation(parser)


def page(text: str) -> str:
    """A file name that ends in .html."""
    if not text.lower().endswith((".html", ".htm")):
        raise ArgumentTypeError("a report is written as HTML; give a name that ends in .html")
    return text


def run(args: Namespace) -> int:
    """Explain and write; 0 if all went well.

    Raises:
        OnnxLrpError: something did not; then no file was written.
    """
    from .reporting import write_report

    for line in write_report(args):
        print(line)
    return 0
