"""Small text files, line by line: class names, tokens, sentences, true classes."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..writing import shown

MOST_TEXT_BYTES = 16 << 20


def read_lines(path: str | os.PathLike[str], what: str) -> list[str]:
    """The lines without the spaces around them; empty ones at the end are left out.

    Args:
        path: a UTF-8 text file.
        what: what its lines are, for messages: ``"class names"``.

    Raises:
        InputError: not a text file that can be read.
    """
    file, name = Path(path), shown(os.fspath(path))
    if not file.is_file():  # a folder, or a pipe that would never end
        raise InputError(f"{name}: no such file of {what}; check the path")
    if file.stat().st_size > MOST_TEXT_BYTES:
        raise InputError(f"{name}: too large for {what}; split it")
    try:
        return [line.strip() for line in file.read_text("utf-8-sig").rstrip().split("\n")]
    except UnicodeDecodeError:
        raise InputError(f"{name}: not a UTF-8 text file with {what}, line by line; save it as UTF-8") from None
