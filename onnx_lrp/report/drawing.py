"""Pictures inside of a page: data URIs, so that nothing is fetched."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..pictures.colormaps import colours

if TYPE_CHECKING:
    from PIL.Image import Image

MAP_LEVELS = 255  # an odd number, so that one of them is no relevance at all
WIDEST_PICTURE = 1024  # pixels of a side; a page is for looking at
LOSSLESS = 300_000  # pixels of a photo from which on it is a JPEG


def map_uri(plane: NDArray[Any], limit: float) -> str:
    """Relevance (H, W) as a PNG of one palette, in which ±``limit`` gets the strongest colours."""
    from PIL import Image

    share = np.clip(plane.astype(np.float64) / (limit or 1.0), -1, 1)
    level = np.round((share + 1) / 2 * (MAP_LEVELS - 1)).astype(np.uint8)
    image = Image.fromarray(level, "L").convert("L")
    image = _palette(image)
    return _uri(_fitting(_thickened(image)), "PNG")


def photo_uri(pixels: NDArray[np.uint8]) -> str:
    """A photo, uint8 (H, W, 3)."""
    from PIL import Image

    image = _fitting(_thickened(Image.fromarray(pixels)))
    return _uri(image, "JPEG" if image.width * image.height > LOSSLESS else "PNG")


def scale_uri() -> str:
    """The colours of a map from against to for, as a strip."""
    return map_uri(np.linspace(-1, 1, 2 * MAP_LEVELS)[None].repeat(12, 0), 1.0)


def _palette(levels: Image) -> Image:
    shades = colours(np.linspace(-1, 1, MAP_LEVELS)[None])[0].round().astype(np.uint8)
    painted = levels.copy()
    painted.putpalette(shades.tobytes() + b"\xff\xff\xff")
    return painted


def _thickened(image: Image) -> Image:
    """A thin strip, of a signal or of one row of features, gets a height that can be seen."""
    from PIL import Image as Pictures

    height, width = (max(n, -(-max(image.size) // 8)) for n in (image.height, image.width))
    return image if image.size == (width, height) else image.resize((width, height), Pictures.Resampling.NEAREST)


def _fitting(image: Image) -> Image:
    from PIL import Image as Pictures

    share = WIDEST_PICTURE / max(image.size)
    if share >= 1:
        return image
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return image.resize(size, Pictures.Resampling.NEAREST if image.mode == "P" else Pictures.Resampling.BILINEAR)


def _uri(image: Image, kind: str) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
