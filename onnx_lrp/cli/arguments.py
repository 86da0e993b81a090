"""Options that commands share, and a parser that complains in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

COMPOSITES = """\
composites: epsilon, epsilon_plus, epsilon_plus_flat, epsilon_alpha2_beta1, epsilon_alpha2_beta1_flat,
epsilon_gamma_box, layered, gamma, zplus, alpha_beta. Parameters follow a colon, one number per channel is written
with slashes: epsilon_gamma_box:low=-2.1/-2/-1.8,high=2.2/2.4/2.6,gamma=0.3"""


class Parser(argparse.ArgumentParser):
    """Errors are one line, as everywhere else; abbreviated options are refused, since they break when one is added."""

    def __init__(self, *args: str, **options: object) -> None:
        options = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **options}
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        from ..text import clean

        self.exit(2, f"onnx-lrp: error: {clean(message, 2000)}; see {self.prog} --help\n")


def add_model(parser: argparse.ArgumentParser) -> None:
    """MODEL, --composite, --output, --pass-op: the same for all commands."""
    parser.add_argument("model", metavar="MODEL", help="the ONNX file")
    parser.add_argument(
        "--composite",
        metavar="NAME[:KEY=VALUE,...]",
        default="epsilon_plus",
        help="which rule goes to which layer (default: %(default)s)",
    )
    parser.add_argument("--output", metavar="NAME", help="the model's output to explain (default: the first one)")
    parser.add_argument(
        "--pass-op",
        metavar="OP",
        action="append",
        default=[],
        help="let relevance pass an activation such as Gelu unchanged, on your own responsibility; may be repeated",
    )


def numbers(text: str) -> tuple[float, ...]:
    """``0.485,0.456,0.406``."""
    return tuple(float(part) for part in text.split(","))


def index(text: str) -> int | tuple[int, ...]:
    """``7``, or ``1,5,3`` for one element of an output of higher rank."""
    parts = tuple(int(part) for part in text.split(","))
    return parts[0] if len(parts) == 1 else parts


def count(text: str) -> int:
    """An integer above 0."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def threads(text: str) -> int:
    """From 0 to 1024: each thread costs memory."""
    if not 0 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError("must be from 0 to 1024")
    return int(text)


def png(text: str) -> str:
    """A file name that ends in .png."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError("pictures are written as PNG; give a name that ends in .png")
    return text
