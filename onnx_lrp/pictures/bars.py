"""Rows of features: sorted bars, to the right for the explained output and to the left against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .lettering import fitted, letters
from .marking import painted
from .views import Look, Tiles

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BARS, BAR, SPACING, NAME_ROOM, BAR_ROOM, NUMBER_ROOM, TEXT, BLACK = 16, 18, 6, 250, 120, 72, 14, "#222222"


@dataclass(frozen=True)
class BarsView:
    """One sample of a row of features, ``x`` with a batch axis of 1; also of whatever has no picture of its own.

    ``names`` are those of the features; f0, f1, ... (or their place) where there are none.
    """

    x: NDArray[Any] | None
    shape: tuple[int, ...]
    names: Sequence[str] = ()
    clipped = coloured = False

    def plane(self, relevance: NDArray[Any], look: Look) -> NDArray[np.float64]:
        """One number per feature."""
        return relevance.reshape(-1).astype(np.float64)

    def tiles(
        self, planes: Sequence[NDArray[np.float64]], names: Sequence[str], limits: Sequence[float], look: Look
    ) -> Tiles:
        """Beside each other, all in the order of the first map, its largest |R| on top."""
        order = np.argsort(-np.abs(planes[0]), kind="stable")[:MOST_BARS].tolist()
        listed = [self._lines(plane, order) for plane in planes]
        largest = max(abs(value) for lines in listed for _, value in lines) or 1.0
        return [[(name or "relevance", _chart(lines, largest, look.cmap)) for lines, name in zip(listed, names)]]

    def _lines(self, plane: NDArray[np.float64], order: list[int]) -> list[tuple[str, float]]:
        """What every bar is called, and its relevance; those that have no bar of their own are one together."""
        lines = [(self._named(i), float(plane[i])) for i in order]
        rest = np.setdiff1d(np.arange(len(plane)), order)
        return [*lines, (f"{len(rest)} others together", float(plane[rest].sum()))] if len(rest) else lines

    def _named(self, feature: int) -> str:
        place = feature if len(self.shape) < 2 else tuple(map(int, np.unravel_index(feature, self.shape)))
        name = self.names[feature] if self.names else f"f{place}" if isinstance(place, int) else f"{place}"
        if self.x is None:
            return name
        value = f" = {self.x.reshape(-1)[feature]:.4g}"
        return fitted(name, TEXT, NAME_ROOM - 8 - letters(TEXT).getlength(value)) + value


def _chart(lines: Sequence[tuple[str, float]], largest: float, cmap: str) -> Image:
    """A name, a bar and a number in every line; the longest bar stands for ``largest``."""
    from PIL import Image, ImageDraw

    middle = NAME_ROOM + NUMBER_ROOM + BAR_ROOM
    image = Image.new("RGB", (middle + BAR_ROOM + NUMBER_ROOM, len(lines) * (BAR + SPACING)), "white")
    pen = ImageDraw.Draw(image)
    pen.line((middle, 0, middle, image.height), "#999999")
    for place, (name, value) in enumerate(lines):
        top, length = place * (BAR + SPACING) + SPACING // 2, round(BAR_ROOM * abs(value) / largest)
        if length:
            bar = Image.fromarray(_bar(np.sign(value), length, cmap))
            image.paste(bar, (middle + 1 if value > 0 else middle - length, top))
        at, anchor = (middle + length + 6, "lm") if value >= 0 else (middle - length - 6, "rm")
        pen.text((4, top + BAR / 2), fitted(name, TEXT, NAME_ROOM - 8), BLACK, letters(TEXT), "lm")
        pen.text((at, top + BAR / 2), f"{value:+.3g}", BLACK, letters(TEXT), anchor)
    return image


def _bar(sign: float, length: int, cmap: str) -> NDArray[np.uint8]:
    """In the colour of three quarters of full strength, hatched where it speaks against."""
    share = np.full((1, length), 0.75 * sign)
    return painted(share, BAR, 1, cmap).round().astype(np.uint8)
