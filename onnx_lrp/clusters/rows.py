"""Rows explained in batches: where a batch fails, each of its rows is tried alone, so that one bad row costs itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir

from ..explainer import Explainer
from ..explanation import Explanation
from ..model.graph import dims
from ..pictures.layout import Layout
from ..pictures.preprocessing import Preprocessing
from ..targets import AnyTarget, Seed, softmaxed
from ..text import printable
from .feeding import Fed, sample_of

_CLOSE = 1e-5  # of a probability: then the head is a softmax, and the model itself need not be asked each time


@dataclass(frozen=True)
class RowAnswer:
    """What a row is answered with; of one that failed the ``error`` alone.

    Attributes:
        prediction: flat index of the largest output.
        probability: the explained class's; None of what is no row of classes.
        target: flat index of what is explained.
        start: relevance that the explanation starts with.
        absorbed: what of it did not reach the inputs.
        maps: relevance by the name of the input, float32, without an axis of samples.
        scores: the explained tensor, float32, if it is wanted.
        error: why there is no answer.
    """

    prediction: int | None = None
    probability: float | None = None
    target: int | None = None
    start: float | None = None
    absorbed: float | None = None
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    scores: np.ndarray | None = None
    error: str | None = None


@dataclass(frozen=True)
class RowExplainer:
    """Explains rows of a data frame.

    Attributes:
        explainer: what explains; one for the process.
        target: what is explained where a row has no target of its own.
        seed: as for a call of the Explainer.
        whole: keep the channels of pictures apart; else they are summed.
    """

    explainer: Explainer
    target: AnyTarget | str = None
    seed: Seed | None = None
    whole: bool = False

    def __call__(self, rows: Sequence[Mapping[str, Any]], targets: Sequence[Any] | None = None) -> list[RowAnswer]:
        """RowAnswer every row, whether it can be explained or not.

        Args:
            rows: what each holds for each input of the model, as :func:`onnx_lrp.clusters.feeding.sample_of` takes it.
            targets: the index or the label to explain of each row; None in a row that has no target of its own.
        """
        wanted = [None] * len(rows) if targets is None else list(targets)
        answers: list[RowAnswer] = [RowAnswer()] * len(rows)
        groups: dict[str, list[int]] = {}
        samples: dict[int, Fed] = {}
        for i, cells in enumerate(rows):
            try:
                samples[i] = sample_of(cells, self._inputs, lambda: self._preprocessing)
                wanted[i] = _target(wanted[i])
            except Exception as error:  # whatever a row holds, the others are explained
                answers[i] = _failed(error)
            else:
                shapes = sorted((name, array.shape, array.dtype.kind) for name, array in samples[i].items())
                groups.setdefault(f"{shapes} {type(wanted[i])}", []).append(i)
        for group in groups.values():
            for some in self._portions(group):
                for i, answer in zip(some, self._explained([samples[i] for i in some], [wanted[i] for i in some])):
                    answers[i] = answer
        return answers

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Those of the maps, by input that gets relevance; 0 for what the model leaves open."""
        found = {}
        for value in self.explainer.prepared.explaining:
            name, sizes = value.name or "", [n if isinstance(n, int) else 0 for n in dims(value) or ()]
            axes = range(1, len(sizes))  # without that of the samples
            summed = None if self.whole else self._channels.get(name)
            found[name] = tuple(sizes[axis] for axis in axes if axis != summed)
        return found

    def _portions(self, rows: list[int]) -> Iterator[list[int]]:
        size = self._fixed or len(rows)
        return (rows[i : i + size] for i in range(0, len(rows), size))

    @cached_property
    def _inputs(self) -> dict[str, ir.Value]:
        return {value.name or "": value for value in self.explainer.prepared.inputs}

    @cached_property
    def _preprocessing(self) -> Preprocessing:
        """Found once: it may be written in files beside the model."""
        return self.explainer.way.convention.preprocessing

    @cached_property
    def _fixed(self) -> int | None:
        """How many samples the model always takes, if its inputs say so."""
        prepared = self.explainer.prepared
        shapes = {value.name or "": dims(value) or [] for value in prepared.inputs}
        found = {shape[0] for value in prepared.explaining if (shape := shapes[value.name or ""])}
        size = found.pop() if len(found) == 1 else None
        alike = isinstance(size, int) and prepared.batched(dims(prepared.model.graph.outputs[0]) or [], shapes)
        return size if isinstance(size, int) and alike else None

    def _explained(self, samples: Sequence[Fed], targets: Sequence[Any]) -> list[RowAnswer]:
        try:
            return self._together(samples, targets)
        except Exception as error:
            if len(samples) == 1:
                return [_failed(error)]
        return [answer for s, t in zip(samples, targets) for answer in self._explained([s], [t])]

    def _together(self, samples: Sequence[Fed], targets: Sequence[Any]) -> list[RowAnswer]:
        count, filled = len(samples), max(len(samples), self._fixed or 0)
        samples = [*samples, *[samples[-1]] * (filled - count)]
        targets = [*targets, *[targets[-1]] * (filled - count)]
        x = {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}
        explanation = self.explainer(x, self.target if targets[0] is None else targets, seed=self.seed)
        return list(self._answers(explanation, count))

    def _answers(self, e: Explanation, count: int) -> Iterator[RowAnswer]:
        maps, probability = {name: self._summed(name, r) for name, r in e.inputs.items()}, self._probability(e)
        account, prediction = e.conservation, e.prediction
        for i in range(count):
            share = None if probability is None else float(probability[i])
            own = {name: r[i] if len(r) == len(e) else r for name, r in maps.items()}
            yield RowAnswer(
                int(prediction[i]), share, int(e.target[i]), float(account.target[i]), float(account.absorbed[i]), own,
                np.asarray(e.output[i], np.float32),
            )  # fmt: skip

    @cached_property
    def _channels(self) -> dict[str, int]:
        """Which axis of an input holds the channels of a picture."""
        found = {}
        for value in self.explainer.prepared.inputs:
            shape = dims(value)
            if shape is not None and len(shape) == 4:
                found[value.name or ""] = Layout.of(shape).axes.index("C")
        return found

    def _summed(self, name: str, relevance: np.ndarray) -> np.ndarray:
        relevance = np.asarray(relevance, np.float32)
        return relevance if self.whole or name not in self._channels else relevance.sum(self._channels[name])

    @cached_property
    def _softmax(self) -> Callable[[Explanation], bool]:
        """Whether the model's own probabilities are the softmax of its logits, tried on the first batch alone."""
        found: list[bool] = []

        def tried(e: Explanation) -> bool:
            if not found:
                own, logits = e.probabilities, e.output.astype(np.float64)
                alike = own is not None and logits.ndim == 2 and logits.shape[1] > 1
                found.append(alike and bool(np.allclose(own, softmaxed(logits), atol=_CLOSE)))  # type: ignore[arg-type]
            return found[0]

        return tried

    def _probability(self, e: Explanation) -> np.ndarray | None:
        if not self._softmax(e):
            return e.probability
        return np.asarray(softmaxed(e.output.astype(np.float64))[np.arange(len(e)), e.target])


def _target(given: Any) -> int | str | None:
    """A row's own target: an index or a label; NaN, as data frames have it, is none."""
    if given is None or given == "" or (isinstance(given, float | np.floating) and np.isnan(given)):
        return None
    return str(given) if isinstance(given, str) else int(given)


def _failed(error: Exception) -> RowAnswer:
    return RowAnswer(error=printable(str(error), 400) or type(error).__name__)


def with_threads(explainer: Explainer, threads: int) -> Explainer:
    """The same with so many threads, unless it was made for a number of its own."""
    if explainer.options.threads:
        return explainer
    state = explainer.__getstate__()
    setup = state["setup"]
    twin = Explainer.__new__(Explainer)
    twin.__setstate__({**state, "setup": replace(setup, options=replace(setup.options, threads=threads))})
    return twin
