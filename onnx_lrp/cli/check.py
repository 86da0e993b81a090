"""check: say whether a model can be explained, node by node."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from ..errors import OnnxLrpError
from .arguments import COMPOSITES, add_labels, add_model, add_talk

NAME = "check"
EPILOG = f"{COMPOSITES}\n\nExit code: 0 supported, 1 rejected, 2 the file cannot be read or an option is wrong."


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp check``."""
    add_model(parser)
    parser.add_argument("--outputs", action="store_true", help="list the tensors that --output can name, and no more")
    parser.add_argument(
        "--image",
        metavar="PICTURE",
        help="prepare a picture in all ways that there are, and show what the model answers",
    )
    add_labels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_talk(parser)


def run(args: Namespace) -> int:
    """Print the report; 0 if the model is supported, else 1.

    Raises:
        OnnxLrpError: there is no report: the file is unreadable or malformed, or an option is wrong.
    """
    from ..checking.check import check
    from ..text import printable
    from .holding import held

    if args.outputs:
        return _outputs(args)
    if args.image:
        return _ways(args)
    try:
        report = check(args.model, args.composite, args.output, args.pass_op, held(args), dict(args.shape),
                       args.profile)  # fmt: skip
    except OnnxLrpError as error:
        if args.json:
            _print_json({"source": printable(args.model), "supported": False, "error": str(error)})
        raise
    if args.json:
        _print_json(report.as_dict())
    else:
        print(str(report).partition("\n")[0] if args.quiet else report)
    return 0 if report.supported else 1


def _outputs(args: Namespace) -> int:
    """List what can be explained; 1 if there is nothing."""
    from ..checking.outputs import candidates, listed

    found = candidates(args.model, args.profile)
    if args.json:
        _print_json([asdict(candidate) for candidate in found])
    else:
        print("\n".join(listed(found)))
    return 0 if found else 1


def _ways(args: Namespace) -> int:
    """What the model answers to one picture, prepared in all ways."""
    from .trying import ways_of

    print("\n".join(ways_of(args, [args.image])))
    return 0


def _print_json(content: object) -> None:
    json.dump(content, sys.stdout, indent=2)
    print()
