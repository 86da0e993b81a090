"""doctor: say what is installed, and whether every backend explains a tiny network alike."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace

NAME = "doctor"
EPILOG = """\
The self-test explains a tiny network in memory by each backend that is installed, and compares it with NumPy's answer
in float64. Nothing is fetched, written or sent.

Exit code: 0 all is well, 1 a backend fails or differs, or a package that is needed is missing."""


def add_arguments(parser: ArgumentParser) -> None:
    """The options of ``onnx-lrp doctor``."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def run(args: Namespace) -> int:
    """Examine and print; 0 if all is well, else 1."""
    from .examining import examine

    found = examine()
    print(json.dumps(found.as_dict(), indent=2) if args.json else found)
    return int(not found.well)
