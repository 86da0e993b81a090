"""Ways to prepare pictures, tried side by side: which one was the model trained with?

The model's probability alone does not tell: with pixels too small a net gives every picture one answer, with pixels too
large it is as sure as can be of nonsense. So each way is weighed by how the model behaves under it. An answer should
stay when the picture gets a little darker, and should be another one when nothing of the picture is left but its mean
colour. With p, d and b the probabilities for the picture, for it at 80 % of its brightness and for its mean colour, and
BC(p, q) = Σ √(p q) the coefficient of Bhattacharyya (1943), the weight of a way is (BC(p, d)⁶ (1 - BC(p, b)))². The
exponents and thresholds were fitted by tools/preprocessing_doubts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..text import printable
from .preprocessing import PREPROCESSINGS, Preprocessing

DARKER = 0.8
VIEWS = 3  # of a picture: it, a darker one, its mean colour
SUPPORT = 0.65  # of the best answer's share: what has less is doubted
LOW = 0.08  # a probability
# Of the orders of colours, those that are in use with each preset
USUAL = {"raw": ("rgb", "bgr"), "zero-one": ("rgb",), "signed": ("rgb",), "imagenet": ("rgb",), "caffe": ("bgr", "rgb")}


@dataclass(frozen=True)
class Convention:
    """One way to prepare pictures, and the options by which it is asked for."""

    options: str
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Attempt:
    """What a model answers under one convention.

    Attributes:
        convention: how pictures were prepared.
        shares: probabilities of the classes, shape (classes,).
        weight: how much the convention is trusted, from 0 to 1.
    """

    convention: Convention
    shares: np.ndarray
    weight: float

    @property
    def best(self) -> int:
        """The class that is predicted."""
        return int(self.shares.argmax())


def usual(channels: int) -> list[Convention]:
    """The ways in common use, for models that take 1 or 3 channels."""
    orders = USUAL if channels == 3 else dict.fromkeys(("raw", "zero-one", "signed"), ("rgb",))
    return [_convention(name, order, "crop") for name, found in orders.items() for order in found]


def every(channels: int) -> list[Convention]:
    """All presets, in both orders of colours, cropped and stretched."""
    names = PREPROCESSINGS if channels == 3 else ("raw", "zero-one", "signed")
    orders = ("rgb", "bgr") if channels == 3 else ("rgb",)
    return [_convention(name, order, fit) for name in names for order in orders for fit in ("crop", "stretch")]


def views(pixels: np.ndarray) -> list[np.ndarray]:
    """The picture, a darker one, and its mean colour: what :func:`tried` needs the answers to."""
    blank = np.broadcast_to(pixels.mean((0, 1), keepdims=True), pixels.shape)
    return [pixels, pixels * DARKER, blank]


def tried(convention: Convention, shares: np.ndarray) -> Attempt:
    """Weigh a convention.

    Args:
        convention: how the views were prepared.
        shares: probabilities for each of :func:`views`, shape (3, classes).
    """
    roots = np.sqrt(np.clip(shares.astype(np.float64), 0, 1))
    darker, blank = (float(min(roots[0] @ other, 1.0)) for other in roots[1:])
    return Attempt(convention, shares[0], (darker**6 * (1 - blank)) ** 2)


def doubt(own: Attempt, others: Sequence[Attempt], labels: Sequence[str] = ()) -> tuple[str, ...]:
    """Why the convention in use may not be the model's, in a line; nothing if there is no reason to say so.

    Args:
        own: the one in use.
        others: of :func:`usual`.
        labels: names of the classes.
    """
    trials = [own, *(t for t in others if t.convention.preprocessing != own.convention.preprocessing)]
    pooled = np.sum([t.weight * t.shares for t in trials], axis=0)
    rival, sure = int(np.argmax(pooled)), float(own.shares[own.best])
    if rival != own.best and pooled[own.best] < SUPPORT * pooled[rival]:
        speaker = max(trials, key=lambda t: t.weight * t.shares[rival])
        return (
            f"the pictures may not be prepared as the model expects them: {named(own.best, labels)} has the "
            f"probability {sure:.2g} by {own.convention.options}, but other ways speak for {named(rival, labels)} "
            f"({speaker.shares[rival]:.2g} by {speaker.convention.options}); find out how the model was trained and "
            "say it; --preprocess try shows all ways side by side",
        )
    if sure < LOW:
        return (
            f"the probability is low: {named(own.best, labels)} has {sure:.2g} by {own.convention.options}; are the "
            "pictures prepared as the model expects them, and of its classes? --preprocess try shows all ways side by "
            "side",
        )
    return ()


def named(index: int, labels: Sequence[str]) -> str:
    """A class by its label, else by its index."""
    return repr(printable(labels[index])) if index < len(labels) else f"class {index}"


def _convention(name: str, order: str, fit: str) -> Convention:
    usually = PREPROCESSINGS[name].channels
    options = f"--preprocess {name}" + f" --channels {order}" * (order != usually) + " --fit stretch" * (fit != "crop")
    return Convention(options, replace(PREPROCESSINGS[name], channels=order, fit=fit))  # type: ignore[arg-type]
