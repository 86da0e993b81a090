"""Layers as small multiples: where relevance is on its way through the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .figure import compose
from .heatmap import strongest
from .views import Look, Tile, Tiles, map_tile

if TYPE_CHECKING:
    from PIL.Image import Image

ACROSS, SMALL_SIDE = 4, 168


def draw_multiples(heading: Sequence[str], maps: Sequence[tuple[str, NDArray[Any]]], look: Look) -> Image:
    """Draw relevance (1, ...) of layers, four in a row, each on a scale of its own.

    Of feature maps channels are summed; what has no space is a strip.

    Raises:
        InputError: an unknown colour map, or a percentile outside of 0 to 100.
    """
    tiles: list[Tile | None] = [_tile(name, relevance, look) for name, relevance in maps]
    grid: Tiles = [tiles[start : start + ACROSS] for start in range(0, len(tiles), ACROSS)]
    said = f"full colour: percentile {look.percentile:g} of |R|, of each layer its own; channels summed"
    return compose(heading, grid, (None, said, look.cmap, True))


def _tile(name: str, relevance: NDArray[Any], look: Look) -> Tile:
    plane = _surface(relevance[0].astype(np.float64))
    limit = strongest(plane, look.percentile)
    sizes = "x".join(map(str, relevance.shape[1:]))
    return f"{name}\n{sizes}, full: {limit:.2g}", map_tile(plane, limit, look.cmap, SMALL_SIDE)


def _surface(one: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, H, W) with channels summed; a vector as a square where it is one, else as a strip."""
    if one.ndim >= 3:
        return np.asarray(one.reshape(-1, *one.shape[-2:]).sum(0))
    return one if one.ndim == 2 else _folded(one.reshape(-1))


def _folded(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lines of about equal length, as near to a square as divides evenly."""
    wide = next(n for n in range(max(1, int(np.sqrt(line.size))), 0, -1) if line.size % n == 0)
    return line.reshape(wide, -1)
