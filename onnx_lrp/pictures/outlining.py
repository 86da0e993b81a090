"""The outline of an area, such as the one that a segmentation gives to a class, on a tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

THIN = 2  # pixels, white inside and black outside: seen on every picture, and in grey print


def outlined(tile: Image, mask: NDArray[np.bool_]) -> Image:
    """Draw the edge of the mask (H, W), which is scaled to the tile."""
    from PIL import Image

    area = Image.fromarray(mask.astype(np.uint8) * 255).resize(tile.size, Image.Resampling.NEAREST)
    inside, pixels = np.asarray(area) > 0, np.array(tile)
    pixels[_grown(inside, THIN) & ~inside] = 0
    pixels[inside & _grown(~inside, THIN)] = 255
    return Image.fromarray(pixels)


def area_of(weights: NDArray[Any], size: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Where a region's weights, of one sample's output, are not 0 in a picture of that size (H, W).

    None where no two neighbouring axes of the output are the picture's, or where it would be all of the picture.
    """
    places = [axis for axis in range(weights.ndim - 1) if weights.shape[axis : axis + 2] == size]
    if len(places) != 1:
        return None
    rest = tuple(axis for axis in range(weights.ndim) if axis not in (places[0], places[0] + 1))
    area = np.asarray((weights != 0).any(rest))
    return None if area.all() else area


def checked_area(mask: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask that fits a picture (H, W).

    Raises:
        InputError: it has another shape.
    """
    area = np.asarray(mask)
    if area.shape != size:
        raise InputError(f"the outline's mask has shape {area.shape}, the picture {size}; they must agree")
    return area.astype(bool)


def _grown(area: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """By so many pixels up, down, left and right."""
    grown = area.copy()
    for _ in range(by):
        step = grown.copy()
        step[1:] |= grown[:-1]
        step[:-1] |= grown[1:]
        step[:, 1:] |= grown[:, :-1]
        step[:, :-1] |= grown[:, 1:]
        grown = step
    return grown
