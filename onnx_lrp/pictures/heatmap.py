"""Relevance as a picture: red speaks for the explained output, blue against it, white is no relevance at all."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from ..writing import shown, write_file
from .colormaps import colours
from .preprocessing import LUMINANCE
from .smoothing import smoothed

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_SIZE = 448


def heatmap(
    relevance: NDArray[Any],
    *,
    percentile: float = 100.0,
    limit: float | None = None,
    size: int = MIN_SIZE,
    cmap: str = "bwr",
    smooth: float = 0.0,
) -> Image:
    """Draw relevance (H, W) as an RGB picture with colours symmetric around zero.

    The strongest colours stand for the ``percentile`` of |R|: below 100, that many are clipped and the faint ones
    become visible. Where a ``limit`` is given they stand for that |R|, so that several pictures share one scale. A
    picture smaller than ``size`` is enlarged by a whole factor, every value a square of one colour; thin strips such as
    (1, N) are thickened. ``cmap`` names one of :func:`onnx_lrp.pictures.colormaps.colour_map`; ``smooth`` blurs by so
    many pixels before.

    Raises:
        InputError: not (H, W), empty, not finite, a percentile outside of 0 to 100, an unknown colour map, or smooth
            outside of 0 to the longer side.

    """
    return enlarged(colours(_normalised(relevance, percentile, limit, smooth), cmap), size)


def overlay(
    relevance: NDArray[Any],
    picture: NDArray[np.uint8],
    *,
    alpha: float = 1.0,
    percentile: float = 100.0,
    limit: float | None = None,
    size: int = MIN_SIZE,
    cmap: str = "bwr",
    smooth: float = 0.0,
) -> Image:
    """Draw relevance (H, W) over a paled grey version of the picture, uint8 (H, W, 3).

    The heat's opacity grows with |R| from 0 to ``alpha``, so the picture stays visible where nothing is relevant.

    Raises:
        InputError: as for `heatmap`, a picture of another size, or an alpha outside of 0 to 1.

    """
    share = _normalised(relevance, percentile, limit, smooth)
    if picture.shape != (*share.shape, 3) or picture.dtype != np.uint8:
        expected = (*share.shape, 3)
        raise InputError(f"the picture below must be uint8 {expected}, not {picture.dtype} {picture.shape}; resize it")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha is {alpha}; give a number from 0 to 1")
    grey = picture @ np.array(LUMINANCE)
    below = (255 - 0.45 * (255 - grey))[..., None]
    # The power makes weak relevance visible; colours start half-way, since a transparent white would only blur.
    opacity = alpha * np.abs(share)[..., None] ** 0.6
    heat = colours((np.sign(share) + share) / 2, cmap)
    return enlarged(opacity * heat + (1 - opacity) * below, size)


def save_png(image: Image, path: str | os.PathLike[str], force: bool = False) -> None:
    """Write a picture to a .png file, whole or not at all; replace an existing file only with ``force``.

    A picture of at most 256 colours is written with a palette, which takes less room and loses nothing.

    Raises:
        OutputError: another ending than .png, no such folder, the file exists already, or it cannot be written.

    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise OutputError(f"{shown(path)}: pictures are written as PNG; give a name that ends in .png")
    write_file(path, lambda temporary: indexed(image).save(temporary, "PNG"), force)


def png_bytes(image: Image) -> bytes:
    """The bytes of a PNG file."""
    file = io.BytesIO()
    indexed(image).save(file, "PNG")
    return file.getvalue()


def indexed(image: Image) -> Image:
    """The same RGB picture with a palette, where it has at most 256 colours; else as it is."""
    found = image.getcolors(256) if image.mode == "RGB" else None
    if found is None:
        return image
    from PIL import Image as Pillow

    shades = np.array(sorted(shade for _, shade in found))
    weights = np.array([1 << 16, 1 << 8, 1])  # sorted as numbers they are sorted as triples
    places = np.searchsorted(shades @ weights, np.asarray(image).astype(np.int64) @ weights)
    small = Pillow.fromarray(places.astype(np.uint8)).convert("P")
    small.putpalette(shades.reshape(-1).tolist())
    return small


def strongest(relevance: NDArray[Any], percentile: float) -> float:
    """The |R| that gets the strongest colour; 0 where there is no relevance.

    Raises:
        InputError: a percentile outside of 0 to 100.

    """
    if not 0 < percentile <= 100:
        raise InputError(f"percentile is {percentile}; give a number above 0, up to 100")
    magnitude = np.abs(relevance)
    # Where most values are zero so may be the percentile; then the largest one is all there is to go by.
    return float(np.percentile(magnitude, percentile, method="lower") or magnitude.max())


def enlarged(plane: NDArray[Any], size: int = MIN_SIZE) -> Image:
    """Turn colours (H, W, 3), 0 to 255, into a picture of at least ``size``, as `heatmap` does."""
    from PIL import Image

    height, width = plane.shape[:2]
    factor = max(1, math.ceil(size / max(height, width)))
    rows, columns = (max(factor, math.ceil(size / 8 / length)) for length in (height, width))
    image = Image.fromarray(plane.round().astype(np.uint8))
    return image.resize((width * columns, height * rows), Image.Resampling.NEAREST)


def _normalised(relevance: NDArray[Any], percentile: float, limit: float | None, smooth: float) -> NDArray[np.float64]:
    """Return relevance / its largest magnitude, or the limit, within -1 and 1."""
    values = np.asarray(relevance)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
        raise InputError(
            f"a heatmap needs numbers of shape (H, W), not {values.dtype} {values.shape}; sum over the rest"
        )
    if not np.isfinite(values).all():
        raise InputError("relevance holds NaN or infinite values; explain again in float64 or with a larger epsilon")
    values = smoothed(values.astype(np.float64), smooth)
    limit = strongest(values, percentile) if limit is None else limit
    share: NDArray[np.float64] = np.clip(values, -limit, limit) / (limit or 1.0)
    return share
