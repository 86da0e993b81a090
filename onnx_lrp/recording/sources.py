"""What went into a record, against what is given now: the model, the inputs, the versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..text import printable
from .saying import Difference, both_sides, hash_words, title_of, unequal


def of_model(recorded: Mapping[str, Any], sha256: str, weights: Mapping[str, str]) -> list[Difference]:
    """Whether it is another model: its file, or one of those with its weights."""
    known = recorded["model"]
    lines = [Difference("model", unequal(known.get("sha256"), sha256))] if known.get("sha256") != sha256 else []
    for name, other in (known.get("weights") or {}).items():
        if weights.get(name) != other:
            lines.append(Difference(f"weights {printable(name)}", unequal(other, weights.get(name))))
    return lines


def of_inputs(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    """Inputs of other bytes, by name."""
    seen = set()
    for i, (a, b) in enumerate(zip(recorded["explanations"], found["explanations"])):
        for name in sorted({*a["inputs"], *b["inputs"]}):
            x, y = a["inputs"].get(name), b["inputs"].get(name)
            if x != y and (name, str(x)) not in seen:
                seen.add((name, str(x)))
                yield Difference(f"input {printable(name)!r} of {title_of(recorded, i)}", hash_words(x, y))


def of_shapes(recorded: Mapping[str, Any], feeds: Sequence[Mapping[str, np.ndarray]]) -> list[Difference]:
    """Inputs of other shapes, by name, before anything is computed; ``feeds`` are those of each batch."""
    parts = recorded["explanations"]
    ranks = max(len(parts) // max(len(feeds), 1), 1)
    if len(parts) % max(len(feeds), 1) or len(feeds) > len(parts):
        return [
            Difference("inputs", f"the record has {len(parts)} explanations, which {len(feeds)} batches do not give")
        ]
    shapes = [
        (name, i * ranks, parts[i * ranks]["inputs"].get(name, {}).get("shape"), list(x.shape))
        for i, fed in enumerate(feeds) for name, x in fed.items()
    ]  # fmt: skip
    return [
        Difference(f"input {printable(name)!r} of {title_of(recorded, place)}", f"shape {both_sides(a, b)}")
        for name, place, a, b in shapes if a != b
    ]  # fmt: skip


def of_versions(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What to say of other versions: they are no difference, but may be the reason of one."""
    a, b = recorded["versions"], found["versions"]
    return [f"{name} {printable(str(a.get(name)))} made the record, here it is {b.get(name)}"
            for name in sorted({*a, *b}) if a.get(name) != b.get(name)]  # fmt: skip
