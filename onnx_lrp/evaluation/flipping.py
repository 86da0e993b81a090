"""Pixel flipping: what becomes of the answer when the most relevant pieces are taken away first, and when the least.

Samek et al. 2017, "Evaluating the visualization of what a deep neural network has learned": pieces are ordered by their
relevance, most relevant first (MoRF) or least relevant first (LeRF), and taken away in that order. A good order makes
the first curve fall fast and the second one late; the area between them (LeRF - MoRF) sees both, and is 0 for an order
that knows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..targets import softmaxed
from .forms import Pieces
from .imputing import Impute
from .predictor import Predict

ROWS, BYTES = 1024, 16 << 20  # of inputs that are predicted together, at most
UNIT = 4  # of the accuracy area that DynamicLRP (arXiv 2512.07010) prints


@dataclass(frozen=True)
class Flips:
    """What pixel flipping records of n samples.

    Attributes:
        share: of the pieces that are taken away, at each point, from 0 to 1.
        logit: of the target, (2, n, points): MoRF and LeRF.
        probability: of the target, by softmax over all outputs; the same shape, or None of a single output.
        correct: whether the target is still the largest, 0 or 1, likewise.
    """

    share: np.ndarray
    logit: np.ndarray
    probability: np.ndarray | None
    correct: np.ndarray | None

    def scores(self) -> dict[str, np.ndarray]:
        """Per sample, float64 (n,): the areas.

        ``p`` and ``logit`` are LeRF - MoRF, ``accuracy`` is four times that of the accuracy, which is how the code of
        DynamicLRP counts: its x-axis has four patches for each step, and the area is divided by the steps.
        """
        found: dict[str, np.ndarray] = {}
        for name, curves in (("p", self.probability), ("logit", self.logit)):
            if curves is not None:
                morf, lerf = areas(self.share, curves)
                found |= {name: lerf - morf, f"{name} MoRF": morf, f"{name} LeRF": lerf}
        if self.correct is not None:
            morf, lerf = areas(self.share, self.correct)
            found["accuracy"] = UNIT * (lerf - morf)
        return found

    def curves(self) -> dict[str, list[float]]:
        """Means over the samples, by what is measured and the order."""
        measured = {"p": self.probability, "logit": self.logit, "accuracy": self.correct}
        return {"share": self.share.tolist()} | {
            f"{name} {order}": means.tolist()
            for name, curves in measured.items() if curves is not None
            for order, means in zip(("MoRF", "LeRF"), curves.mean(1))
        }  # fmt: skip


def flip(
    predict: Predict,
    x: np.ndarray,
    targets: np.ndarray,
    relevance: np.ndarray,
    pieces: Pieces,
    impute: Impute,
    steps: int = 16,
    seed: int = 0,
) -> Flips:
    """Take pieces away in both orders.

    Args:
        predict: the model.
        x: inputs (n, ...).
        targets: int64 (n,).
        relevance: of the inputs' shape. Pieces of equal relevance come in a random order, the same for all samples.
        pieces: what is taken away together.
        impute: what comes in its place.
        steps: how often the model is asked, in equal shares of the pieces, besides the untouched input.
        seed: of that random order.
    """
    taken = np.unique(np.round(np.linspace(0, pieces.count, steps + 1)).astype(int))
    share, tie = taken / pieces.count, np.random.default_rng(seed).permutation(pieces.count)
    scores = pieces.sums(relevance)
    places = np.argsort(np.lexsort((np.broadcast_to(tie, scores.shape), -scores)), axis=1)
    logits = predict(x)[:, None]
    answers = np.empty((2, len(x), len(taken), logits.shape[-1]))
    answers[:, :, :1] = logits
    for part in parts(x, 2 * len(taken) - 2):
        fill = impute(x[part])
        imputed = [
            fill(pieces.mask(chosen))
            for morf in (True, False)
            for k in taken[1:]
            for chosen in [places[part] < k if morf else places[part] >= pieces.count - k]
        ]
        shape = (2, len(taken) - 1, len(x[part]), logits.shape[-1])
        answers[:, part, 1:] = predict(np.concatenate(imputed)).reshape(shape).transpose(0, 2, 1, 3)
    return _recorded(share, answers, targets)


def areas(share: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Under curves (..., points), by trapezoids, where ``share`` goes from 0 to 1."""
    return np.asarray(((curves[..., 1:] + curves[..., :-1]) / 2 * np.diff(share)).sum(-1))


def parts(x: np.ndarray, copies: int = 1) -> Iterator[slice]:
    """Samples of which so many copies fit into memory together."""
    rows = min(ROWS, BYTES // max(1, x[:1].nbytes))
    size = max(1, rows // copies)
    yield from (slice(start, start + size) for start in range(0, len(x), size))


def _recorded(share: np.ndarray, answers: np.ndarray, targets: np.ndarray) -> Flips:
    """Of answers (2, n, points, C)."""
    at = np.broadcast_to(targets[None, :, None, None], (*answers.shape[:3], 1))
    logit = np.take_along_axis(answers, at, 3)[..., 0]
    if answers.shape[-1] == 1:
        return Flips(share, logit, None, None)
    probability = np.take_along_axis(softmaxed(answers), at, 3)[..., 0]
    return Flips(share, logit, probability, (answers.argmax(-1) == at[..., 0]).astype(np.float64))
