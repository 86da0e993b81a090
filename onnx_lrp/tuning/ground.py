"""Inputs to measure candidates on: pixel flipping, and the pointing game where it can be played."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..evaluation.contenders import Contender
from ..evaluation.measuring import Choices, about_pointing, board, flipping
from ..evaluation.mosaics import Mosaics
from ..evaluation.pointing import pointing
from ..evaluation.report import per_sample_means
from ..evaluation.subject import Subject

POINTING = "pointing"
FLIPPING = ("p", "logit")  # the first that there is: a single output has no probability
SampleScores = dict[str, np.ndarray]


@dataclass(frozen=True)
class Ground:
    """A subject with its mosaics.

    Attributes:
        subject: the model and inputs.
        mosaics: of these inputs, or the reason why pointing is not measured.
        choices: how to measure.
    """

    subject: Subject
    mosaics: Mosaics | str
    choices: Choices

    @classmethod
    def of(cls, subject: Subject, choices: Choices) -> Ground:
        """Make the mosaics."""
        return cls(subject, board(subject, choices.random_seed), choices)

    def without_pointing(self, reason: str) -> Ground:
        """The same, flipped only."""
        return replace(self, mosaics=reason)

    @property
    def about(self) -> tuple[str, ...]:
        """How it is measured, a line for each measure."""
        played = () if isinstance(self.mosaics, str) else (about_pointing(self.mosaics, self.subject),)
        return flipping(self.subject, self.choices).about, *played

    def scores(self, contender: Contender, count: int | None = None) -> SampleScores:
        """One number per sample by each measure: (n,) of pixel flipping, (m,) of pointing.

        Args:
            contender: what explains.
            count: take the first inputs and mosaics only, so many of each; None for all.
        """
        part = self._first(count)
        flips = flipping(part, self.choices).ask(contender, contender.attribute(part.x, part.targets)).scores
        name = next(name for name in FLIPPING if name in flips)
        found = {name: flips[name]}
        if not isinstance(self.mosaics, str):
            taken = replace(self.mosaics, pictures=self.mosaics.pictures[:count], classes=self.mosaics.classes[:count])
            found[POINTING] = per_sample_means(pointing(contender.attribute, taken, part.form))
        return found

    def _first(self, count: int | None) -> Subject:
        return taken(self.subject, np.arange(len(self.subject.x))[:count])


def taken(subject: Subject, places: np.ndarray) -> Subject:
    """The same subject with these inputs only, in this order."""
    return replace(subject, x=subject.x[places], targets=subject.targets[places], logits=subject.logits[places])


def spread(classes: np.ndarray, seed: int) -> np.ndarray:
    """An order of samples, every beginning of which has the classes in about the proportion of the whole.

    Args:
        classes: of each sample, (n,).
        seed: of the order within a class, and of that of classes that are equally far.
    """
    shuffled = np.random.default_rng(seed).permutation(len(classes))
    place = np.empty(len(classes))
    for label in np.unique(classes):
        own = shuffled[classes[shuffled] == label]
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
    return shuffled[np.argsort(place[shuffled], kind="stable")]
