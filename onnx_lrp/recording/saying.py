"""How a difference is said: in the words of one line, and as a share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..text import printable

NOT_COMPARED = "label"  # whoever repeats an explanation needs no names of classes


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Attributes:
        what: the model, an input, the rules, relevance, ...
        line: both sides, and by how much.
        drift: of arrays, the largest difference of a cell over the largest Σ|R| of one; infinity of all else.
    """

    what: str
    line: str
    drift: float = float("inf")

    def __str__(self) -> str:
        return f"{self.what}: {self.line}"


def unequal(a: Any, b: Any) -> str:
    """Two hashes that differ."""
    return f"SHA-256 differs: {str(a)[:16]}… in the record, {str(b)[:16]}… here"


def hash_words(a: Any, b: Any) -> str:
    """What is unequal of two arrays' dtype, shape and hash."""
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return "only in the record" if b is None else "not in the record"
    for key in ("dtype", "shape"):
        if a.get(key) != b.get(key):
            return f"{key} {both_sides(a.get(key), b.get(key))}"
    if a.get("sha256") == b.get("sha256"):
        return "the hash agrees, the sums beside it do not: the record was changed"
    return unequal(a.get("sha256"), b.get("sha256"))


def both_sides(a: Any, b: Any) -> str:
    """Two values beside each other."""
    return f"{printable(str(a), 300)} in the record, {printable(str(b), 300)} here"


def compared(thing: Any) -> Any:
    """Without what is not compared."""
    if isinstance(thing, Mapping):
        return {key: compared(value) for key, value in thing.items() if key != NOT_COMPARED}
    return thing


def _leaves(thing: Any) -> Iterator[Any]:
    if isinstance(thing, Mapping):
        for key in sorted(thing):
            yield from _leaves(thing[key])
    elif isinstance(thing, list):
        for value in thing:
            yield from _leaves(value)
    else:
        yield thing


def gap(a: Any, b: Any) -> float:
    """The largest difference of two numbers in the same place over the largest number; infinity of all else."""
    x, y = list(_leaves(a)), list(_leaves(b))
    if len(x) != len(y) or any(p != q and not (isinstance(p, float) and isinstance(q, float)) for p, q in zip(x, y)):
        return float("inf")
    pairs = [(p, q) for p, q in zip(x, y) if isinstance(p, float) and isinstance(q, float)]
    scale = max((abs(q) for _, q in pairs), default=0.0) or 1.0
    return max((abs(p - q) for p, q in pairs), default=0.0) / scale


def first_difference(a: Any, b: Any) -> str:
    """Where two things differ first."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        key = next(
            key for key in sorted({*a, *b}) if key != NOT_COMPARED and compared(a.get(key)) != compared(b.get(key))
        )
        return f"{printable(key)} {first_difference(a.get(key), b.get(key))}".replace(" : ", ": ")
    return both_sides(a, b)


def title_of(record: Mapping[str, Any], i: int) -> str:
    """What to call one of the explanations."""
    names = record["explanations"][i].get("names") or []
    number = f"explanation {i + 1}" if len(record["explanations"]) > 1 or not names else ""
    first = [printable(str(names[0])) + (f" and {len(names) - 1} more" if len(names) > 1 else "")] if names else []
    return ", ".join(filter(None, [*first, number]))
