"""The measures of one evaluation, each made ready for the model and its inputs, or the reason why it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..errors import InputError, OnnxLrpError
from ..model.graph import dims
from ..model.loading import Source, load
from ..targets import softmaxed
from .conservation import arrived
from .contenders import Contender, Contenders
from .flipping import flip
from .forms import Pieces
from .imputing import IMPUTATIONS, imputation
from .mosaics import Mosaics, mosaics
from .pointing import pointing
from .predictor import Parts, single_input
from .randomisation import DEPTHS, similarity_under_noise
from .randomising import weights
from .sparseness import gini
from .stability import AMOUNT, instability
from .stability import COPIES as NOISY_COPIES
from .subject import Subject


@dataclass(frozen=True)
class Choices:
    """How to measure, as for :func:`onnx_lrp.evaluate`."""

    imputation: str | None = None
    steps: int = 16
    region: int | None = None
    mask: int | None = None
    random_seed: int = 0


@dataclass(frozen=True)
class Measured:
    """Of one method by one measure: scores by name, (samples, ...), and curves."""

    scores: Mapping[str, np.ndarray]
    curves: Mapping[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """Ready to be asked; ``about`` says how it measures."""

    about: str
    ask: Callable[[Contender, np.ndarray], Measured]


def ready(name: str, subject: Subject, contenders: Contenders, model: Source, choices: Choices) -> Measure | str:
    """A measure for these inputs, or the reason why there is none.

    Args:
        name: one of ``BY_NAME``.
        subject: the model and its inputs.
        contenders: the methods, and how they are made.
        model: as the user gave it.
        choices: how to measure.

    Raises:
        InputError: a choice does not fit the inputs.
    """
    return BY_NAME[name](subject, contenders, model, choices)


def flipping(subject: Subject, choices: Choices) -> Measure:
    """Pixel flipping of these inputs.

    Raises:
        InputError: a choice does not fit them.
    """
    if choices.steps < 1:
        raise InputError(f"steps={choices.steps}: at least one step has to be taken")
    form, x = subject.form, subject.x
    pieces = Pieces.of(form, x.shape[1:], choices.region)
    impute = imputation(choices.imputation, form, x, choices.mask, choices.random_seed)

    def ask(contender: Contender, relevance: np.ndarray) -> Measured:
        found = flip(subject.predict, x, subject.targets, relevance, pieces, impute, choices.steps, choices.random_seed)
        return Measured(found.scores(), found.curves())

    what = f"{pieces.count} regions of {pieces.side}x{pieces.side}" if form.kind == "pictures" else (
        f"{pieces.count} {'tokens' if form.kind == 'tokens' else 'features'}, one by one")  # fmt: skip
    chosen = choices.imputation or IMPUTATIONS[form.kind][0]
    return Measure(f"pixel flipping: {what}, in {min(choices.steps, pieces.count)} steps, imputed by {chosen}", ask)


def _flipping(subject: Subject, contenders: Contenders, model: Source, choices: Choices) -> Measure | str:
    return flipping(subject, choices)


def board(subject: Subject, seed: int) -> Mosaics | str:
    """Mosaics of these inputs, or the reason why there are none."""
    if subject.form.kind != "pictures":
        return "no pictures, so there are no mosaics of them"
    try:
        return _board(subject, seed)
    except InputError as error:
        return str(error)


def _pointing(subject: Subject, contenders: Contenders, model: Source, choices: Choices) -> Measure | str:
    found = board(subject, choices.random_seed)
    if isinstance(found, str):
        return found
    return Measure(
        about_pointing(found, subject),
        lambda who, _: Measured({"pointing": pointing(who.attribute, found, subject.form)}),
    )


def about_pointing(found: Mosaics, subject: Subject) -> str:
    """How the pointing game is played on these mosaics."""
    height, width = subject.form.planes(found.pictures).shape[2:]
    return f"grid pointing: {len(found.pictures)} mosaics of four, {height}x{width}, each asked for its four classes"


def _board(subject: Subject, seed: int) -> Mosaics:
    """Twice as high and wide, where the model leaves both open and takes it; else of the same size."""
    sizes = dims(single_input(subject.explainer.prepared))
    places = [subject.form.axes.index(axis) for axis in "HW"]
    make = partial(mosaics, subject.x, softmaxed(subject.logits), subject.form, seed=seed)
    if sizes is None or not any(isinstance(sizes[place], int) for place in places):
        found = make(larger=True)
        try:
            subject.predict(found.pictures[:1])
            return found
        except OnnxLrpError:
            pass  # open only in name: what comes behind has one size
    return make(larger=False)


def _randomisation(subject: Subject, contenders: Contenders, model: Source, choices: Choices) -> Measure | str:
    proto = load(model).proto
    layers = weights(proto, subject.explainer.prepared.target)
    if not layers:
        return "no layer stores its weights as floating-point numbers, so there is nothing to randomise"

    def ask(contender: Contender, relevance: np.ndarray) -> Measured:
        found = similarity_under_noise(
            lambda noisy: contenders.build(contender.name, noisy).attribute,
            proto, layers, subject.x, subject.targets, relevance, choices.random_seed,
        )  # fmt: skip
        parts = {f"randomisation {depth:.0%}": column for depth, column in zip(DEPTHS, found.T)}
        return Measured({"randomisation": found.mean(1), **parts})

    shares = ", ".join(f"{depth:.0%}" for depth in DEPTHS)
    return Measure(f"randomisation: {shares} of {len(layers)} layers, from the output down", ask)


def _stability(subject: Subject, contenders: Contenders, model: Source, choices: Choices) -> Measure | str:
    if subject.x.dtype.kind != "f":
        return "the inputs are integers, to which no noise can be added"

    def ask(contender: Contender, relevance: np.ndarray) -> Measured:
        found = instability(contender.attribute, subject.x, subject.targets, relevance, seed=choices.random_seed)
        return Measured({"instability": found})

    return Measure(f"stability: {NOISY_COPIES} noisy copies, {AMOUNT:g} standard deviations of the inputs", ask)


def _sparseness(subject: Subject, contenders: Contenders, model: Source, choices: Choices) -> Measure | str:
    return Measure(
        "sparseness: of |R|, all elements of an input", lambda _, relevance: Measured({"gini": gini(relevance)})
    )


def _conservation(subject: Subject, contenders: Contenders, model: Source, choices: Choices) -> Measure | str:
    parts = Parts.of(single_input(subject.explainer.prepared))

    def ask(contender: Contender, relevance: np.ndarray) -> Measured:
        explainer = contender.explainer
        if explainer is None:
            return Measured({})

        def one(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
            return arrived(explainer(x, targets, seed=contenders.seed).conservation)

        return Measured({"conservation": parts.run(one, subject.x, subject.targets)})

    return Measure("conservation: of LRP", ask)


BY_NAME = {
    "flipping": _flipping, "pointing": _pointing, "randomisation": _randomisation, "stability": _stability,
    "sparseness": _sparseness, "conservation": _conservation,
}  # fmt: skip
