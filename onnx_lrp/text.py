"""Names from a model are somebody else's text: clean them before they reach a terminal, a log or a file name."""

from __future__ import annotations

from collections.abc import Sequence


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


def under(profile: str) -> str:
    """How a report names a profile; strict, the default, is not named."""
    return "" if profile == "strict" else f" under profile {profile}"


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns under their titles, line by line."""
    widths = [max(map(len, column)) for column in zip(titles, *rows)]
    lines = [titles, ["-" * width for width in widths], *rows]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
