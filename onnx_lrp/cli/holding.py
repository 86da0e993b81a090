"""``--fixed NAME[=FILE.npy]``: inputs that are constants of the question, and where their values are."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..pictures.reading import read_input
from ..writing import shown


def files_of_fixed(args: Namespace) -> list[Path]:
    """The files among the values."""
    return [Path(file) for text in getattr(args, "fixed", None) or () if (file := text.partition("=")[2])]


def held(args: Namespace) -> dict[str, np.ndarray | None]:
    """The value of each fixed input; None for those that are fed like the others.

    Raises:
        InputError: a file that is not an array.
    """
    return {name: _read(file) if file else None for name, _, file in (text.partition("=") for text in args.fixed)}


def _read(file: str) -> np.ndarray:
    content = read_input(Path(file))
    if not isinstance(content, np.ndarray):
        raise InputError(f"{shown(file)}: the value of a fixed input is an array, saved as .npy")
    return content
