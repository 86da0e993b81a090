"""A composite that is measurably better than the default on the user's own data: ``tune(model, inputs)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..composites import Composite
from ..errors import CompositeError, InputError
from ..evaluation.contenders import Contender, Contenders, lrp_attribution
from ..evaluation.contest import Progress
from ..evaluation.measuring import Choices
from ..evaluation.subject import Subject
from ..model.loading import Source
from ..propagation.assignment import assign
from ..rules import Bound
from .concluding import concluded
from .ground import Ground, spread, taken
from .recipe import Recipe
from .report import DEFAULT, TUNED, Tuning
from .search import FEWEST, Search

TUNING = 32  # inputs to choose by
LEAST = 12  # in all


def tune(
    model: Source,
    inputs: Any,
    labels: Any = None,
    *,
    low: Bound | None = None,
    high: Bound | None = None,
    tuning: int = TUNING,
    imputation: str | None = None,
    steps: int = 16,
    region: int | None = None,
    mask: int | None = None,
    limit: int | None = None,
    random_seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Tuning:
    """Find a composite, with its seed, that explains a model better than the default; or say that there is none.

    One thing is chosen after the other: what counts as a dense head, the rule of the first layers, the seed, what
    biases absorb, the rule of merges, and γ by zone. Each choice is made by successive halving on some of the inputs,
    by the sum of pixel flipping (p) and grid pointing: a candidate is taken whose gain is significant, and that is
    significantly worse in neither. The winner and the default are then measured on the other inputs, once. The default
    is kept unless the winner is significantly better there in one measure, and significantly worse in none.

    Args:
        model: path, bytes, or ``onnx.ModelProto``, with one input and one row of outputs per sample.
        inputs: a batch (n, ...), n >= 12: pictures, rows of features, or token ids.
        labels: the true class of each; inputs that the model gets wrong are left out.
        low: the least value that an input can have, or one per channel, for z^B; needed with ``high``, unless the
            model's inputs are bytes.
        high: the largest.
        tuning: how many inputs to choose by, at most half of all; the others are held out.
        imputation: as for :func:`onnx_lrp.evaluate`.
        steps: as there.
        region: as there.
        mask: as there.
        limit: as there.
        random_seed: of everything that is drawn: the same seed gives the same composite.
        progress: called with how many candidates are done, how many there are, and what is next.
        options: of the Explainer.

    Raises:
        InputError: inputs, labels or choices do not fit, there are fewer than 12, or the model gets all inputs wrong.
        OnnxLrpError: as for the Explainer, under the default.
    """
    if tuning < FEWEST:
        raise InputError(f"tuning={tuning}: at least {FEWEST} inputs are needed to choose by")
    start = Recipe(_plain(low), _plain(high))
    contenders = Contenders.of({DEFAULT: start.composite()}, (), None, options, random_seed)
    subject = Subject.of(contenders.explainer(model), inputs, labels, limit)
    chosen, judges = _grounds(subject, tuning, Choices(imputation, steps, region, mask, random_seed))

    def build(composite: Composite) -> Contender:
        explainer = contenders.explainer(model, composite)
        return Contender(composite.name, lrp_attribution(explainer, None), explainer=explainer)

    search = Search(chosen, build, lambda composite: _rules(subject, composite, options), progress)
    best = search.run(start)
    if progress is not None:
        progress(search.total, search.total, "held-out inputs")
    held = {DEFAULT: judges.scores(build(start.composite()))}
    if best != start:
        held[TUNED] = judges.scores(build(best.composite()))
    return concluded(search, judges, best.composite(), start.composite(), held)


def _grounds(subject: Subject, tuning: int, choices: Choices) -> tuple[Ground, Ground]:
    """The inputs to choose by, and those that are held out."""
    n, source = len(subject.x), subject.explainer.prepared.source
    if n < LEAST:
        raise InputError(
            f"{source}: {n} inputs to tune by, and at least {LEAST} are needed: some to choose by, and others to judge "
            "the choice by; give more"
        )
    order, count = spread(subject.targets, choices.random_seed), min(tuning, n // 2)
    chosen, judges = (Ground.of(taken(subject, part), choices) for part in (order[:count], order[count:]))
    for ground in (chosen, judges):
        if isinstance(ground.mosaics, str):
            return chosen.without_pointing(ground.mosaics), judges.without_pointing(ground.mosaics)
    return chosen, judges


def _rules(subject: Subject, composite: Composite, options: Mapping[str, Any]) -> str:
    """What each node gets.

    Raises:
        CompositeError: a rule that its layer cannot take.
    """
    prepared = subject.explainer.prepared
    target = prepared.model.graph.outputs[0]
    return "\n".join(map(str, assign(prepared.verdict, composite, options.get("batchnorm", "affine"), target).values()))


def _plain(bound: Bound | None) -> Bound | None:
    """A number, or one per channel, that can be compared and written.

    Raises:
        CompositeError: it is something else.
    """
    if bound is None:
        return None
    try:
        values = np.asarray(bound, np.float64)
    except (TypeError, ValueError):
        raise CompositeError(f"a bound of the input is a number, or one per channel, not {bound!r:.80}") from None
    return float(values) if values.ndim == 0 else tuple(map(float, values.ravel()))
