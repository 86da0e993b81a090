"""Two records held against each other: what differs, and by how much."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..explanation.fingerprint import numbers_of
from ..text import printable
from .saying import Difference, both_sides, compared, first_difference, gap, hash_words, title_of
from .sources import of_inputs


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[Difference]:
    """Everything that two records differ in, but for versions and pictures; ``found`` is the one made anew."""
    fed = list(of_inputs(recorded, found))
    if fed:
        return fed
    return [*_how(recorded, found), *_results(recorded, found), *_said(recorded, found)]


def _how(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """The rules and settings."""
    for key in ("explains", "profile", "backend", "dtype", "composite"):
        if a.get(key) != b.get(key):
            yield Difference(key, both_sides(a.get(key), b.get(key)))
    for key in sorted({*a["settings"], *b["settings"]}):
        if a["settings"].get(key) != b["settings"].get(key):
            yield Difference(f"setting {key}", both_sides(a["settings"].get(key), b["settings"].get(key)))
    pairs = list(zip(a["rules"], b["rules"]))
    other = [(x, y) for x, y in pairs if x != y]
    if len(a["rules"]) != len(b["rules"]):
        yield Difference("rules", f"{len(a['rules'])} nodes took a rule in the record, {len(b['rules'])} here")
    elif other:
        x, y = other[0]
        yield Difference("rules", f"{len(other)} of {len(pairs)} nodes took another one; the first: {both_sides(x, y)}")


def _said(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    """Warnings; their numbers are those of the explanations."""
    said, here = ([re.sub(r"[\d.]+(e[+-]?\d+)?", "#", str(line)) for line in x["warnings"]] for x in (a, b))
    if said != here:
        yield Difference("warnings", both_sides(a["warnings"], b["warnings"]))


def _results(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    for i, (a, b) in enumerate(zip(recorded["explanations"], found["explanations"])):
        where = title_of(recorded, i)
        for kind, word in (("relevance", "relevance of input"), ("layers", "relevance of layer")):
            for name in sorted({*a[kind], *b[kind]}):
                x, y = a[kind].get(name), b[kind].get(name)
                if x != y:
                    yield _relevance(f"{word} {printable(name)!r} of {where}", x, y)
        if a["output"] != b["output"]:
            yield Difference(
                f"output of {where}", f"{hash_words(a['output'], b['output'])}; {_values(a, b)}", _off(a, b)
            )
        yield from _account(a, b, where)
    if len(recorded["explanations"]) != len(found["explanations"]):
        yield Difference("explanations", both_sides(len(recorded["explanations"]), len(found["explanations"])))


def _account(a: Mapping[str, Any], b: Mapping[str, Any], where: str) -> Iterator[Difference]:
    """Predictions, probabilities, sums, the ledger: numbers of 9 digits."""
    for part in ("samples", "ledger"):
        for row, (x, y) in enumerate(zip(a[part], b[part])):
            if compared(x) != compared(y):
                what = f"sample {row}" if part == "samples" else f"ledger, line {row + 1}"
                yield Difference(f"{what} of {where}", first_difference(x, y), gap(compared(x), compared(y)))
                break
        if len(a[part]) != len(b[part]):
            yield Difference(f"{part} of {where}", f"{len(a[part])} in the record, {len(b[part])} here")


def _relevance(what: str, a: Any, b: Any) -> Difference:
    try:
        pairs = [(numbers_of(x[k]), numbers_of(y[k])) for x, y in zip(a["cells"], b["cells"]) for k in ("sum", "size")]
        drift = max(float(np.abs(x - y).max()) for x, y in pairs)
        scale = max(float(np.abs(y).max()) for _, y in pairs) or 1.0
    except (KeyError, TypeError, ValueError):
        return Difference(what, hash_words(a, b))
    if (a.get("dtype"), a.get("shape")) != (b["dtype"], b["shape"]) or len(a["cells"]) != len(b["cells"]):
        return Difference(what, hash_words(a, b))
    same = "the sums of all cells agree to 9 digits" if drift == 0 else (
        f"the sums of a cell differ by at most {drift:.3g}, {drift / scale:.2g} of the largest"
    )  # fmt: skip
    return Difference(what, f"{hash_words(a, b)}; {same}", drift / scale)


def _values(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    return f"the explained values differ by {_off(a, b):.2g} of the largest"


def _off(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    return max((gap(x.get("target"), y.get("target")) for x, y in zip(a["samples"], b["samples"])), default=0.0)
