"""Sequences: the signal on top, and below it a strip of features x time steps in the colours of relevance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .curves import PALETTE, nice_ticks
from .layout import Layout
from .lettering import fitted, letters
from .marking import painted
from .smoothing import smoothed
from .views import Look, Tiles

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, LEFT_EDGE, RIGHT_EDGE = 880, 92, 20  # of what is drawn along time, and the room beside it
SIGNAL, LEAST_ROW, MOST_ROW, TALLEST, AXIS_ROOM = 180, 3, 48, 336, 22  # heights
MOST_LINES, SHARP, LETTER, FAINT, DARK_INK = 7, 2, 13, "#dddddd", "#222222"


@dataclass(frozen=True)
class SeriesView:
    """One sample of a sequence; ``x`` has a batch axis of 1, and time behind the features or in front of them.

    ``names`` are those of the features; f0, f1, ... where there are none.
    """

    x: NDArray[Any] | None
    time_last: bool
    names: Sequence[str] = ()
    clipped = coloured = True

    def rows(self, array: NDArray[Any]) -> NDArray[np.float64]:
        """(features, time) of (1, features, time), (1, time, features), or a picture with a side of 1."""
        if array.ndim == 4:
            pixels = Layout.of(array.shape).unpack(array)
            return pixels.reshape(-1, pixels.shape[2]).T.astype(np.float64)
        return np.asarray(array[0] if self.time_last else array[0].T, np.float64)

    def plane(self, relevance: NDArray[Any], look: Look) -> NDArray[np.float64]:
        """(features, time), blurred along time alone."""
        return np.concatenate([smoothed(row[None], look.smooth) for row in self.rows(relevance)])

    def tiles(
        self, planes: Sequence[NDArray[np.float64]], names: Sequence[str], limits: Sequence[float], look: Look
    ) -> Tiles:
        """The signal, and a strip for every map, all along one axis of time."""
        strips: Tiles = [
            [(name or "relevance", self._strip(plane, _shades(plane, limit, look.cmap)))]
            for plane, name, limit in zip(planes, names, limits)
        ]
        return strips if self.x is None else [[("input", self._signal(self.rows(self.x)))], *strips]

    def _strip(self, rows: NDArray[np.float64], shades: NDArray[np.float64]) -> Image:
        """Shades (height, width, 3) with the names of the features beside them, and time below."""
        from PIL import Image, ImageDraw

        (features, steps), each = rows.shape, _height(len(rows))
        strip = Image.fromarray(shades.round().astype(np.uint8))
        image = Image.new("RGB", (LEFT_EDGE + WIDTH + RIGHT_EDGE, strip.height + AXIS_ROOM), "white")
        image.paste(strip, (LEFT_EDGE, 0))
        pen = ImageDraw.Draw(image)
        every = max(1, -(-(LETTER + 2) // each))
        for f in range(0, features, every):
            place = (LEFT_EDGE - 6, (f + 0.5) * each)
            pen.text(place, fitted(self._name(f), LETTER, LEFT_EDGE - 10), DARK_INK, letters(LETTER), "rm")
        for x, said in _steps(steps):
            pen.line((LEFT_EDGE + x, strip.height, LEFT_EDGE + x, strip.height + 4), DARK_INK)
            pen.text((LEFT_EDGE + x, strip.height + 6), said, DARK_INK, letters(LETTER), "ma")
        return image

    def _name(self, feature: int) -> str:
        return self.names[feature] if self.names else f"f{feature}"

    def _signal(self, rows: NDArray[np.float64]) -> Image:
        """Lines, drawn larger and then shrunk so that they are smooth; many features are a strip in grey."""
        from PIL import Image, ImageDraw

        if len(rows) > MOST_LINES:
            return self._strip(rows, _greys(rows))
        ticks = nice_ticks(float(rows.min()), float(rows.max()))
        low, high = ticks[0], ticks[-1]
        size = (LEFT_EDGE + WIDTH + RIGHT_EDGE, SIGNAL)
        image = Image.new("RGB", (size[0] * SHARP, size[1] * SHARP), "white")
        pen = ImageDraw.Draw(image)
        down = {y: SHARP * (8 + (SIGNAL - 16) * (high - y) / (high - low)) for y in ticks}
        for y in ticks:
            pen.line((SHARP * LEFT_EDGE, down[y], SHARP * (LEFT_EDGE + WIDTH), down[y]), FAINT, SHARP)
            pen.text((SHARP * (LEFT_EDGE - 6), down[y]), f"{y:g}", DARK_INK, letters(LETTER * SHARP), "rm")
        across = SHARP * (LEFT_EDGE + (np.arange(rows.shape[1]) + 0.5) * WIDTH / rows.shape[1])
        for row, colour in zip(rows, PALETTE if len(rows) > 1 else (DARK_INK,)):
            heights = SHARP * (8 + (SIGNAL - 16) * (high - row) / (high - low))
            pen.line(list(zip(across.tolist(), heights.tolist())), colour, SHARP + 1, "curve")
        drawn = image.resize(size, Image.Resampling.LANCZOS)
        return self._keyed(drawn, len(rows)) if len(rows) > 1 else drawn

    def _keyed(self, drawn: Image, count: int) -> Image:
        """With the names of the lines in their colours."""
        from PIL import ImageDraw

        pen, left = ImageDraw.Draw(drawn), float(LEFT_EDGE + 6)
        for f, colour in zip(range(count), PALETTE):
            name = fitted(self._name(f), LETTER, WIDTH / count - 16)
            pen.text((left, 2), name, colour, letters(LETTER))
            left += letters(LETTER).getlength(name) + 14
        return drawn


def _height(features: int) -> int:
    """Of one feature's row, in pixels."""
    return min(MOST_ROW, max(LEAST_ROW, TALLEST // features))


def _shades(plane: NDArray[np.float64], limit: float, cmap: str) -> NDArray[np.float64]:
    share = np.clip(plane / (limit or 1.0), -1, 1)
    return painted(_per_pixel(share), _height(len(plane)), 1, cmap)


def _greys(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the smallest value, white, to the largest, black."""
    low, high = rows.min(), rows.max()
    share = _per_pixel((rows - low) / ((high - low) or 1.0)).repeat(_height(len(rows)), axis=0)
    return np.repeat(255 * (1 - share)[..., None], 3, axis=2)


def _per_pixel(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """One column per pixel of the width; of steps that share a pixel the strongest, so that no peak gets lost."""
    steps = share.shape[1]
    starts = np.arange(WIDTH) * steps // WIDTH
    if steps <= WIDTH:
        return share[:, starts]
    ends = np.append(starts[1:], steps)
    places = [a + np.abs(share[:, a:b]).argmax(1) for a, b in zip(starts, ends)]
    return np.take_along_axis(share, np.stack(places, axis=1), axis=1)


def _steps(count: int) -> Iterator[tuple[float, str]]:
    """Where ticks of time stand, in pixels, and what they say."""
    for tick in nice_ticks(0, count):
        if tick < count and tick == int(tick):
            yield (tick + 0.5) * WIDTH / count, f"{tick:g}"
