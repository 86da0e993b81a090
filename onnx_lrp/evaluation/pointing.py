"""The grid pointing game: whether what speaks for a class lies where the class is (Böhle et al. 2021, "Convolutional
dynamic alignment networks", section 4)."""

from __future__ import annotations

import numpy as np

from .forms import Form
from .methods import Attribute
from .mosaics import Mosaics

CHANCE = 0.25


def pointing(attribute: Attribute, mosaics: Mosaics, form: Form) -> np.ndarray:
    """The share of positive relevance (channels summed) that lies in the quarter of the explained class.

    Args:
        attribute: what explains.
        mosaics: pictures of four classes.
        form: their axes.

    Returns:
        float64 (m, 4), one for each quarter's class; 0 where nothing is positive. Chance is 0.25.
    """
    found = [
        _share(form.planes(attribute(mosaics.pictures, mosaics.classes[:, quarter])), mosaics.middle, quarter)
        for quarter in range(4)
    ]
    return np.stack(found, axis=1)


def _share(planes: np.ndarray, middle: tuple[int, int], quarter: int) -> np.ndarray:
    positive = np.maximum(planes.sum(1, dtype=np.float64), 0)
    row, column = (slice(m, None) if lower else slice(m) for m, lower in zip(middle, divmod(quarter, 2)))
    inside, total = positive[:, row, column].sum((1, 2)), positive.sum((1, 2))
    return np.asarray(np.divide(inside, total, out=np.zeros_like(total), where=total > 0))
