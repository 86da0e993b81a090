"""Names from a model are somebody else's text: clean them before they reach a terminal, a log or a file name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

LONGEST_PATH = 100


def printable(text: str, limit: int = 120) -> str:
    """One printable line: what does not print is escaped, and long text shortened in the middle."""
    if len(text) <= limit and text.isprintable():
        return text
    safe = "".join(c if c.isprintable() else _escaped(c) for c in text[: 4 * limit])
    if len(text) > 4 * limit or len(safe) > limit:
        safe = safe[: limit // 2] + "…" + printable(text[-limit // 2 :], limit)[-(limit // 2) :]
    return safe


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def brief(path: str, limit: int = LONGEST_PATH) -> str:
    """A path as a message names it: of a long one the last folders and the file, so that the reason stays near."""
    safe = printable(path, 4096)
    if len(safe) <= limit:
        return safe
    folders, name = os.path.split(safe)
    kept = printable(name, limit - 2)
    for folder in reversed(folders.split(os.sep)):
        if len(kept) + len(folder) + 3 > limit:
            break
        kept = os.path.join(folder, kept)
    return os.path.join("…", kept)


def nearest(word: str, known: Iterable[str], most: int = 1) -> str:
    """``; did you mean seed?``, or nothing where no known word is like this one."""
    import difflib  # only where something went wrong

    near = difflib.get_close_matches(word, list(known), most, 0.6)
    return f"; did you mean {' or '.join(map(printable, near))}?" if near else ""


def under(profile: str) -> str:
    """How a report names a profile; strict, the default, is not named."""
    return "" if profile == "strict" else f" under profile {profile}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns under their titles, line by line."""
    widths = [max(map(len, column)) for column in zip(titles, *rows)]
    lines = [titles, ["-" * width for width in widths], *rows]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
