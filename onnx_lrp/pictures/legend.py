"""The colour bar below a figure: which relevance a colour stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .colormaps import colours
from .lettering import fitted, letters
from .marking import painted

if TYPE_CHECKING:
    from PIL.Image import Image

LONG, THICK, SMALL, INK, PALE = 288, 18, 14, "#222222", "#666666"


def colour_bar(limit: float | None, said: str, cmap: str, hatched: bool, width: int) -> Image:
    """A bar from the strongest colour against to the strongest for, with numbers at both ends and 0 between.

    Args:
        limit: the |R| of full colour; None where every map has its own.
        said: one line below, what full colour stands for.
        cmap: the colour map.
        hatched: whether what speaks against is hatched in the tiles, and so here.
        width: of the picture, in pixels.

    Raises:
        InputError: an unknown colour map.

    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, 2 * THICK + 38), "white")
    pen = ImageDraw.Draw(image)
    shares = np.linspace(-1, 1, LONG)[None]
    shades = painted(shares, THICK, 1, cmap) if hatched else colours(shares, cmap).repeat(THICK, axis=0)
    left = min(96, max(0, (width - LONG) // 2))
    image.paste(Image.fromarray(shades.round().astype(np.uint8)), (left, 1))
    pen.rectangle((left - 1, 0, left + LONG, THICK + 1), outline=PALE)
    low, high = ("-full", "+full") if limit is None else (f"{-limit:.3g}", f"+{limit:.3g}")
    for text, x, anchor in ((low, 0.0, "la"), ("0", 0.5, "ma"), (high, 1.0, "ra")):
        pen.text((left + x * LONG, THICK + 5), text, INK, letters(SMALL), anchor)
    if left + LONG + 96 <= width:
        pen.text((left - 8, 2), "against", INK, letters(SMALL), "ra")
        pen.text((left + LONG + 8, 2), "for", INK, letters(SMALL), "la")
    pen.text((4, THICK + 27), fitted(said, SMALL, width - 8), PALE, letters(SMALL))
    return image
