"""Text in pictures: in the letters that the font has, and never wider than its place."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from ..text import printable
from .sheet import font

ABSENT = "\U0010ffff"  # drawn as whatever a font draws for a letter that it lacks
LIKENESS = {
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "ß": "ss",
    "ø": "o",
    "ł": "l",
    "æ": "ae",
    "’": "'",
    "×": "x",
    "→": "->",
}
LONGEST_LINE = 400


@cache
def letters(size: int) -> Any:
    """The font in one size."""
    return font(size)


def drawable(text: str) -> str:
    """The text in letters of the font: others lose their accents, and what is still unknown becomes a question mark."""
    return "".join(_drawable(c) for c in text)


@cache
def _drawable(character: str) -> str:
    if character.isascii() or _has(character):
        return character
    plain = LIKENESS.get(character) or "".join(
        c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c)
    )
    return plain if plain and all(c.isascii() or _has(c) for c in plain) else "?"


def _has(character: str) -> bool:
    drawn, absent = (letters(16).getmask(c) for c in (character, ABSENT))
    return bool(drawn.size != absent.size or bytes(drawn) != bytes(absent))


def fitted(text: str, size: int, width: float) -> str:
    """One line of text, shortened in the middle until it is at most so many pixels wide."""
    line = drawable(printable(text, LONGEST_LINE))
    longest = len(line)
    while letters(size).getlength(line) > width and longest > 2:
        longest -= 1 if longest < 80 else longest // 20
        line = drawable(printable(text, longest))
    return line
