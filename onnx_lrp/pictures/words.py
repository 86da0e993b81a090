"""Tokens: coloured words, each with its share below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tokens.rows import TokenRow
from .lettering import drawable
from .views import Look, Tiles


@dataclass(frozen=True)
class WordsView:
    """The tokens of one sample."""

    tokens: Sequence[str]
    clipped, coloured = False, True

    def plane(self, relevance: NDArray[Any], look: Look) -> NDArray[np.float64]:
        """One number per token."""
        return relevance.reshape(-1).astype(np.float64)

    def tiles(
        self, planes: Sequence[NDArray[np.float64]], names: Sequence[str], limits: Sequence[float], look: Look
    ) -> Tiles:
        """A paragraph for every map.

        Raises:
            InputError: another number of tokens than of numbers.
        """
        words = [drawable(token) for token in self.tokens]
        return [
            [(name or "share of the sum of |R|", TokenRow(words, plane, limit, look.cmap).picture())]
            for plane, name, limit in zip(planes, names, limits)
        ]
