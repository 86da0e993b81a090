"""compare: measure how far two models' explanations lie apart, and stop a release that drifts too far."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .arguments import (
    BOUNDS,
    COMPOSITES,
    PREPARATION,
    add_against,
    add_composite,
    add_computation,
    add_force,
    add_inputs,
    add_percentile,
    add_preprocessing,
    add_seed,
    add_talk,
    add_target,
)
from .telling import tell
from .words import count, drift, names, png

NAME = "compare"
EPILOG = f"""\
Both models explain the same element of their output, by the same rules. What they find relevant is compared at the
inputs, and in every layer whose node or tensor has one name in both models:
  cosine   of the relevance as a vector: 1 for the same up to a factor, 0 for unrelated, -1 for opposite
  rank     Spearman's correlation: the order of all elements
  top-k    the share of the k largest |R| that both have
drift is 1 - cosine at the input of a sample, and the report's is that of the worst sample.
A model of integers is explained as its dequantised network, in the type that the report names.

{PREPARATION}

{COMPOSITES}
{BOUNDS}

Exit code: 0 done and nothing above --max-drift and --max-layer-drift, 1 something is above one of them (the report and
the pictures are written all the same) or a model is rejected, 2 data, options or files are wrong (then nothing is
written)."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp compare``."""
    parser.add_argument("a", metavar="A.onnx", help="the model to go by")
    parser.add_argument("b", metavar="B.onnx", help="the one that should explain itself alike")
    add_inputs(parser)
    add_composite(parser)
    _add_question(parser)
    add_preprocessing(parser)
    _add_results(parser)
    add_computation(parser)


def run(args: Namespace) -> int:
    """Compare, write and print; 0 if no sample drifts too far, else 1.

    Raises:
        OnnxLrpError: something is wrong; then no file was written.
    """
    from .gate import run_gate

    lines, code = run_gate(args)
    tell(lines, args.quiet)
    return code


def _add_question(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to compare")
    add_target(group, "A's highest")
    add_seed(group)
    add_against(group, "by their index")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--layers",
        metavar="NAME,...",
        type=names,
        help="nodes or tensors inside (default: all convolutions and dense layers)",
    )
    either.add_argument("--no-layers", dest="layers", action="store_const", const=(), help="the inputs only: faster")
    group.add_argument(
        "--top-k", metavar="K", type=count, help="how many of the largest |R| should agree (default: 5 %%, at most 100)"
    )


def _add_results(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument("--max-drift", metavar="X", type=drift, help="exit with 1 if a sample drifts more than this")
    group.add_argument(
        "--max-layer-drift", metavar="X", type=drift, help="exit with 1 if a sample drifts more than this in any layer"
    )
    group.add_argument("--json", action="store_true", help="print JSON instead of tables, with all numbers")
    group.add_argument(
        "-o",
        "--heatmap",
        metavar="FILE.png",
        type=png,
        help="draw the input, A, B and B - A side by side, on one scale",
    )
    add_percentile(group)
    add_force(group)
    add_talk(group, "print how both models were rewritten")
