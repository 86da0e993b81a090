"""explain: draw heatmaps of what a model's answer depends on, and account for the relevance."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .arguments import (
    BOUNDS,
    COMPOSITES,
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
    add_talk,
    add_target,
)
from .telling import tell
from .words import composites, count, picture_or_page

NAME = "explain"
EPILOG = f"""\
{PREPARATION}

{COMPOSITES}
{BOUNDS}

Several pictures are a batch where the model takes one. A model with several inputs takes one .npz with an array for
each, or one file for each in the model's order.

Exit code: 0 done, 1 the model is rejected, 2 data, options or files are wrong (then nothing is written)."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp explain``."""
    add_model(parser)
    add_inputs(parser)
    _add_question(parser)
    add_preprocessing(parser, "; try explains nothing and shows what the model answers under all of them")
    parser.add_argument(
        "--no-doubt",
        action="store_true",
        help="do not try other ways to prepare the first picture, to warn of a wrong one",
    )
    add_text(parser)
    _add_results(parser)
    add_computation(parser)


def run(args: Namespace) -> int:
    """Explain and write; 0 if all went well.

    Raises:
        OnnxLrpError: something did not; then no file was written.
    """
    from .explaining import run_job
    from .trying import TRY, ways_of

    tell(ways_of(args, args.inputs) if args.preprocess == TRY else run_job(args), args.quiet)
    return 0


def _add_question(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to explain")
    either = group.add_mutually_exclusive_group()
    add_target(either, "the highest")
    either.add_argument("--top", metavar="K", type=count, help="explain the K highest classes, all in one figure")
    group.add_argument(
        "--composites",
        metavar="A;B",
        type=composites,
        default=[],
        help="explain by each of several composites in place of --composite, all in one figure",
    )
    add_labels(group)
    add_seed(group)
    add_against(group, "by their index or label")


def add_text(parser: ArgumentParser) -> None:
    """--tokenizer, --tokens: what feeds and shows text."""
    group = parser.add_argument_group("text")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--tokenizer",
        metavar="FILE.json",
        help="a tokenizer.json: an INPUT that ends in .txt is then a file of sentences, one per line",
    )
    either.add_argument(
        "--tokens", metavar="FILE", help="the tokens of the ids, one line per sample, with spaces between them"
    )


def _add_results(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "-o",
        "--heatmap",
        metavar="FILE.png",
        type=picture_or_page,
        help="where the figure goes (default: INPUT_COMPOSITE.png in the current folder); of tokens, also FILE.html",
    )
    either.add_argument("--no-heatmap", action="store_true", help="draw none")
    group.add_argument("--bare", action="store_true", help="draw the map alone: no title, input or scale")
    group.add_argument("--overlay", action="store_true", help="draw the map alone, over the picture")
    group.add_argument(
        "--cmap", metavar="NAME", default="bwr", help="colours: bwr, puor (for the colour blind), seismic, coldnhot"
    )
    group.add_argument("--smooth", metavar="SIGMA", type=float, default=0.0, help="blur the map by so many pixels")
    group.add_argument("--names", metavar="FILE", help="names of the features, one per line")
    add_percentile(group)
    group.add_argument("--save-relevance", metavar="FILE.npz", help="keep all numbers as NumPy arrays")
    group.add_argument(
        "--record", metavar="FILE.json", help="keep what was computed, with hashes of all of it, for `onnx-lrp verify`"
    )
    group.add_argument("--ledger", action="store_true", help="print where relevance went, node by node")
    add_force(group)
    group.add_argument("--json", action="store_true", help="print JSON instead of lines")
    add_talk(group, "print how the model was rewritten, and the rules")
