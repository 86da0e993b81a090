"""The rows that a batch of explanations gives to the index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..explanation import Explanation
from .items import Item
from .loading import Prepped
from .order import Order

FAINT_SHARE = 0.1  # of the target, at the inputs: the same as for a single explanation


def row_of_failure(row: int, item: Item, reason: str, sha256: str | None = None) -> dict[str, Any]:
    """An input that has no answer."""
    return {"row": row, "input": item.name, "sha256": sha256, "label": item.label, "error": reason}


def answered_rows(
    explanation: Explanation, rows: Sequence[int], items: Sequence[Item], samples: Sequence[Prepped], order: Order
) -> list[dict[str, Any]]:
    """One for each of the first ``len(rows)`` samples of a batch; what follows only fills it up."""
    count, labels = len(rows), explanation.labels
    account = explanation.conservation
    shares = explanation.probabilities
    best, target = explanation.prediction.tolist(), explanation.target.tolist()
    sure = [None] * count if shares is None else shares[np.arange(len(shares)), explanation.prediction].tolist()
    start, given, absorbed = (a.tolist() for a in (account.target, account.inputs, account.absorbed))
    size = [None] * len(start) if account.size is None else account.size.tolist()
    doubts = _doubts(explanation, order)
    found = [
        {
            "row": rows[i], "input": items[i].name, "sha256": samples[i].sha256, "label": items[i].label,
            "prediction": best[i], "predicted": labels[best[i]] if labels else None, "probability": sure[i],
            "target": target[i], "explained": labels[target[i]] if labels else None, "start": start[i],
            "relevance": given[i], "absorbed": absorbed[i], "size": size[i], "warnings": doubts[i], "error": None,
        }
        for i in range(count)
    ]  # fmt: skip
    if "topk" in order.save:
        for row, top in zip(found, _top(explanation, shares, order.top)):
            row.update(top)
    return found


def _doubts(explanation: Explanation, order: Order) -> list[str | None]:
    """Less than a tenth arrives, where there is something that could."""
    account = explanation.conservation
    scale = np.abs(explanation.output.reshape(len(explanation), -1)).max(1, initial=0)
    counts = np.abs(account.target) > 1e-3 * scale[: len(account.target)]
    share = np.abs(account.inputs) / np.where(counts, np.abs(account.target), 1)
    return [
        f"only {100 * part:.2g} % of the target arrives at the inputs" if known and part < FAINT_SHARE else None
        for known, part in zip(counts.tolist(), share.tolist())
    ]


def _top(explanation: Explanation, shares: np.ndarray | None, count: int) -> list[dict[str, Any]]:
    """The classes with the largest outputs, and their probabilities."""
    logits = explanation.output.reshape(len(explanation), -1)
    classes = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    sure = [None] * len(classes) if shares is None else np.take_along_axis(shares, classes, 1).tolist()
    return [{"top_classes": c, "top_probabilities": p} for c, p in zip(classes.tolist(), sure)]
