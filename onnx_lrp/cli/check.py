"""check: say whether a model can be explained, node by node."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace

from ..errors import OnnxLrpError
from .arguments import COMPOSITES, add_model

NAME = "check"
EPILOG = f"{COMPOSITES}\n\nExit code: 0 supported, 1 rejected, 2 the file cannot be read or an option is wrong."


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp check``."""
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: Namespace) -> int:
    """Print the report; 0 if the model is supported, else 1.

    Raises:
        OnnxLrpError: there is no report: the file is unreadable or malformed, or an option is wrong.
    """
    from ..checking.check import check
    from ..text import printable

    try:
        report = check(args.model, args.composite, args.output, args.pass_op)
    except OnnxLrpError as error:
        if args.json:
            _print_json({"source": printable(args.model), "supported": False, "error": str(error)})
        raise
    if args.json:
        _print_json(report.as_dict())
    else:
        print(report)
    return 0 if report.supported else 1


def _print_json(content: dict[str, object]) -> None:
    json.dump(content, sys.stdout, indent=2)
    print()
