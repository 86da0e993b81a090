"""Two records held against each other: what differs, and by how much."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..explanation.fingerprint import numbers_of
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


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[Difference]:
    """Everything that two records differ in, but for versions and pictures; ``found`` is the one made anew."""
    fed = list(of_inputs(recorded, found))
    if fed:
        return fed
    return [*_how(recorded, found), *_results(recorded, found), *_said(recorded, found)]


def of_model(recorded: Mapping[str, Any], sha256: str, weights: Mapping[str, str]) -> list[Difference]:
    """Whether it is another model: its file, or one of those with its weights."""
    known = recorded["model"]
    lines = [_hashes("model", known.get("sha256"), sha256)] if known.get("sha256") != sha256 else []
    for name, other in (known.get("weights") or {}).items():
        if weights.get(name) != other:
            lines.append(_hashes(f"weights {printable(name)}", other, weights.get(name)))
    return lines


def of_inputs(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    """Inputs of other bytes, by name."""
    seen = set()
    for i, (a, b) in enumerate(zip(recorded["explanations"], found["explanations"])):
        for name in sorted({*a["inputs"], *b["inputs"]}):
            x, y = a["inputs"].get(name), b["inputs"].get(name)
            if x != y and (name, str(x)) not in seen:
                seen.add((name, str(x)))
                yield _arrays(f"input {printable(name)!r} of {_named(recorded, i)}", x, y)


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
        Difference(f"input {printable(name)!r} of {_named(recorded, place)}", f"shape {_both(a, b)}")
        for name, place, a, b in shapes if a != b
    ]  # fmt: skip


def of_versions(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What to say of other versions: they are no difference, but may be the reason of one."""
    a, b = recorded["versions"], found["versions"]
    return [f"{name} {printable(str(a.get(name)))} made the record, here it is {b.get(name)}"
            for name in sorted({*a, *b}) if a.get(name) != b.get(name)]  # fmt: skip


