"""What ``compare`` reports: how far two models' explanations lie apart, sample by sample and layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..text import table

METRICS = ("cosine", "rank", "top-k", "k")
LISTED = 8


@dataclass(frozen=True)
class Likeness:
    """How alike the relevance of one tensor of one sample is in both models (see :mod:`onnx_lrp.metrics`).

    Attributes:
        name: the input, or the node that makes the tensor, as model A calls it.
        op: the node's op; empty for an input.
        size: number of elements.
        cosine: of the relevance as a vector.
        rank: Spearman's correlation.
        overlap: the share of the ``k`` largest |R| that both have.
        k: how many.
    """

    name: str
    op: str
    size: int
    cosine: float
    rank: float
    overlap: float
    k: int

    def cells(self) -> tuple[str, ...]:
        """Under :data:`METRICS`."""
        return f"{self.cosine:.6f}", f"{self.rank:.4f}", f"{self.overlap:.2f}", str(self.k)


@dataclass(frozen=True)
class SampleComparison:
    """One sample; pairs hold A's number and B's.

    Attributes:
        sample: its title.
        target: the explained element, a flat index into the sample's output, the same in both models.
        values: the output there.
        predictions: flat index of the largest output.
        difference: largest |A - B| over the outputs.
        inputs: one for each input of the model.
        layers: one for each layer that both models have, from the input to the output.
    """

    sample: str
    target: int
    values: tuple[float, float]
    predictions: tuple[int, int]
    difference: float
    inputs: tuple[Likeness, ...]
    layers: tuple[Likeness, ...]

    @property
    def drift(self) -> float:
        """1 - cosine of the relevance at the input; the largest, where there are several inputs."""
        return 1.0 - min(likeness.cosine for likeness in self.inputs)

    @property
    def layer_drift(self) -> float:
        """1 - cosine of the relevance in the layer that drifts most; 0 where no layer is compared."""
        return 1.0 - min((likeness.cosine for likeness in self.layers), default=1.0)

    @property
    def agree(self) -> bool:
        """Whether both models predict the same."""
        return self.predictions[0] == self.predictions[1]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "drift": self.drift, "layer_drift": self.layer_drift, "agree": self.agree}


@dataclass(frozen=True)
class Comparison:
    """Two models' explanations side by side.

    Attributes:
        a: what model A is called, and what computed its explanations.
        b: the same for B.
        composite: the rules that explained both.
        samples: one entry each.
        unmatched: layers that are not compared, each with the reason.
    """

    a: str
    b: str
    composite: str
    samples: tuple[SampleComparison, ...]
    unmatched: tuple[str, ...] = ()

    @property
    def drift(self) -> float:
        """The one number to judge by: the largest drift of a sample, that is 1 - the lowest cosine at the inputs.

        0 for explanations that are equal up to a factor, 1 for unrelated ones, 2 for opposite ones.
        """
        return max(sample.drift for sample in self.samples)

    def above(self, limit: float) -> tuple[str, ...]:
        """Titles of the samples that drift more than ``limit``."""
        return tuple(sample.sample for sample in self.samples if not sample.drift <= limit)

    def layers_above(self, limit: float) -> tuple[str, ...]:
        """Layers in which a sample drifts more than ``limit``, as they are called in A."""
        found = [e.name for sample in self.samples for e in sample.layers if not 1 - e.cosine <= limit]
        return tuple(dict.fromkeys(found))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "drift": self.drift, "samples": [sample.as_dict() for sample in self.samples]}

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"A: {self.a}"
        yield f"B: {self.b}"
        yield f"relevance by {self.composite}, of A's target in both"
        yield from table(
            ("sample", "target", "value in A", "in B", "predictions", "input", *METRICS),
            [row for sample in self.samples for row in _rows(sample)],
        )
        if columns := self._columns():
            yield f"layers{', the lowest of all samples' * (len(self.samples) > 1)}:"
            yield from table(("layer", "op", "size", *METRICS), [_lowest(column) for column in columns])
        if self.unmatched:
            more = len(self.unmatched) - LISTED
            yield f"not in both: {', '.join(self.unmatched[:LISTED])}{f' and {more} more' * (more > 0)}"
        worst = max(self.samples, key=lambda sample: sample.drift)
        yield f"drift {self.drift:.3g} = 1 - the lowest cosine at the inputs ({worst.sample})"

    def _columns(self) -> list[list[Likeness]]:
        """Each layer over all samples."""
        columns: dict[str, list[Likeness]] = {}
        for layer in (layer for sample in self.samples for layer in sample.layers):
            columns.setdefault(layer.name, []).append(layer)
        return list(columns.values())


def join(batches: Sequence[Comparison]) -> Comparison:
    """One report on several batches, at least one, of the same two models."""
    samples = tuple(sample for batch in batches for sample in batch.samples)
    unmatched = dict.fromkeys(reason for batch in batches for reason in batch.unmatched)
    return replace(batches[0], samples=samples, unmatched=tuple(unmatched))


def _rows(sample: SampleComparison) -> Iterator[tuple[str, ...]]:
    """One for each input."""
    values = [f"{value:.6g}" for value in sample.values]
    predictions = "same" if sample.agree else "{} → {}".format(*sample.predictions)
    for likeness in sample.inputs:
        yield sample.sample, str(sample.target), *values, predictions, likeness.name, *likeness.cells()


def _lowest(column: list[Likeness]) -> tuple[str, ...]:
    first = column[0]
    cosine, rank, overlap = (min(getattr(e, name) for e in column) for name in ("cosine", "rank", "overlap"))
    lowest = Likeness(first.name, first.op, first.size, cosine, rank, overlap, first.k)
    return first.name, first.op, str(first.size), *lowest.cells()
