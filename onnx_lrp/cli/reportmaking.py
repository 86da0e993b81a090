"""What a report shows, sample by sample: the explanations of a few classes, and what there is to see of them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, TargetError
from ..explainer import Explainer
from ..explanation import Explanation
from ..model.graph import dims
from ..pictures.preprocessing import Preprocessing
from ..report import MOST_ON_A_PAGE
from ..report.content import Case, Shown
from ..report.drawing import photo_uri
from ..targets import Contrast, Seed, as_region, as_seed
from . import results
from .feeding import Batch, Feeder, Sample
from .request import read
from .targeting import meant, meant_against
from .texts import Texts

if TYPE_CHECKING:
    import onnx_ir as ir


def check_count(count: int) -> None:
    """Raise for more samples than one page takes.

    Raises:
        InputError: says how to go on.
    """
    if count > MOST_ON_A_PAGE:
        raise InputError(
            f"{count} inputs given, and a report takes at most {MOST_ON_A_PAGE}; give the first {MOST_ON_A_PAGE} now, "
            "the others to reports of their own, or look at all of them with `onnx-lrp evaluate`"
        )


@dataclass(frozen=True)
class ReportMaker:
    """What a run consists of; ``pictures`` says how they become inputs, None without pictures."""

    args: Namespace
    explainer: Explainer
    labels: results.Labels
    seed: Seed
    target: Any
    texts: Texts
    batches: list[Batch]
    preprocessing: Preprocessing
    pictures: Preprocessing | None
    about: list[str]

    @classmethod
    def of(cls, args: Namespace) -> ReportMaker:
        """Read everything.

        Raises:
            OnnxLrpError: something is wrong with it; more samples than a report takes.
        """
        texts, request = Texts.read(args), read(args)
        explainer = Explainer(args.model, request.composite, labels=args.labels, **request.options)
        labels = results.Labels(explainer.labels)
        against = meant_against(args.against, labels.names)
        seed = as_seed(explainer.composite.seed_for(args.seed, against, args.baseline), against, args.baseline)
        inputs, target = explainer.prepared.inputs, meant(args.target, labels.names)
        if as_region(target) is not None:
            raise TargetError("a report explains single outputs; explain a region with `onnx-lrp explain`")
        preprocessing = request.for_model(explainer.prepared)
        feeder = Feeder(inputs, preprocessing, explainer.prepared.source)
        batches = feeder.batches(texts.fed(request.files, inputs), 1)
        check_count(sum(len(batch.samples) for batch in batches))
        pictures = preprocessing if request.about else None
        return cls(args, explainer, labels, seed, target, texts, batches, preprocessing, pictures, request.about)

    def explained(self, batch: Batch) -> list[Explanation]:
        """The target, or the largest output, and of the others the largest."""
        wanted = self.args.layers
        first = self.explainer(batch.feeds, self.target, seed=self.seed, layers=wanted, ledger=True)
        self.labels.check(first.output)
        held = self.seed.classes if isinstance(self.seed, Contrast) else ()
        scores = first.output.reshape(len(first), -1)
        order = np.argsort(-scores, axis=1, kind="stable")
        others = [
            [j for j in row.tolist() if j != t and j not in held] for row, t in zip(order, first.target.tolist())
        ]  # fmt: skip
        targets = [np.array([row[k] for row in others]) for k in range(min(self.args.top - 1, len(others[0])))]
        if not targets:
            return [first]
        asked = [first.target, *targets]  # all of them together, as `verify` does
        return self.explainer.several(batch.feeds, asked, seed=self.seed, layers=wanted, ledger=True)

    def placed(self, found: Sequence[list[Explanation]]) -> Iterator[tuple[int, Batch, list[Explanation]]]:
        """Each batch and its explanations, with how many samples come before it."""
        before = 0
        for batch, ranks in zip(self.batches, found):
            yield before, batch, ranks
            before += len(ranks[0])

    def cases(self, batch: Batch, ranks: Sequence[Explanation], before: int) -> Iterator[Case]:
        """Sample by sample; the ledger of several together is of none of them."""
        for i, sample in enumerate(batch.counted(len(ranks[0]))):
            alone = [e[i] if len(e) == 1 else replace(e[i], ledger=()) for e in ranks]
            parts = [self._shown(value, batch, sample, i, ranks, before) for value in self._explaining]
            layers = {name: _plane(r) for name, r in alone[0].layers.items()}
            yield Case(_title(sample), alone, parts, self.labels.names, layers)

    @property
    def _explaining(self) -> Sequence[ir.Value]:
        return self.explainer.prepared.explaining

    def _shown(
        self, value: ir.Value, batch: Batch, sample: Sample, i: int, ranks: Sequence[Explanation], before: int
    ) -> Shown:
        """One input of one sample: tokens, a picture, or the strongest features."""
        name, samples = value.name or "", len(ranks[0])
        x, *relevance = (
            results.of_sample(a, i, samples) for a in (batch.feeds[name], *(e.inputs[name] for e in ranks))
        )
        if self.texts.shows(value, batch):
            rows = [self.texts.row(name, batch, i, r, before + i) for r in relevance]
            return Shown(name, words=[list(row.shaded()) for row in rows])
        if value not in results.drawn(self._explaining, batch, sample.picture):
            return Shown(name, features=[list(results.strongest_features(x, r)) for r in relevance])
        planes = [results.surface(value, r, sample.picture) for r in relevance]
        return Shown(name, self._photo(value, x) if sample.picture else None, planes)

    def _photo(self, value: ir.Value, x: np.ndarray) -> str:
        return photo_uri(self.preprocessing.display(x, dims(value) or x.shape))


def _title(sample: Sample) -> str:
    """A report goes to others: the file's name, without the folders of whoever made it."""
    return sample.title.replace("\\", "/").rpartition("/")[2]


def _plane(relevance: np.ndarray) -> np.ndarray:
    """One sample's relevance inside the network as (H, W): channels, and what else is in front, summed."""
    inner = relevance[0] if relevance.ndim > 1 else relevance
    if inner.ndim < 2:
        return inner.reshape(1, -1)
    return np.asarray(inner.sum(tuple(range(inner.ndim - 2))))
