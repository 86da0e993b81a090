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
    add_target,
    count,
    picture_or_page,
)

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
    _add_text(parser)
    _add_results(parser)
    add_computation(parser)


def run(args: Namespace) -> int:
    """Explain and write; 0 if all went well.

    Raises:
        OnnxLrpError: something did not; then no file was written.
    """
    from .job import run_job
    from .trying import TRY, ways_of

    for line in ways_of(args, args.inputs) if args.preprocess == TRY else run_job(args):
        print(line)
    return 0


def _add_question(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to explain")
    either = group.add_mutually_exclusive_group()
    add_target(either, "the highest")
    either.add_argument("--top", metavar="K", type=count, help="explain the K highest classes, one heatmap each")
    add_labels(group)
    add_seed(group)
    add_against(group, "by their index or label")


def _add_text(parser: ArgumentParser) -> None:
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
        help="where the heatmap goes (default: INPUT_COMPOSITE.png in the current folder); of tokens, also FILE.html",
    )
    either.add_argument("--no-heatmap", action="store_true", help="draw none")
    group.add_argument("--overlay", action="store_true", help="draw over the picture instead of on white")
    add_percentile(group)
    group.add_argument("--save-relevance", metavar="FILE.npz", help="keep all numbers as NumPy arrays")
    group.add_argument("--ledger", action="store_true", help="print where relevance went, node by node")
    add_force(group)
    group.add_argument("--json", action="store_true", help="print JSON instead of lines")
    group.add_argument("-v", "--verbose", action="store_true", help="print how the model was rewritten, and the rules")
