"""What a batch of explanations gives to the index, the maps and the scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from ..checking.observed import CANCELLED, FAINT
from ..errors import InputError, NumericalError
from ..explanation import Explanation
from .gathered import Failure, Gathered
from .order import Order
from .surfaces import as_kept, map_shapes, maps_of


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


def answers_of(explanation: Explanation, group: Gathered, explaining: Sequence[ir.Value], order: Order) -> Answers:
    """Of the inputs of a group.

    Args:
        explanation: of the group; samples that only filled it up come last.
        group: the inputs.
        explaining: the model's inputs that get relevance.
        order: what is wanted.

    Raises:
        NumericalError: the model's answer to one of them is not finite, or too large to be kept.
        InputError: it has another shape than those of the run.
    """
    count = len(group.rows)
    scores = explanation.output[:count]
    require_finite(scores, "the model" if explanation.context is None else explanation.context.model)
    if "scores" in order.save and scores.shape[1:] != tuple(order.output):
        raise InputError(_of_another_shape("its scores have", [scores.shape[1:]], [order.output]))
    maps = {
        value.name or "": maps_of(value, explanation.inputs[value.name or ""], order.whole)[:count]
        for value in explaining
        if "maps" in order.save
    }
    kept = as_kept(scores, "its answer") if "scores" in order.save else None
    return Answers(group.rows, dict(_columns(explanation, group, order)), maps, kept)


def require_finite(scores: np.ndarray, source: str) -> None:
    """See that the model's answer is a number throughout, not only where it is explained.

    Raises:
        NumericalError: it is not.
    """
    if not np.isfinite(scores).all():
        raise NumericalError(f"{source}: the model's own answer is not finite on this input")


def require_shapes(feeds: Mapping[str, np.ndarray], explaining: Sequence[ir.Value], order: Order) -> None:
    """See before anything is computed that maps would have the shape of all others of the run.

    Raises:
        InputError: they would not.
    """
    own = map_shapes(explaining, feeds, order.whole) if order.shapes else {}
    if any(own[name] != tuple(shape) for name, shape in order.shapes.items()):
        raise InputError(_of_another_shape("its map has", own.values(), order.shapes.values()))


def answers_of_failures(failures: Sequence[Failure]) -> Answers:
    """Of inputs that have no answer: errors."""
    columns: dict[str, Sequence[Any]] = {
        "input": [one.item.name for one in failures], "label": [one.item.label for one in failures],
        "sha256": [one.sha256 for one in failures], "error": [one.reason for one in failures],
    }  # fmt: skip
    return Answers([one.row for one in failures], columns)


def _columns(explanation: Explanation, group: Gathered, order: Order) -> Iterator[tuple[str, Sequence[Any]]]:
    count, labels, shares = len(group.rows), explanation.labels, explanation.probabilities
    figures = figures_of(explanation, shares, count)
    yield "input", [item.name for item in group.items]
    yield "label", [item.label for item in group.items]
    yield "sha256", list(group.digests)
    yield from figures.items()
    if labels:
        yield "predicted", [labels[i] for i in figures["prediction"]]
        yield "explained", [labels[i] for i in figures["target"]]
    yield "warnings", _doubts(explanation, count)
    if "topk" in order.save:
        yield from _top(explanation, shares, count, order.top).items()


def figures_of(explanation: Explanation, shares: np.ndarray | None, count: int) -> dict[str, list[Any]]:
    """The numbers of an explanation, by their names as columns; what is not there is left out.

    Args:
        explanation: of some samples.
        shares: its probabilities, which may have to be computed.
        count: how many samples from the front are wanted.
    """
    account, best = explanation.conservation, explanation.prediction
    columns = {
        "prediction": best, "target": explanation.target, "start": account.target, "relevance": account.inputs,
        "absorbed": account.absorbed, "size": account.size,
        "probability": None if shares is None else shares[np.arange(len(best)), best],
    }  # fmt: skip
    return {name: column[:count].tolist() for name, column in columns.items() if column is not None}


def _doubts(explanation: Explanation, count: int) -> list[str | None]:
    """Less than a tenth arrives, where there is something that could."""
    target, inputs = (sums[:count] for sums in (explanation.conservation.target, explanation.conservation.inputs))
    scale = np.abs(explanation.output.reshape(len(explanation), -1)).max(1, initial=0)[: len(target)]
    counts = np.abs(target) > CANCELLED * scale
    shares = np.abs(inputs) / np.where(counts, np.abs(target), 1)
    faint = counts & (shares < FAINT)
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


def _of_another_shape(what: str, own: Iterable[Sequence[int]], others: Iterable[Sequence[int]]) -> str:
    found, wanted = (", ".join(str(tuple(shape)) for shape in shapes) for shapes in (own, others))
    return f"{what} the shape {found}, those of the run have {wanted}; give all inputs one shape (pictures: --size 224)"
