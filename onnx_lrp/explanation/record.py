"""The record of an explanation: everything that it takes to repeat it, and hashes of what went in and came out.

A record is canonical JSON: keys sorted, results of 9 significant digits, no date, no path but the names of files. So
the same explanation gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..errors import InputError
from .context import Context
from .fingerprint import DIGITS, array_facts, cells

FORMAT_OF_RECORD = "onnx_lrp record 1"


def record_of(
    explanations: Sequence[Any],
    *,
    names: Sequence[Sequence[str]] = (),
    labels: Sequence[str] = (),
    preprocessing: Mapping[str, Any] | None = None,
    warnings: Sequence[str] | None = None,
    pictures: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The record of explanations by one explainer, ready for JSON.

    Args:
        explanations: each an :class:`Explanation`, of one batch and one target per sample.
        names: for each of them, what its samples are called.
        labels: names of the classes; by default the explanation's own.
        preprocessing: how pictures became inputs; by default what the explanation knows.
        warnings: by default the explanations' own.
        pictures: SHA-256 of files that were drawn, by name.

    Raises:
        InputError: an explanation that was put together by hand has no record.
    """
    context = explanations[0].context
    if context is None:
        raise InputError("this explanation was put together by hand: nothing is known that could be recorded")
    doubts = [line for e in explanations for line in e.warnings] if warnings is None else warnings
    name = _file_name(context.model)
    found = [_rounded(_explanation(e, labels or e.labels)) for e in explanations]
    for one, titles in zip(found, names):
        one["names"] = [_file_name(title) for title in titles]
    return {
        "format": FORMAT_OF_RECORD,
        "model": {"name": name, "sha256": context.sha256, **context.settings.get("model", {})},
        "settings": {k: v for k, v in context.settings.items() if k not in ("model", "versions")},
        "versions": context.settings.get("versions", {}),
        "explains": context.explains, "profile": context.profile, "backend": context.backend, "dtype": context.dtype,
        "composite": context.composite, "rules": [list(row) for row in context.rules],
        "preprocessing": _prepared(preprocessing, context),
        "explanations": found,
        "warnings": [line.replace(context.model, name) for line in dict.fromkeys(doubts)],
        **({} if pictures is None else {"pictures": dict(pictures)}),
    }  # fmt: skip


def canonical(content: Any) -> str:
    """Canonical JSON, with a newline at the end; a number is written with as many digits as tell it apart."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def as_bytes(text: str) -> bytes:
    """UTF-8; what that cannot write, a name of broken bytes, is escaped."""
    return text.encode("utf-8", "backslashreplace")


def record_sha256(content: Mapping[str, Any]) -> str:
    """Of a record without its pictures, since those carry this hash themselves."""
    plain = {key: value for key, value in content.items() if key != "pictures"}
    return hashlib.sha256(as_bytes(canonical(plain))).hexdigest()


def _rounded(thing: Any) -> Any:
    """Results: a number that is not finite is None."""
    if isinstance(thing, Mapping):
        return {str(key): _rounded(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [_rounded(value) for value in thing]
    if isinstance(thing, float):
        return float(f"{thing + 0.0:.{DIGITS}g}") if math.isfinite(thing) else None
    return thing


def _file_name(path: str) -> str:
    """The last part of a path of any system."""
    return path.replace("\\", "/").rpartition("/")[2]


def _prepared(given: Mapping[str, Any] | None, context: Context) -> dict[str, Any] | None:
    if given is not None:
        return dict(given)
    return None if context.preprocessing is None else asdict(context.preprocessing)


def _explanation(e: Any, labels: Sequence[str]) -> dict[str, Any]:
    samples, data = len(e), e.context.data
    ledger = [
        [n.node, n.op, n.rule, n.relevance_in, n.relevance_out, n.amplification, n.kind] for n in e.ledger
    ]  # fmt: skip
    return {
        "inputs": {name: array_facts(array) for name, array in data.items()},
        "output": array_facts(e.output),
        "samples": [_sample(e, i, labels) for i in range(samples)],
        "relevance": {name: _traced(r, samples) for name, r in e.inputs.items()},
        "layers": {name: _traced(r, samples) for name, r in e.layers.items()},
        "ledger": ledger,
    }


def _traced(relevance: np.ndarray, samples: int) -> dict[str, Any]:
    return {**array_facts(relevance), "cells": cells(relevance, samples)}


def _sample(e: Any, i: int, labels: Sequence[str]) -> dict[str, Any]:
    target, best, account = int(e.target[i]), int(e.prediction[i]), e.conservation
    shares = e.probabilities
    place = i if len(account.inputs) == len(e) else 0
    sums = {"target": account.target, "inputs": account.inputs, "absorbed": account.absorbed, "size": account.size}
    return {
        "target": _class(e, i, target, shares, labels),
        "prediction": _class(e, i, best, shares, labels),
        "conservation": {name: None if a is None else float(a[place]) for name, a in sums.items()},
    }


def _class(e: Any, i: int, index: int, shares: np.ndarray | None, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "index": index, "label": labels[index] if index < len(labels) else None,
        "value": float(e.output[i].reshape(-1)[index]),
        "probability": None if shares is None else float(shares[i, index]),
    }  # fmt: skip
