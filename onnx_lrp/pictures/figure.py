"""A figure to hand over: a title, tiles that say what they are, and a colour bar that says what colours stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .legend import colour_bar
from .lettering import fitted, letters
from .views import Look, Tiles, View, limits_of

if TYPE_CHECKING:
    from PIL.Image import Image

BORDER, BETWEEN, CAPTION, HEADING, LINE_SPACE, LEAST_WIDTH = 14, 12, 15, 21, 6, 560
BLACKISH, GREYISH = "#111111", "#555555"


Key = tuple[float | None, str, str, bool]  # what colour_bar takes


def draw_figure(
    heading: Sequence[str],
    view: View,
    maps: Sequence[tuple[str, NDArray[Any]]],
    look: Look = Look(),  # noqa: B008 a frozen value
    *,
    shared: bool = True,
) -> Image:
    """Put everything together.

    Args:
        heading: lines of text, the first one large.
        view: how the input is drawn.
        maps: a name (empty where there is but one), and one sample's relevance of the view's shape.
        look: colours, percentile, blur, overlay.
        shared: one scale of colours for all maps; else every map has its own, which its name says.

    Raises:
        InputError: an unknown colour map, a percentile outside of 0 to 100, or a blur that does not fit.
    """
    planes = [view.plane(relevance, look) for _, relevance in maps]
    limits = limits_of(planes, look.percentile if view.clipped else 100.0, shared)
    own = not shared and len(maps) > 1
    names = [f"{name}, full colour {limit:.3g}" if own else name for (name, _), limit in zip(maps, limits)]
    grid = view.tiles(planes, names, limits, look)
    said = _said(planes, None if own else limits[0], look, view.clipped)
    return compose(
        heading, grid, (None if own else limits[0], said, look.cmap, view.clipped) if view.coloured else None
    )


def _said(planes: Sequence[NDArray[np.float64]], limit: float | None, look: Look, clipped: bool) -> str:
    """What full colour stands for."""
    blurred = f"; blurred by {look.smooth:g} px" if look.smooth and clipped else ""
    hatched = "; hatched: areas against" if clipped else ""
    percent = f"percentile {look.percentile:g} of |R|" if clipped else "the largest |R|"
    if limit is None:
        return f"full colour: {percent}, of each map its own{hatched}{blurred}"
    largest = max(float(np.abs(plane).max()) for plane in planes)
    ends = f", the largest is {largest:.3g}" if largest > limit else ""
    return f"full colour from |R| = {limit:.3g} on, {percent}{ends}{hatched}{blurred}"


def compose(heading: Sequence[str], grid: Tiles, bar: Key | None) -> Image:
    """Heading, rows of tiles under their captions of one line or more, and a colour bar.

    Raises:
        InputError: an unknown colour map.
    """
    from PIL import Image, ImageDraw

    columns = [max((t[1].width for row in grid for t in row[c : c + 1] if t), default=0) for c in range(_columns(grid))]
    above = [max(t[0].count("\n") + 1 for t in row if t) * (CAPTION + LINE_SPACE) for row in grid]
    heights = [max(t[1].height for t in row if t) + room for row, room in zip(grid, above)]
    width = max(sum(columns) + BETWEEN * (len(columns) - 1), LEAST_WIDTH)
    top = sum(size + LINE_SPACE for size in _sizes(heading)) + LINE_SPACE
    foot = [] if bar is None else [colour_bar(*bar, width)]
    height = top + sum(heights) + BETWEEN * len(heights) + sum(image.height for image in foot)
    sheet = Image.new("RGB", (width + 2 * BORDER, height + 2 * BORDER), "white")
    pen, down = ImageDraw.Draw(sheet), BORDER
    for text, size in zip(heading, _sizes(heading)):
        pen.text((BORDER, down), fitted(text, size, width), BLACKISH if size == HEADING else GREYISH, letters(size))
        down += size + LINE_SPACE
    down += LINE_SPACE
    for row, tall, room in zip(grid, heights, above):
        left = BORDER
        for tile, wide in zip(row, columns):
            if tile is not None:
                for i, line in enumerate(tile[0].split("\n")):
                    at = (left, down + i * (CAPTION + LINE_SPACE))
                    pen.text(at, fitted(line, CAPTION, tile[1].width), BLACKISH, letters(CAPTION))
                sheet.paste(tile[1], (left, down + room))
            left += wide + BETWEEN
        down += tall + BETWEEN
    for image in foot:
        sheet.paste(image, (BORDER, down))
    return sheet


def _columns(grid: Tiles) -> int:
    return max(map(len, grid))


def _sizes(heading: Sequence[str]) -> list[int]:
    """Of the letters in each line of the heading."""
    return [HEADING if i == 0 else CAPTION for i in range(len(heading))]
