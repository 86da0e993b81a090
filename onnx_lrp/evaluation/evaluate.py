"""How good the explanations of a model are, by published measures: ``evaluate(model, inputs)``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError, names_of
from ..model.external import files_of
from ..model.loading import Source
from ..text import nearest
from .contenders import Composites, Contenders
from .contest import COST, Contest, Progress
from .measuring import BY_NAME, Choices, Measure, Measured, ready
from .methods import NOTES
from .report import Evaluation
from .resuming import Results, fingerprint
from .subject import Subject

BY_DEFAULT = ("default", "epsilon_plus", "epsilon", "gamma")
AGAINST = ("gradient-input", "random")


def evaluate(
    model: Source,
    inputs: Any,
    labels: Any = None,
    *,
    composites: Composites = BY_DEFAULT,
    against: str | Iterable[str] = AGAINST,
    measures: str | Iterable[str] = ("flipping", "pointing"),
    imputation: str | None = None,
    steps: int = 16,
    region: int | None = None,
    mask: int | None = None,
    seed: str | None = None,
    limit: int | None = None,
    random_seed: int = 0,
    progress: Progress | None = None,
    resume: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Evaluation:
    """Measure how good explanations of a model are: what its own prediction is explained by.

    Args:
        model: path, bytes, or ``onnx.ModelProto``, with one input and one row of outputs per sample.
        inputs: a batch (n, ...): pictures, rows of features, or token ids.
        labels: the true class of each; inputs that the model gets wrong are left out.
        composites: of LRP, one or several, or a dict by what to call them; the first one is what all other methods are
            compared with, sample by sample.
        against: other methods, see :data:`onnx_lrp.evaluation.methods.METHODS`; one that has no meaning for the model
            is left out with a warning.
        measures: ``"flipping"`` (pixel flipping, Samek et al. 2017), ``"pointing"`` (the grid pointing game, Böhle et
            al. 2021), ``"randomisation"`` (of the weights, Adebayo et al. 2018), ``"stability"`` (under noise),
            ``"sparseness"`` (the Gini index) and ``"conservation"`` (of LRP).
        imputation: what comes in place of what is flipped: ``"blur"`` (the default of pictures), ``"mean"`` (that of
            rows) or ``"noisy-linear"``; token ids are masked.
        steps: how many points a flipping curve has, besides the untouched input.
        region: the side in pixels of what is flipped together; by default there are at most 16 × 16.
        mask: the token id that masks one.
        seed: the relevance that LRP starts with, as for a call of the :class:`onnx_lrp.Explainer`; by default each
            composite's own.
        limit: how many inputs are taken, evenly spread; None for all.
        random_seed: of everything that is drawn: the same seed gives the same numbers.
        progress: called with how many results there are, how many there will be, and what is next.
        resume: a file that keeps every result, and that the next call goes on from; made if there is none.
        options: of the Explainer.

    Raises:
        InputError: inputs, labels or choices do not fit, nothing can be measured, or the model gets all inputs wrong.
        OnnxLrpError: as for the Explainer, of a method that has no meaning for this model, or of the file of results.
    """
    wanted = names_of(measures, "measures", InputError)
    unknown = [name for name in wanted if name not in BY_NAME]
    if unknown or not wanted:
        name = " ".join(unknown[:1])
        raise InputError(f"no measure {name!r}{nearest(name, BY_NAME)}; there are {', '.join(BY_NAME)}")
    contenders = Contenders.of(composites, against, seed, options, random_seed)
    choices = Choices(imputation, steps, region, mask, random_seed)
    results = Results.at(resume)
    subject = Subject.of(contenders.explainer(model), inputs, labels, limit)
    found = {name: ready(name, subject, contenders, model, choices) for name in dict.fromkeys(wanted)}
    reasons = [f"{name} is not measured: {reason}" for name, reason in found.items() if isinstance(reason, str)]
    asked = {name: measure for name, measure in found.items() if isinstance(measure, Measure)}
    if not asked:
        raise InputError("; ".join(reasons))
    base = fingerprint(
        subject.explainer.prepared.sha256, _files(model), subject.x, subject.targets, seed, vars(choices), options
    )
    contest = Contest(model, subject, contenders, asked, results, base, progress)
    answers = {name: contest.method(name, i) for i, name in enumerate(contenders.names)}
    reasons += [f"{name} is left out: {reason}" for name, reason in answers.items() if isinstance(reason, str)]
    measured = {name: answer for name, answer in answers.items() if not isinstance(answer, str)}
    return _evaluation(contest, measured, (*subject.warnings, *reasons))


def _evaluation(contest: Contest, found: dict[str, dict[str, Measured]], warnings: tuple[str, ...]) -> Evaluation:
    inputs = (
        f"{len(contest.subject.x)} inputs, explained is the model's own prediction"
        f"{f' (seed {contest.contenders.seed})' * (contest.contenders.seed is not None)}"
    )
    measured = {name: [result for m, result in all_of.items() if m != COST] for name, all_of in found.items()}
    return Evaluation(
        contest.subject.explainer.prepared.source,
        {name: NOTES.get(name, "") for name in found},
        (inputs, *(measure.about for measure in contest.measures.values())),
        {name: {k: v for result in results for k, v in result.scores.items()} for name, results in measured.items()},
        {name: dict(result.curves) for name, results in measured.items() for result in results if result.curves},
        {name: float(all_of[COST].scores[COST][0]) for name, all_of in found.items()},
        warnings,
    )


def _files(model: Source) -> list[tuple[str, int, int]]:
    """Where the model is a path, its files: weights may lie outside of what its checksum is taken of."""
    if not isinstance(model, str | os.PathLike):
        return []
    return [(path.name, stat.st_size, stat.st_mtime_ns) for path in files_of(Path(model)) for stat in [path.stat()]]
