"""tune: find a composite and a seed that explain a model better than the default on your own data."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from .arguments import PREPARATION, add_computation, add_explained, add_force, add_inputs, add_preprocessing, add_talk
from .measured import add_flipping, add_truth
from .telling import tell
from .words import count, numbers

NAME = "tune"
EPILOG = f"""\
Candidates are chosen on some of the inputs, one thing after the other: what counts as a dense head, the rule of the
first layers, the seed, what biases absorb, the rule of merges, and gamma by zone; the measures are pixel flipping (p,
see `onnx-lrp evaluate --help`) and grid pointing together, since either alone can be gamed. What comes out and the
default are then compared on the other inputs. The default is kept unless the other one is significantly better in one
measure and significantly worse in none. The file holds the composite with its seed, and the evidence:

  onnx-lrp explain MODEL INPUT --composite FILE.toml

{PREPARATION}

Where z^B needs the bounds of the input and none are given, they are what black and white pixels become.

Exit code: 0 done, also where the default is kept; 1 the model is rejected, 2 data, options or files are wrong, 130
interrupted."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp tune``."""
    parser.add_argument("model", metavar="MODEL", help="the ONNX file")
    add_inputs(parser)
    parser.add_argument("-o", "--out", metavar="FILE.toml", type=toml, required=True, help="where the composite goes")
    _add_choosing(parser)
    add_explained(parser)
    add_flipping(parser.add_argument_group("how to measure"))
    add_preprocessing(parser)
    group = parser.add_argument_group("results")
    group.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_force(group)
    add_talk(group)
    add_computation(parser)


def run(args: Namespace) -> int:
    """Tune, write and print; 0 if all went well.

    Raises:
        OnnxLrpError: something did not; then nothing was written.
    """
    from .tuning import run_tuning

    tell(run_tuning(args), args.quiet)
    return 0


def toml(text: str) -> str:
    """A file name that ends in .toml."""
    if not text.endswith(".toml"):
        raise ArgumentTypeError("composites are written as TOML; give a name that ends in .toml")
    return text


def _add_choosing(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to tune by")
    group.add_argument(
        "--tuning",
        metavar="N",
        type=count,
        default=32,
        help="how many inputs to choose by, at most half of all; the others are held out (default: %(default)s)",
    )
    add_truth(group)
    group.add_argument("--low", metavar="X,...", type=numbers, help="least value of the input, or one per channel")
    group.add_argument("--high", metavar="X,...", type=numbers, help="largest value of the input, or one per channel")
