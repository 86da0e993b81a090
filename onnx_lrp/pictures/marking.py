"""Signs that survive grey print: what speaks against is hatched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .colormaps import colours

PATCH = 6  # pixels of the picture that are hatched, or not, together
FROM = 0.12  # of the strongest relevance, on the average of a block
PITCH, DARKER, PALER = 6, 0.45, 0.7  # pixels between lines; how far they are on the scale from what is under them


def painted(share: NDArray[np.float64], rows: int, columns: int, cmap: str) -> NDArray[np.float64]:
    """Colours of shares (H, W), every one ``rows`` x ``columns`` pixels large, hatched where they speak against.

    Colours are equally light on both sides, so in grey print they say how much, and the hatching says against.

    Raises:
        InputError: an unknown colour map.

    """
    large = share.repeat(rows, axis=0).repeat(columns, axis=1)
    down, across = (np.arange(n) for n in large.shape)
    strong = large < -0.5
    lines = ((down[:, None] + across) % PITCH <= strong) & _against(large) & (large < 0)  # pale lines look thinner
    inked = np.where(strong, large + PALER, large - DARKER)
    return colours(np.where(lines, np.clip(inked, -1, 0), large), cmap)


def _against(large: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where blocks are negative on the average: single pixels of a fine map would only make it noisy."""
    height, width = large.shape
    padded = np.pad(large, [(0, -height % PATCH), (0, -width % PATCH)], mode="edge")
    blocks = padded.reshape(padded.shape[0] // PATCH, PATCH, -1, PATCH).mean((1, 3))
    return np.asarray((blocks < -FROM).repeat(PATCH, axis=0).repeat(PATCH, axis=1)[:height, :width])
