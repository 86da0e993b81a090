"""Names from a model are somebody else's text: clean them before they reach a terminal, a log or a file name."""

from __future__ import annotations


def clean(text: str, limit: int = 120) -> str:
    """One printable line: what does not print is escaped, and long text shortened in the middle."""
    safe = "".join(c if c.isprintable() else _escaped(c) for c in text[: 4 * limit])
    if len(text) > 4 * limit or len(safe) > limit:
        safe = safe[: limit // 2] + "…" + clean(text[-limit // 2 :], limit)[-(limit // 2) :]
    return safe


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
