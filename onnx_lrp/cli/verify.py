"""verify: repeat what a record holds, and say whether it comes out equal, or by how much not."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .arguments import add_inputs
from .words import drift

NAME = "verify"
EPILOG = """\
Model, inputs and pictures are known by their SHA-256; composite, output, backend and everything else is the record's.
Relevance is compared bit by bit. Another machine or version may round differently: then it says by how much the sums
over the cells of an 8 x 8 grid differ, as a share of the largest; --tolerance 1e-5 lets such a difference pass.
Pictures are looked for beside the record.

Exit code: 0 equal, 1 not, 2 the record, data or options are wrong."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp verify``."""
    parser.add_argument("record", metavar="RECORD.json", help="what `onnx-lrp explain --record` wrote")
    parser.add_argument("model", metavar="MODEL", help="the ONNX file")
    add_inputs(parser)
    parser.add_argument(
        "--tolerance", metavar="X", type=drift, default=0.0, help="a difference of so much is none (default: 0)"
    )
    again = parser.add_argument_group("what a record does not hold, as it was given to explain")
    again.add_argument("--fixed", metavar="NAME=FILE.npy", action="append", default=[], help="held inputs")
    again.add_argument("--target", metavar="REGION", help="slices, or a .npy with a mask or weights")
    again.add_argument("--tokenizer", metavar="FILE.json", help="of an INPUT that ends in .txt")
    parser.set_defaults(tokens=None)


def run(args: Namespace) -> int:
    """Repeat and compare; 0 if all is equal, else 1.

    Raises:
        OnnxLrpError: it cannot be repeated.
    """
    from .repeating import verified

    lines, equal = verified(args)
    print("\n".join(lines))
    return 0 if equal else 1
