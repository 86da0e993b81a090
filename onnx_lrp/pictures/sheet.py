"""Pictures side by side, each under its title: how two models see one input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .heatmap import enlarged, heatmap, strongest

if TYPE_CHECKING:
    from PIL.Image import Image

GAP, TITLE, GREY = 12, 24, "#e4e4e4"


def contrast(
    a: NDArray[Any],
    b: NDArray[Any],
    picture: NDArray[np.uint8] | None = None,
    percentile: float = 100.0,
    titles: tuple[str, str] = ("A", "B"),
) -> Image:
    """Draw what model A and model B find relevant, and the difference, all three on one scale of colours.

    Args:
        a: relevance by A, (H, W).
        b: by B, of the same shape.
        picture: what both saw, uint8 (H, W, 3), drawn before them.
        percentile: of |R| in A and B together that gets the strongest colour.
        titles: what stands above A and B; above the difference stands the scale, the |R| of the strongest colour.

    Raises:
        InputError: as for :func:`onnx_lrp.pictures.heatmap.heatmap`.

    """
    limit = strongest(np.stack([a, b]), percentile)
    maps = zip((*titles, f"B - A, scale ±{limit:.3g}"), (a, b, b.astype(np.float64) - a))
    tiles = [] if picture is None else [("input", enlarged(picture))]
    return side_by_side([*tiles, *((title, heatmap(r, limit=limit)) for title, r in maps)])


def side_by_side(tiles: Sequence[tuple[str, Image]]) -> Image:
    """Put pictures on grey, from left to right, each under its title."""
    from PIL import Image, ImageDraw

    height = max(image.height for _, image in tiles)
    width = sum(image.width + GAP for _, image in tiles) - GAP
    sheet = Image.new("RGB", (width, TITLE + height), GREY)
    pen, left = ImageDraw.Draw(sheet), 0
    for title, image in tiles:
        pen.text((left + 4, 4), title, fill="black", font=font())
        sheet.paste(image, (left, TITLE))
        left += image.width + GAP
    return sheet


def font(size: int = 16) -> Any:
    """Pillow's own, in this size where it can be scaled."""
    from PIL import ImageFont, features

    # Without FreeType there is only one size, and asking for another is an error
    return ImageFont.load_default(size) if features.check("freetype2") else ImageFont.load_default()
