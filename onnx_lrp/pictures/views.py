"""What each kind of input is drawn as: tiles in rows, of maps that share one scale of colours or have their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .heatmap import enlarged, overlay, strongest
from .layout import DeclaredShape, Layout
from .marking import painted
from .outlining import checked_area, outlined
from .preprocessing import Preprocessing, spatial
from .smoothing import smoothed

if TYPE_CHECKING:
    from PIL.Image import Image

Tile = tuple[str, "Image"]
Tiles = list[list["Tile | None"]]
SIDE, LARGEST, SLICES, EDGE = 336, 672, 4, "#cccccc"  # pixels of a tile at least and at most; slices of a volume


@dataclass(frozen=True)
class Look:
    """How a figure is drawn: colour map, percentile of |R| for full colour, blur in pixels, whether over the photo."""

    cmap: str = "bwr"
    percentile: float = 99.5
    smooth: float = 0.0
    overlay: bool = True


class View(Protocol):
    """How one kind of input is drawn."""

    clipped: bool  # whether colours end at a percentile; else at the largest |R|
    coloured: bool  # whether a colour bar explains it

    def plane(self, relevance: NDArray[Any], look: Look) -> NDArray[np.float64]:
        """The numbers that are drawn, of one sample with its batch axis of 1, if it has one."""

    def tiles(
        self, planes: Sequence[NDArray[np.float64]], names: Sequence[str], limits: Sequence[float], look: Look
    ) -> Tiles:
        """Draw the maps, with full colour at the limit of each."""


@dataclass(frozen=True)
class PictureView:
    """Photo, map, and the map over the photo; of several maps, those over the photo stand in a second row.

    ``x`` is one sample, None if it is not known; ``shape`` what the model declares; ``size`` (H, W) if it is flat;
    ``outline`` a mask (H, W) whose edge is drawn on the photo.
    """

    x: NDArray[Any] | None
    shape: DeclaredShape
    size: tuple[int, int] | None = None
    preprocessing: Preprocessing | None = None
    outline: Any = None
    clipped = coloured = True

    def plane(self, relevance: NDArray[Any], look: Look) -> NDArray[np.float64]:
        """Channels summed, (H, W)."""
        return smoothed(spatial(relevance, self.shape, self.size).astype(np.float64), look.smooth)

    def tiles(
        self, planes: Sequence[NDArray[np.float64]], names: Sequence[str], limits: Sequence[float], look: Look
    ) -> Tiles:
        """One row, or two where maps lie over the photo, too."""
        photo, alone = self.photo(), len(planes) == 1
        maps: list[Tile | None] = [
            (name or "relevance", map_tile(plane, limit, look.cmap))
            for plane, name, limit in zip(planes, names, limits)
        ]
        if photo is None:
            return [maps]
        first: list[Tile | None] = [
            ("input", self._outlined(within(enlarged(photo.astype(float), SIDE)), photo)),
            *maps,
        ]
        over: list[Tile | None] = [
            ("both", self._outlined(within(overlay(plane, photo, limit=limit, size=SIDE, cmap=look.cmap)), photo))
            for plane, limit in zip(planes, limits)
        ]
        if not look.overlay:
            return [first]
        return [[*first, *over]] if alone else [first, [None, *over]]

    def _outlined(self, tile: Image, photo: NDArray[np.uint8]) -> Image:
        if self.outline is None:
            return tile
        return outlined(tile, checked_area(self.outline, (photo.shape[0], photo.shape[1])))

    def photo(self) -> NDArray[np.uint8] | None:
        """The input as a picture, uint8 (H, W, 3); None of what is none, such as five channels."""
        if self.x is None:
            return None
        values = Layout.of(self.shape).unpack(self.x)
        if values.shape[2] not in (1, 3):
            return None
        if self.preprocessing is not None:
            return self.preprocessing.display(self.x, self.shape)
        return np.repeat(_stretched(values), 3 // values.shape[2], axis=2)


@dataclass(frozen=True)
class VolumeView:
    """The slices along the depth with the most |R|, below the same slices of the input; ``x`` is (1, C, D, H, W)."""

    x: NDArray[Any] | None
    clipped = coloured = True

    def plane(self, relevance: NDArray[Any], look: Look) -> NDArray[np.float64]:
        """Channels summed, (D, H, W)."""
        summed = relevance[0].sum(0).astype(np.float64)
        return np.stack([smoothed(one, look.smooth) for one in summed])

    def tiles(
        self, planes: Sequence[NDArray[np.float64]], names: Sequence[str], limits: Sequence[float], look: Look
    ) -> Tiles:
        """A row of slices of the input, and one for every map."""
        amounts = sum(np.abs(plane).sum((1, 2)) for plane in planes)
        chosen = sorted(np.argsort(-np.asarray(amounts), kind="stable")[:SLICES].tolist())
        rows: Tiles = [
            [(f"{name or 'relevance'}, slice {z}", map_tile(plane[z], limit, look.cmap, SIDE // 2)) for z in chosen]
            for plane, name, limit in zip(planes, names, limits)
        ]
        if self.x is None:
            return rows
        seen = _stretched(np.moveaxis(self.x[0], 0, -1).mean(-1, keepdims=True))
        inputs = [seen[z].repeat(3, axis=2).astype(float) for z in chosen]
        return [[(f"input, slice {z}", within(enlarged(one, SIDE // 2))) for z, one in zip(chosen, inputs)], *rows]


def map_tile(plane: NDArray[np.float64], limit: float, cmap: str, side: int = SIDE) -> Image:
    """Relevance (H, W) as a tile, hatched where it is negative."""
    from PIL import Image, ImageDraw

    height, width = plane.shape
    factor = max(1, -(-side // max(height, width)))
    rows, columns = (max(factor, -(-side // 8 // length)) for length in (height, width))
    share = np.clip(plane / (limit or 1.0), -1, 1)
    tile = within(Image.fromarray(painted(share, rows, columns, cmap).round().astype(np.uint8)))
    ImageDraw.Draw(tile).rectangle((0, 0, tile.width - 1, tile.height - 1), outline=EDGE)  # white would have no end
    return tile


def within(image: Image) -> Image:
    """A picture that is too large for a tile, made smaller by the mean of its pixels."""
    from PIL import Image

    factor = LARGEST / max(image.size)
    if factor >= 1:
        return image
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def limits_of(planes: Sequence[NDArray[np.float64]], percentile: float, shared: bool) -> list[float]:
    """The |R| of full colour: one for all, or one for each.

    Raises:
        InputError: a percentile outside of 0 to 100.

    """
    if shared:
        return [strongest(np.concatenate([plane.reshape(-1) for plane in planes]), percentile)] * len(planes)
    return [strongest(plane, percentile) for plane in planes]


def _stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """From the smallest value, black, to the largest, white."""
    numbers = np.nan_to_num(values.astype(np.float64))
    low, high = numbers.min(), numbers.max()
    return np.asarray(255 * (numbers - low) / ((high - low) or 1.0)).round().astype(np.uint8)
