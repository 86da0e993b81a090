"""What a batch of explanations gives to the index, the maps and the scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from ..explanation import Explanation
from .gathered import Failure, Gathered
from .order import Order
from .surfaces import maps_of

FAINT_SHARE = 0.1  # of the target, at the inputs: the same as for a single explanation
CANCELLED_SHARE = 1e-3  # of the largest output: a target this small is no yardstick


@dataclass(frozen=True)
class Answers:
    """The answers of some inputs of a block.

    Attributes:
        rows: of the inputs, in the run.
        columns: of the index, by name, each with one entry per input; what is not there is null.
        maps: float32 (inputs, ...), by the name of the model's input.
        scores: the explained tensor, float32 (inputs, ...).
    """

    rows: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    scores: np.ndarray | None = None


def answers_of(
    explanation: Explanation, group: Gathered, explaining: Sequence[ir.Value], order: Order
) -> Answers | list[Failure]:
    """Of the inputs of a group; errors, where their maps are of another shape than the run's.

    Args:
        explanation: of the group; samples that only filled it up come last.
        group: the inputs.
        explaining: the model's inputs that get relevance.
        order: what is wanted.
    """
    count = len(group.rows)
    maps = {
        value.name or "": maps_of(value, explanation.inputs[value.name or ""], order.whole)[:count]
        for value in explaining
        if "maps" in order.save
    }
    if any(maps[name].shape[1:] != tuple(shape) for name, shape in order.shapes.items()):
        return group.failed(_of_another_shape(maps, order))
    scores = np.asarray(explanation.output[:count], np.float32) if "scores" in order.save else None
    return Answers(group.rows, dict(_columns(explanation, group, order)), maps, scores)


def answers_of_failures(failures: Sequence[Failure]) -> Answers:
    """Of inputs that have no answer: errors."""
    columns: dict[str, Sequence[Any]] = {
        "input": [one.item.name for one in failures], "label": [one.item.label for one in failures],
        "sha256": [one.sha256 for one in failures], "error": [one.reason for one in failures],
    }  # fmt: skip
    return Answers([one.row for one in failures], columns)


def _columns(explanation: Explanation, group: Gathered, order: Order) -> Iterator[tuple[str, Sequence[Any]]]:
    count, labels = len(group.rows), explanation.labels
    account, shares = explanation.conservation, explanation.probabilities
    best, target = explanation.prediction[:count].tolist(), explanation.target[:count].tolist()
    yield "input", [item.name for item in group.items]
    yield "label", [item.label for item in group.items]
    yield "sha256", list(group.digests)
    yield "prediction", best
    yield "target", target
    if labels:
        yield "predicted", [labels[i] for i in best]
        yield "explained", [labels[i] for i in target]
    if shares is not None:
        yield "probability", shares[np.arange(count), best].tolist()
    yield "start", account.target[:count].tolist()
    yield "relevance", account.inputs[:count].tolist()
    yield "absorbed", account.absorbed[:count].tolist()
    if account.size is not None:
        yield "size", account.size[:count].tolist()
    yield "warnings", _doubts(explanation, count)
    if "topk" in order.save:
        yield from _top(explanation, shares, count, order.top).items()


def _doubts(explanation: Explanation, count: int) -> list[str | None]:
    """Less than a tenth arrives, where there is something that could."""
    target, inputs = (sums[:count] for sums in (explanation.conservation.target, explanation.conservation.inputs))
    scale = np.abs(explanation.output.reshape(len(explanation), -1)).max(1, initial=0)[: len(target)]
    counts = np.abs(target) > CANCELLED_SHARE * scale
    shares = np.abs(inputs) / np.where(counts, np.abs(target), 1)
    faint = counts & (shares < FAINT_SHARE)
    found: list[str | None] = [None] * len(target)
    for i in np.flatnonzero(faint).tolist():
        found[i] = f"only {100 * shares[i]:.2g} % of the target arrives at the inputs"
    return found


def _top(explanation: Explanation, shares: np.ndarray | None, count: int, top: int) -> dict[str, Sequence[Any]]:
    """The classes with the largest outputs, and their probabilities."""
    logits = explanation.output.reshape(len(explanation), -1)[:count]
    classes = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    sure = [None] * count if shares is None else np.take_along_axis(shares[:count], classes, 1).tolist()
    return {"top_classes": classes.tolist(), "top_probabilities": sure}


def _of_another_shape(maps: Mapping[str, np.ndarray], order: Order) -> str:
    own = ", ".join(str(some.shape[1:]) for some in maps.values())
    others = ", ".join(str(tuple(shape)) for shape in order.shapes.values())
    return f"its map has the shape {own}, those of the run have {others}; give all inputs one size (--size 224)"
