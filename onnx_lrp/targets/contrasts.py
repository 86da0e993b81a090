"""Seeds that hold a class against others, or a number against another one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import TargetError

ContrastKind = Literal["odds", "margin", "probability", "against", "baseline"]
SEED_WORDS = ("logit", "one", "odds", "margin", "probability")  # the seeds that have a name


@dataclass(frozen=True)
class Contrast:
    """What relevance starts with at the class c of each sample, z its logits and p their softmax.

    Three are weightings w with w_c = 1. Relevance starts with w ⊙ z, so that Σ w z is explained:

    * ``odds``: w_j = -p_j / (1 - p_c), the gradient of the log-odds ln(p_c / (1 - p_c)). Σ w z is the log-odds plus the
      entropy of the others' shares. Relatives are CLRP (Gu et al. 2018), which holds all others alike against c, and
      SGLRP (Iwana et al. 2019), whose seed is the gradient of p_c: the w of here times p_c (1 - p_c).
    * ``margin``: w_r = -1 for the runner-up r, the largest of the others (the first of equal ones).
    * ``against``: w_j = -1/n for each of n classes.

    Two are numbers at the target alone: ``probability``, p_c; and ``baseline``, z less a given number, for an output of
    one element.

    Attributes:
        kind: one of these.
        classes: of ``against``.
        baseline: what ``baseline`` takes off.
    """

    kind: ContrastKind
    classes: tuple[int, ...] = ()
    baseline: float = 0.0

    @property
    def word(self) -> str:
        """The seed's name; of ``against`` and ``baseline``, the one that they go with."""
        return self.kind if self.kind in SEED_WORDS else "logit"

    def __str__(self) -> str:
        return f"seed {self.kind!r}" if self.kind in SEED_WORDS else self.kind

    def check(self, shape: Sequence[int]) -> None:
        """Raise unless a sample's output of this shape, (classes,) or (classes, 1, 1, ...), can be started with.

        Raises:
            TargetError: no classes to compare, one where a baseline is wanted, or a class that does not exist.
        """
        size = math.prod(shape)
        if self.kind == "baseline":
            if size != 1:
                raise TargetError(
                    f"baseline is for an output of one element, and this one has {size}; "
                    "hold a class against others with against=CLASS (--against CLASS)"
                )
            return
        if size == 1:
            raise TargetError(
                f"{self} compares classes, and the output has one element; "
                "hold it against a number with baseline=VALUE (--baseline VALUE)"
            )
        if not shape or shape[0] < 2 or size != shape[0]:
            shown = ", ".join(map(str, ("samples", *shape)))
            raise TargetError(f"{self} compares classes: it takes an output of (samples, classes), not of ({shown})")
        for wrong in [j for j in self.classes if not 0 <= j < size]:
            raise TargetError(f"against names class {wrong}: the output has {size} classes, 0 to {size - 1}")

    def check_apart(self, target: np.ndarray) -> None:
        """Raise if a sample's target, a flat index of shape (samples,), is among the classes of ``against``.

        Raises:
            TargetError: it is.
        """
        for sample, index in enumerate(target.tolist()):
            if index in self.classes:
                raise TargetError(
                    f"class {index} cannot be held against itself: it is the target of sample {sample}; "
                    "give another target, or leave it out of against"
                )

    def start(self, logits: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The relevance to start with, of the shape and dtype of the logits.

        Args:
            logits: shape (samples, classes) or (samples, classes, 1, 1, ...); for ``baseline`` one element a sample.
            target: flat index per sample, shape (samples,).

        Raises:
            TargetError: they do not fit, or a class is held against itself.
        """
        self.check(logits.shape[1:])
        self.check_apart(target)
        z, rows = _flat(logits), np.arange(len(logits))
        if self.kind == "baseline":
            start = z - self.baseline
        elif self.kind == "probability":
            start = np.zeros_like(z)
            start[rows, target] = softmaxed(z)[rows, target]
        else:
            start = self.weights(logits, target) * z
        return start.astype(logits.dtype).reshape(logits.shape)

    def weights(self, logits: np.ndarray, target: np.ndarray) -> np.ndarray:
        """w of ``odds``, ``margin`` and ``against``: (samples, classes), float64; arguments as for :meth:`start`."""
        w, rows = np.zeros((len(logits), math.prod(logits.shape[1:]))), np.arange(len(logits))
        if self.kind == "odds":
            w = -softmaxed(_others(logits, target))  # of the others alone: stable where p_c is nearly 1
        elif self.kind == "margin":
            w[rows, runner_up(logits, target)] = -1.0
        else:
            w[:, list(self.classes)] = -1.0 / len(self.classes)
        w[rows, target] = 1.0
        return w


def runner_up(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The largest class but for the target, shape (samples,); arguments as for :meth:`Contrast.start`."""
    return np.asarray(_others(logits, target).argmax(1))


def _flat(logits: np.ndarray) -> np.ndarray:
    return logits.reshape(len(logits), -1).astype(np.float64)


def _others(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The logits with the target's out of the running: (samples, classes)."""
    rest = _flat(logits)
    rest[np.arange(len(rest)), target] = -np.inf
    return rest


def softmaxed(logits: np.ndarray) -> np.ndarray:
    """Their softmax over the last axis, of the same shape and dtype."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(shares / shares.sum(-1, keepdims=True))
