"""evaluate: measure how good explanations of a model are, by pixel flipping and other published measures."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .arguments import (
    BOUNDS,
    COMPOSITES,
    PREPARATION,
    add_computation,
    add_explained,
    add_force,
    add_inputs,
    add_preprocessing,
    add_seed,
    add_talk,
)
from .measured import add_flipping, add_truth
from .telling import tell
from .words import composites, names, png

NAME = "evaluate"
EPILOG = f"""\
Of each input the model's own prediction is explained, by every method, and all are measured alike:
  flipping       take regions away, most relevant first (MoRF) and least relevant first (LeRF); the area between the two
                 curves (LeRF - MoRF), of the probability (p), the logit, and the accuracy (times 4)
  pointing       mosaics of four pictures of four classes: the share of positive relevance in the right quarter
  randomisation  how alike explanations are when the model's weights become noise, from the output down
  stability      how far relevance moves under noise
  sparseness     the Gini index of |R|
  conservation   how much of the target's relevance arrives at the inputs, of LRP
Intervals are 95 %, by bootstrap; every method is compared with the first, input by input.

methods to compare with: gradient-input, saliency, smoothgrad, integrated-gradients, grad-cam, occlusion, random

{PREPARATION}

{COMPOSITES}
{BOUNDS}

Exit code: 0 done, 1 the model is rejected, 2 data, options or files are wrong, 130 interrupted (what --resume names
then holds all results up to there)."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp evaluate``."""
    parser.add_argument("model", metavar="MODEL", help="the ONNX file")
    add_inputs(parser)
    _add_methods(parser)
    add_explained(parser)
    _add_measures(parser)
    add_preprocessing(parser)
    _add_results(parser)
    add_computation(parser)


def run(args: Namespace) -> int:
    """Evaluate, write and print; 0 if all went well.

    Raises:
        OnnxLrpError: something did not; then no picture was written.
    """
    from .evaluating import run_evaluation

    tell(run_evaluation(args), args.quiet)
    return 0


def _add_methods(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to evaluate")
    group.add_argument(
        "--composites",
        metavar="NAME[:KEY=VALUE,...];...",
        type=composites,
        action="extend",
        default=None,
        help="rules of LRP, with semicolons between them; may be repeated; the first is what all are compared with "
        "(default: default;epsilon_plus;epsilon;gamma)",
    )
    group.add_argument(
        "--against", metavar="NAME,...", type=names, default=("gradient-input", "random"),
        help="other methods, or '' for none (default: gradient-input,random)",
    )  # fmt: skip
    add_seed(group)
    add_truth(group)


def _add_measures(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("how to measure")
    group.add_argument(
        "--measures", metavar="NAME,...", type=names, default=("flipping", "pointing"),
        help="see below (default: flipping,pointing)",
    )  # fmt: skip
    add_flipping(group)


def _add_results(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("results")
    group.add_argument("--json", action="store_true", help="print JSON instead of tables, with all numbers")
    group.add_argument("--curves", metavar="FILE.png", type=png, help="draw the curves of pixel flipping")
    group.add_argument(
        "--resume", metavar="FILE", help="keep every result there, and go on from those that it holds; made if missing"
    )
    add_force(group)
    add_talk(group)