def _how(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """The rules and settings."""
    for key in ("explains", "profile", "backend", "dtype", "composite"):
        if a.get(key) != b.get(key):
            yield Difference(key, _both(a.get(key), b.get(key)))
    for key in sorted({*a["settings"], *b["settings"]}):
        if a["settings"].get(key) != b["settings"].get(key):
            yield Difference(f"setting {key}", _both(a["settings"].get(key), b["settings"].get(key)))
    pairs = list(zip(a["rules"], b["rules"]))
    other = [(x, y) for x, y in pairs if x != y]
    if len(a["rules"]) != len(b["rules"]):
        yield Difference("rules", f"{len(a['rules'])} nodes took a rule in the record, {len(b['rules'])} here")
    elif other:
        x, y = other[0]
        yield Difference("rules", f"{len(other)} of {len(pairs)} nodes took another one; the first: {_both(x, y)}")


def _said(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """Warnings; their numbers are those of the explanations."""
    said, here = ([re.sub(r"[\d.]+(e[+-]?\d+)?", "#", str(line)) for line in x["warnings"]] for x in (a, b))
    if said != here:
        yield Difference("warnings", _both(a["warnings"], b["warnings"]))


def _results(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    for i, (a, b) in enumerate(zip(recorded["explanations"], found["explanations"])):
        where = _named(recorded, i)
        for kind, word in (("relevance", "relevance of input"), ("layers", "relevance of layer")):
            for name in sorted({*a[kind], *b[kind]}):
                x, y = a[kind].get(name), b[kind].get(name)
                if x != y:
                    yield _relevance(f"{word} {printable(name)!r} of {where}", x, y)
        if a["output"] != b["output"]:
            yield Difference(f"output of {where}", f"{_words(a['output'], b['output'])}; {_values(a, b)}", _off(a, b))
        yield from _account(a, b, where)
    if len(recorded["explanations"]) != len(found["explanations"]):
        yield Difference("explanations", _both(len(recorded["explanations"]), len(found["explanations"])))


def _account(a: Mapping[str, Any], b: Mapping[str, Any], where: str) -> Iterator[Difference]:
    """Predictions, probabilities, sums, the ledger: numbers of 9 digits."""
    for part in ("samples", "ledger"):
        for row, (x, y) in enumerate(zip(a[part], b[part])):
            if _plain(x) != _plain(y):
                what = f"sample {row}" if part == "samples" else f"ledger, line {row + 1}"
                yield Difference(f"{what} of {where}", _first(x, y), _gap(_plain(x), _plain(y)))
                break
        if len(a[part]) != len(b[part]):
            yield Difference(f"{part} of {where}", f"{len(a[part])} in the record, {len(b[part])} here")


def _relevance(what: str, a: Any, b: Any) -> Difference:
    try:
        pairs = [(numbers_of(x[k]), numbers_of(y[k])) for x, y in zip(a["cells"], b["cells"]) for k in ("sum", "size")]
        drift = max(float(np.abs(x - y).max()) for x, y in pairs)
        scale = max(float(np.abs(y).max()) for _, y in pairs) or 1.0
    except (KeyError, TypeError, ValueError):
        return _arrays(what, a, b)
    if (a.get("dtype"), a.get("shape")) != (b["dtype"], b["shape"]) or len(a["cells"]) != len(b["cells"]):
        return _arrays(what, a, b)
    same = "the sums of all cells agree to 9 digits" if drift == 0 else (
        f"the sums of a cell differ by at most {drift:.3g}, {drift / scale:.2g} of the largest"
    )  # fmt: skip
    return Difference(what, f"{_words(a, b)}; {same}", drift / scale)


def _arrays(what: str, a: Any, b: Any) -> Difference:
    return Difference(what, _words(a, b))


def _words(a: Any, b: Any) -> str:
    if not isinstance(a, Mapping) or not isinstance(b, Mapping):
        return "only in the record" if b is None else "not in the record"
    for key in ("dtype", "shape"):
        if a.get(key) != b.get(key):
            return f"{key} {_both(a.get(key), b.get(key))}"
    if a.get("sha256") == b.get("sha256"):
        return "the hash agrees, the sums beside it do not: the record was changed"
    return str(_hashes("", a.get("sha256"), b.get("sha256")).line)


def _hashes(what: str, a: Any, b: Any) -> Difference:
    return Difference(what, f"SHA-256 differs: {str(a)[:16]}… in the record, {str(b)[:16]}… here")


def _both(a: Any, b: Any) -> str:
    return f"{printable(str(a), 300)} in the record, {printable(str(b), 300)} here"


def _values(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    return f"the explained values differ by {_off(a, b):.2g} of the largest"


def _off(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    return max((_gap(x.get("target"), y.get("target")) for x, y in zip(a["samples"], b["samples"])), default=0.0)


def _plain(thing: Any) -> Any:
    """Without what is not compared."""
    if isinstance(thing, Mapping):
        return {key: _plain(value) for key, value in thing.items() if key != NOT_COMPARED}
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


def _gap(a: Any, b: Any) -> float:
    """The largest difference of two numbers in the same place over the largest number; infinity of all else."""
    x, y = list(_leaves(a)), list(_leaves(b))
    if len(x) != len(y) or any(p != q and not (isinstance(p, float) and isinstance(q, float)) for p, q in zip(x, y)):
        return float("inf")
    pairs = [(p, q) for p, q in zip(x, y) if isinstance(p, float) and isinstance(q, float)]
    scale = max((abs(q) for _, q in pairs), default=0.0) or 1.0
    return max((abs(p - q) for p, q in pairs), default=0.0) / scale


def _first(a: Any, b: Any) -> str:
    """Where two things differ first."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        key = next(key for key in sorted({*a, *b}) if key != NOT_COMPARED and _plain(a.get(key)) != _plain(b.get(key)))
        return f"{printable(key)} {_first(a.get(key), b.get(key))}".replace(" : ", ": ")
    return _both(a, b)


def _named(record: Mapping[str, Any], i: int) -> str:
    names = record["explanations"][i].get("names") or []
    number = f"explanation {i + 1}" if len(record["explanations"]) > 1 or not names else ""
    first = [printable(str(names[0])) + (f" and {len(names) - 1} more" if len(names) > 1 else "")] if names else []
    return ", ".join(filter(None, [*first, number]))
