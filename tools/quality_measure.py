"""One net's numbers for docs/quality.md: every method by pixel flipping, under two imputations, and by grid pointing.

The measures are those of ``lrp.evaluate``; but each method explains its inputs once for both imputations, and crops of
one photograph count as one sample.
"""

from __future__ import annotations

import math
import timeit
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from quality_nets import MAGNITUDE, Net

from onnx_lrp.evaluation.contenders import Contender, Contenders
from onnx_lrp.evaluation.forms import Form
from onnx_lrp.evaluation.measuring import Choices, Measure, ready
from onnx_lrp.evaluation.methods import Attribute
from onnx_lrp.evaluation.mosaics import mosaics
from onnx_lrp.evaluation.report import per_sample_means
from onnx_lrp.evaluation.statistics import Estimate, estimate
from onnx_lrp.evaluation.subject import Subject
from onnx_lrp.targets import softmaxed

IMPUTATIONS = ("blur", "mean")
BATCH = 4  # inputs that are explained together when the time is taken
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # t of 95 % by how many samples there are
Numbers = dict[str, Any]


def measured(net: Net, model: Path, limit: int | None = None, tell: Callable[[str], None] = print) -> Numbers:
    """All numbers of one net.

    Args:
        net: which one.
        model: its file.
        limit: how many inputs; None for as many as the page says.
        tell: called with a line for each method that is done.

    Returns:
        ``settings``: lines on what was measured; ``methods``: by name and measure (``p blur``, ``p mean``,
        ``pointing``) the ``value`` and ``less``, the paired difference to the first method, each as mean, low, high
        (95 %), and ``ms`` per input.

    Raises:
        OnnxLrpError: the model or the data do not fit.
    """
    contenders = Contenders.of(net.composites(), net.against(), None, {"threads": 1})
    subject = Subject.of(contenders.explainer(model), *net.data(limit))
    players, photographs = (subject, None) if net.crops == 1 else players_of(subject, net.crops)
    measures = {f"p {name}": asked("flipping", subject, contenders, model, name) for name in IMPUTATIONS}
    measures["pointing"] = asked("pointing", players, contenders, model)
    found: dict[str, dict[str, np.ndarray]] = {}
    cost: dict[str, float] = {}
    for contender, cost[contender.name] in contestants(contenders, model, subject):
        name, relevance = contender.name, contender.attribute(subject.x, subject.targets)
        scores = {m: measure.ask(contender, relevance).scores[m.split()[0]] for m, measure in measures.items()
                  if m != "pointing" or name not in net.unasked}  # fmt: skip
        found[name] = {m: samples(a, m, net.crops, photographs) for m, a in scores.items()}
        tell(f"{name}: p {found[name]['p blur'].mean():.3f}")
    settings = [f"{len(subject.x)} inputs", *(measure.about for measure in measures.values()), *subject.warnings]
    return {"settings": settings, "methods": standings(found, cost)}


def asked(name: str, subject: Subject, contenders: Contenders, model: Path, imputation: str | None = None) -> Measure:
    """A measure that these nets and inputs must have.

    Raises:
        ValueError: they do not.
    """
    measure = ready(name, subject, contenders, model, Choices(imputation))
    if isinstance(measure, str):
        raise ValueError(f"{name} is not measured: {measure}")
    return measure


def contestants(contenders: Contenders, model: Path, subject: Subject) -> Iterator[tuple[Contender, float]]:
    """All methods, each built when its turn comes, with their cost; behind SmoothGrad its absolute values."""
    for name in contenders.names:
        contender = contenders.build(name, model)
        cost = seconds(contender.attribute, subject)
        if name != "smoothgrad":
            yield contender, cost
            continue
        attribute = remembering(contender.attribute)
        yield replace(contender, attribute=attribute), cost
        yield Contender(MAGNITUDE, absolute(attribute)), cost


def absolute(attribute: Attribute) -> Attribute:
    """Without the signs."""
    return lambda x, targets: np.abs(attribute(x, targets))


def remembering(attribute: Attribute) -> Attribute:
    """The same, which computes nothing twice."""
    known: dict[tuple[int, ...], np.ndarray] = {}

    def remembered(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        key = (zlib.crc32(np.ascontiguousarray(x).tobytes()), *targets.tolist())
        if key not in known:
            known[key] = attribute(x, targets)
        return known[key]

    return remembered


def seconds(attribute: Attribute, subject: Subject) -> float:
    """Per input, of a small batch; the best of three, if it takes less than a second."""
    x, targets = subject.x[:BATCH], subject.targets[:BATCH]
    attribute(x[:1], targets[:1])  # what is made once, with the first input, does not count
    taken = [timeit.timeit(lambda: attribute(x, targets), number=1)]
    while len(taken) < 3 and taken[0] < 1:
        taken.append(timeit.timeit(lambda: attribute(x, targets), number=1))
    return min(taken) / len(x)


def players_of(subject: Subject, crops: int) -> tuple[Subject, np.ndarray]:
    """What mosaics are made of: the crops in which a net sees what it sees in most crops of that photograph.

    So four classes are four photographs, and no photograph is in two quarters.

    Returns:
        These crops, and the photographs of each mosaic's quarters, (m, 4).
    """
    photograph = np.arange(len(subject.x)) // crops
    usual = np.array([np.bincount(seen).argmax() for seen in subject.targets.reshape(-1, crops)])
    kept = np.flatnonzero(subject.targets == usual[photograph])
    chosen = replace(subject, x=subject.x[kept], targets=subject.targets[kept], logits=subject.logits[kept])
    numbers = np.broadcast_to(photograph[kept, None, None, None], (len(kept), 1, 2, 2)).astype(np.float64)
    board = mosaics(numbers, softmaxed(chosen.logits), Form("pictures", "NCHW"), larger=True)
    return chosen, board.pictures[:, 0, ::2, ::2].reshape(-1, 4).astype(int)


def samples(scores: np.ndarray, measure: str, crops: int, photographs: np.ndarray | None) -> np.ndarray:
    """One number for each independent sample: an input or a mosaic, or else a photograph."""
    if photographs is None:
        return per_sample_means(scores)
    if measure == "pointing":
        return np.array([scores[photographs == number].mean() for number in np.unique(photographs)])
    return np.asarray(scores.reshape(-1, crops).mean(1))


def interval(scores: np.ndarray) -> list[float]:
    """Mean, low, high: by bootstrap, as ``evaluate``; of five or fewer, too few to draw from, by Student's t."""
    found = estimate(scores)
    if len(scores) in STUDENT:
        half = STUDENT[len(scores)] * float(scores.std(ddof=1)) / math.sqrt(len(scores))
        found = Estimate(found.mean, found.mean - half, found.mean + half, found.samples)
    return [round(number, 4) for number in (found.mean, found.low, found.high)]


def standings(found: dict[str, dict[str, np.ndarray]], cost: dict[str, float]) -> Numbers:
    """By method and measure."""
    first = next(iter(found.values()))
    rows: Numbers = {}
    for name, scores in found.items():
        rows[name] = {m: {"value": interval(a)} for m, a in scores.items()}
        if scores is not first:
            for m, a in scores.items():
                rows[name][m]["less"] = interval(a - first[m])
        rows[name]["ms"] = round(cost[name] * 1000, 1)
    return rows
