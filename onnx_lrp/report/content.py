"""What a report says, as plain words, numbers and data URIs: the page has no logic of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..checking.check import Report
from ..explanation import Explanation
from ..explanation.record import canonical, record_sha256
from ..pictures.heatmap import strongest
from ..text import printable
from .drawing import map_uri, scale_uri
from .waterfall import waterfall

SHOWN_CLASSES = 5  # of the table of probabilities


@dataclass(frozen=True)
class Shown:
    """What there is to see of one input of one sample.

    Attributes:
        name: of the input.
        photo: a data URI, if it is a picture.
        planes: relevance (H, W) per explained class, if it can be drawn.
        words: per class, (token, share of Σ|R|, background, ink) of every token.
        features: per class, (feature, value, relevance) of the strongest ones.
    """

    name: str
    photo: str | None = None
    planes: Sequence[np.ndarray] = ()
    words: Sequence[Sequence[tuple[str, float, str, str]]] = ()
    features: Sequence[Sequence[tuple[str, str, str]]] = ()


@dataclass(frozen=True)
class Case:
    """One sample: ``ranks`` are its explanations, each a batch of one, the first one's class comes first."""

    title: str
    ranks: Sequence[Explanation]
    shown: Sequence[Shown]
    labels: Sequence[str] = ()
    layers: Mapping[str, np.ndarray] = field(default_factory=dict)  # the first class's, (H, W) by name


@dataclass(frozen=True)
class Told:
    """What a report says besides its samples; ``percentile`` of |R| gets the strongest colour."""

    verdict: Report
    record: Mapping[str, Any]
    warnings: Sequence[str]
    notes: Sequence[str]
    quality: Mapping[str, Any] | None = None
    percentile: float = 99.5


def content_of(told: Told, cases: Sequence[Case]) -> dict[str, Any]:
    """Everything that the page shows."""
    record = told.record
    return {
        "model": printable(str(record["model"]["name"])), "explains": printable(str(record["explains"])),
        "composite": printable(str(record["composite"])), "scale": scale_uri(), "told": told, "record": record,
        "cases": [_case(case, i, told.percentile) for i, case in enumerate(cases)], "quality": told.quality,
        "provenance": _provenance(record), "json": canonical(record), "toml": record["settings"]["composite"] or "",
        "rules": [[printable(cell, 80) for cell in (r.node, r.op, r.shape, r.role, r.rule)] for r in told.verdict.rows],
    }  # fmt: skip


def _provenance(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings, inputs = record["settings"], record["explanations"]
    names = [name for one in inputs for name in one.get("names", [])]
    seed = settings["seed"]
    against = f" against {', '.join(map(str, seed['classes']))}" if seed.get("classes") else ""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    prepared = record["preprocessing"]
    rows = [
        ("model", record["model"]["name"]), ("SHA-256 of the model", record["model"]["sha256"]),
        *((f"SHA-256 of {name}", digest) for name, digest in record["model"].get("weights", {}).items()),
        ("inputs", ", ".join(dict.fromkeys(names))),
        *((f"SHA-256 of input {name}, batch {i + 1}", facts["sha256"])
          for i, one in enumerate(_batches(inputs)) for name, facts in one.items()),
        ("explained tensor", record["explains"]), ("profile", record["profile"]),
        ("relevance starts with", f"{seed['kind']}{against}"),
        ("computed by", f"{record['backend']}, {record['dtype']}"), ("versions", versions),
        ("preprocessing", "; ".join(f"{k} {v}" for k, v in prepared.items()) if prepared else "none"),
        ("SHA-256 of the record", record_sha256(record)),
    ]  # fmt: skip
    return [(printable(str(name)), printable(str(value), 2000)) for name, value in rows]


def _batches(explanations: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The inputs of each batch once, however many classes were explained of it."""
    found: list[Mapping[str, Any]] = []
    for one in explanations:
        if one["inputs"] not in found:
            found.append(one["inputs"])
    return found


def _case(case: Case, number: int, percentile: float) -> dict[str, Any]:
    first = case.ranks[0]
    account = first.conservation
    bars = waterfall(first.ledger, float(account.target.sum()), float(account.inputs.sum())) if first.ledger else []
    classes = [_class_of(e, 0, int(e.target[0]), case.labels) for e in case.ranks]
    return {
        "number": number, "title": case.title, "classes": classes, "bars": bars,
        "best": _class_of(first, 0, int(first.prediction[0]), case.labels),
        "table": _ranking(first, case.labels),
        "accounts": [_account(e) for e in case.ranks],
        "shown": [_shown(one, case.title, classes, percentile) for one in case.shown],
        "layers": [_layer(name, plane, percentile) for name, plane in case.layers.items()],
    }  # fmt: skip


def _class_of(e: Explanation, i: int, index: int, labels: Sequence[str]) -> dict[str, Any]:
    scores, shares = e.output[i], e.probabilities
    flat = scores.size in (1, *scores.shape)
    place = str(index if flat else tuple(map(int, np.unravel_index(index, scores.shape))))
    name = printable(labels[index], 80) if index < len(labels) else ""
    return {
        "index": place, "label": name, "name": f"{place} ({name})" if name else place,
        "value": float(scores.reshape(-1)[index]), "probability": None if shares is None else float(shares[i, index]),
    }  # fmt: skip


def _ranking(e: Explanation, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The largest outputs, and where they are not among them, those that are explained."""
    order = np.argsort(-e.output[0].reshape(-1), kind="stable")[:SHOWN_CLASSES].tolist()
    return [_class_of(e, 0, int(index), labels) for index in dict.fromkeys([*order, int(e.target[0])])]


def _account(e: Explanation) -> dict[str, float]:
    account = e.conservation
    return {"target": float(account.target.sum()), "inputs": float(account.inputs.sum()),
            "absorbed": float(account.absorbed.sum())}  # fmt: skip


def _shown(one: Shown, title: str, classes: Sequence[Mapping[str, Any]], percentile: float) -> dict[str, Any]:
    limit = max((strongest(plane, percentile) for plane in one.planes), default=0.0)
    return {
        "name": printable(one.name), "photo": one.photo, "limit": limit, "words": one.words, "features": one.features,
        "maps": [
            {"uri": map_uri(plane, limit), "class": c, "alt": f"Relevance of {title} for {c['name']}: {_where(plane)}"}
            for plane, c in zip(one.planes, classes)
        ],
    }  # fmt: skip


def _layer(name: str, plane: np.ndarray, percentile: float) -> dict[str, Any]:
    limit = strongest(plane, percentile)
    return {"name": printable(name), "uri": map_uri(plane, limit), "limit": limit,
            "alt": f"Map of relevance inside of the network, {printable(name)}: {_where(plane)}"}  # fmt: skip


def _where(plane: np.ndarray) -> str:
    """In words: where the largest relevance is."""
    size = np.abs(plane)
    if not size.any():
        return "no relevance"
    row, column = np.unravel_index(int(size.argmax()), plane.shape)
    places = [(i + 0.5) / n for i, n in zip((row, column), plane.shape)]
    upright, across = (("low", "middle", "high")[min(int(3 * p), 2)] for p in places)
    vertical = {"low": "top", "middle": "middle", "high": "bottom"}[upright]
    horizontal = {"low": "left", "middle": "centre", "high": "right"}[across]
    sign = "for" if plane[row, column] > 0 else "against"
    return f"the strongest speaks {sign} it, in the {vertical} {horizontal}"
