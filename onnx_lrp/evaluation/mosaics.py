"""Four pictures of four classes in one: what the grid pointing game is played on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .forms import Form

MOST = 50


@dataclass(frozen=True)
class Mosaics:
    """Pictures of four quarters.

    Attributes:
        pictures: (m, ...), as the model takes them.
        classes: what each quarter shows, int64 (m, 4): top left, top right, bottom left, bottom right.
        middle: where the lower and the right quarters begin.
    """

    pictures: np.ndarray
    classes: np.ndarray
    middle: tuple[int, int]


def mosaics(
    x: np.ndarray, probability: np.ndarray, form: Form, larger: bool, most: int = MOST, seed: int = 0
) -> Mosaics:
    """Put four pictures of four predicted classes together (Böhle et al. 2021, "Convolutional dynamic alignment
    networks", section 4).

    Taken are only the pictures of which the model is surest: of each class the surer half, at least one, and in turn.

    Args:
        x: pictures (n, ...).
        probability: what the model makes of them, (n, classes).
        form: their axes.
        larger: whether mosaics are twice as high and wide; else each picture is shrunk to a quarter, by area.
        most: how many, at most; at most as many as there are pictures.
        seed: of the choice of classes and places.

    Raises:
        InputError: fewer than four classes are predicted.
    """
    sure = _surest(probability)
    if len(sure) < 4:
        raise InputError(f"the pointing game needs pictures of four classes, the model predicts {len(sure)} of these")
    random, turns = np.random.default_rng(seed), dict.fromkeys(sure, 0)
    chosen = []
    for _ in range(min(most, len(x))):
        classes = random.choice(list(sure), 4, replace=False).tolist()
        chosen.append([sure[c][turns[c] % len(sure[c])] for c in classes])
        turns |= {c: turns[c] + 1 for c in classes}
    indices = np.array(chosen)
    return _joined(form.planes(x), indices, probability.argmax(1)[indices], form, larger)


def _surest(probability: np.ndarray) -> dict[int, list[int]]:
    """By predicted class its surer half, the surest first."""
    predicted, order = probability.argmax(1), np.argsort(-probability.max(1), kind="stable")
    ranked = {int(c): [i for i in order.tolist() if predicted[i] == c] for c in np.unique(predicted)}
    return {c: found[: -(-len(found) // 2)] for c, found in ranked.items()}


def _joined(planes: np.ndarray, indices: np.ndarray, classes: np.ndarray, form: Form, larger: bool) -> Mosaics:
    height, width = planes.shape[2:]
    middle = (height, width) if larger else (height // 2, width // 2)
    rest = middle if larger else (height - middle[0], width - middle[1])
    rows = [
        np.concatenate([_resized(planes[indices[:, 2 * i + j]], h, w) for j, w in enumerate((middle[1], rest[1]))], 3)
        for i, h in enumerate((middle[0], rest[0]))
    ]
    pictures = form.restored(np.concatenate(rows, 2)).astype(planes.dtype)
    return Mosaics(np.ascontiguousarray(pictures), classes.astype(np.int64), middle)


def _resized(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """By the mean over the area that a new pixel covers."""
    if planes.shape[2:] == (height, width):
        return planes
    rows, columns = _shares(planes.shape[2], height), _shares(planes.shape[3], width)
    smaller = rows @ planes.astype(np.float64) @ columns.T
    return np.asarray(smaller.round() if planes.dtype.kind in "iu" else smaller)


def _shares(old: int, new: int) -> np.ndarray:
    """Row i: how much of new pixel i each old pixel covers."""
    edges, start = np.arange(new + 1) * old / new, np.arange(old)
    overlap = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    return np.asarray(np.clip(overlap, 0, None) * new / old)
