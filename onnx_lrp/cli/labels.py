"""Read class names, one per line."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..text import printable
from ..writing import shown

MOST_LABEL_BYTES = 16 << 20


def read_labels(path: str | None) -> tuple[str, ...]:
    """The names, fit for a terminal; none if there is no file.

    Raises:
        InputError: not a text file that can be read.
    """
    if path is None:
        return ()
    file = Path(path)
    if not file.is_file():  # a folder, or a pipe that would never end
        raise InputError(f"{shown(path)}: no such file of labels; check the path")
    if file.stat().st_size > MOST_LABEL_BYTES:
        raise InputError(f"{shown(path)}: too large for a list of class names")
    try:
        lines = file.read_text("utf-8-sig").rstrip().split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{shown(path)}: not a UTF-8 text file with one class name per line") from None
    return tuple(printable(line.strip()) for line in lines)
