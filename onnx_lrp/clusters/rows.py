"""Rows explained in batches: where a batch fails, each of its rows is tried alone, so that one bad row costs itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..batch.answers import figures_of
from ..batch.loading import Loader
from ..batch.sizing import allowed_at_once
from ..batch.surfaces import as_kept, map_shapes, maps_of
from ..explainer import Explainer
from ..explanation import Explanation
from ..model.graph import dims
from ..targets import AnyTarget, Seed
from ..text import printable
from .feeding import Fed, sample_of

_FIGURES = ("prediction", "probability", "target", "start", "absorbed")


@dataclass(frozen=True)
class RowAnswer:
    """What a row is answered with; of one that failed the ``error`` alone.

    Attributes:
        prediction: flat index of the largest output.
        probability: the model's of its prediction; None if the output is no row of classes.
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
                samples[i] = sample_of(cells, self._loader)
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

    def expect(self, rows: int) -> None:
        """Say how many rows come together as a rule: then the last digits depend less on which came first.

        Args:
            rows: in most calls.
        """
        self.explainer.expects(self._at_once or rows)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Those of the maps, by input that gets relevance; 0 for what the model leaves open."""
        explaining = self.explainer.prepared.explaining
        declared = {v.name or "": [n if isinstance(n, int) else 0 for n in dims(v) or ()] for v in explaining}
        blank = {name: np.broadcast_to(np.float32(0), shape) for name, shape in declared.items()}
        return map_shapes(explaining, blank, self.whole)

    def _portions(self, rows: list[int]) -> Iterator[list[int]]:
        size = 1 if self._loader.constants else self._at_once or len(rows)
        return (rows[i : i + size] for i in range(0, len(rows), size))

    @cached_property
    def _loader(self) -> Loader:
        """Made once: how pictures are prepared may be written in files beside the model."""
        prepared = self.explainer.prepared
        return Loader(prepared.inputs, self.explainer.way.convention.preprocessing, prepared.source)

    @cached_property
    def _at_once(self) -> int | None:
        """How many samples the model always takes; None if it leaves that open."""
        return allowed_at_once(self.explainer, self._loader)

    def _explained(self, samples: Sequence[Fed], targets: Sequence[Any]) -> list[RowAnswer]:
        try:
            return self._together(samples, targets)
        except Exception as error:
            if len(samples) == 1:
                return [_failed(error)]
        return [answer for s, t in zip(samples, targets) for answer in self._explained([s], [t])]

    def _together(self, samples: Sequence[Fed], targets: Sequence[Any]) -> list[RowAnswer]:
        count, filled = len(samples), max(len(samples), self._at_once or 0)
        samples = [*samples, *[samples[-1]] * (filled - count)]
        targets = [*targets, *[targets[-1]] * (filled - count)]
        alone = samples[0] if len(samples) == 1 else self._loader.constants
        x = {n: a if n in alone else np.concatenate([s[n] for s in samples]) for n, a in samples[0].items()}
        own = targets if self._loader.batched else targets[0]
        explanation = self.explainer(x, self.target if targets[0] is None else own, seed=self.seed)
        return list(self._answers(explanation, count))

    def _answers(self, e: Explanation, count: int) -> Iterator[RowAnswer]:
        values = {value.name or "": value for value in self.explainer.prepared.explaining}
        maps = {name: maps_of(value, e.inputs[name], self.whole) for name, value in values.items()}
        columns, kept = figures_of(e, e.probabilities, count), as_kept(e.output, "its answer")
        for i in range(count):
            own = {name: columns[name][i] for name in _FIGURES if name in columns}
            yield RowAnswer(**own, maps={name: rows[i] for name, rows in maps.items()}, scores=kept[i])


def _target(given: Any) -> int | str | None:
    """A row's own target: an index or a label; NaN, as data frames have it, is none."""
    if given is None or given == "" or (isinstance(given, float | np.floating) and np.isnan(given)):
        return None
    return str(given) if isinstance(given, str) else int(given)


def _failed(error: Exception) -> RowAnswer:
    return RowAnswer(error=printable(str(error), 400) or type(error).__name__)
