"""Curves of several methods side by side, drawn with nothing but Pillow."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .sheet import font

if TYPE_CHECKING:
    from PIL.Image import Image

SCALE = 2  # drawn larger, then shrunk, so that lines are smooth
WIDTH, HEIGHT, LEFT, TOP, BOTTOM, SPACE = 420, 340, 64, 40, 58, 52  # of one panel, in pixels of the result
GRID, INK, LETTERS, LEGEND = "#dddddd", "#222222", 13, 16
# Distinguishable with colour blindness, too: Okabe and Ito's
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One pair of axes: a title, and a line (points of x and y) of each method; all panels have the same methods."""

    title: str
    lines: Mapping[str, Line]


def draw_curves(
    panels: Sequence[Panel], x_label: str, y_label: str, within: tuple[float, float] | None = None
) -> Image:
    """Draw panels from left to right on one scale, and a legend behind them.

    Args:
        panels: at least one line in each.
        x_label: what x is, from 0 to 1; its ticks are in percent.
        y_label: what y is.
        within: the ends of the y axis; by default those of all lines.
    """
    from PIL import Image, ImageDraw

    names = list(panels[0].lines)
    ticks = nice_ticks(*(within or _ends(panels)))
    letters = font(LETTERS * SCALE)
    legend = max(int(letters.getlength(name)) // SCALE for name in names) + 60
    size = (LEFT + len(panels) * (WIDTH + SPACE) + legend, TOP + HEIGHT + BOTTOM)
    image = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), "white")
    pen = Pen(ImageDraw.Draw(image), letters)
    for i, panel in enumerate(panels):
        frame = Frame(pen, LEFT + i * (WIDTH + SPACE), ticks)
        frame.draw(panel.title, x_label, y_label if i == 0 else "")
        for name, colour in zip(names, _colours(len(names))):
            frame.plot(panel.lines[name], colour)
    for row, (name, colour) in enumerate(zip(names, _colours(len(names)))):
        left, top = size[0] - legend, TOP + 10 + row * LEGEND
        pen.line([(left, top), (left + 24, top)], colour, 2)
        pen.text((left + 32, top), name, "lm")
    return image.resize(size, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class Pen:
    """Draws in pixels of the result."""

    draw: Any
    letters: Any

    def line(self, points: Line, colour: str, width: float) -> None:
        """Through all points."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.draw.line(scaled, fill=colour, width=round(width * SCALE), joint="curve")

    def text(self, at: tuple[float, float], text: str, anchor: str) -> None:
        """Where the anchor is Pillow's: left, middle or right, and top, middle or bottom."""
        x, y = at[0] * SCALE, at[1] * SCALE
        left, _, right, _ = self.draw.textbbox((0, 0), text, font=self.letters)
        _, top, _, bottom = self.draw.textbbox((0, 0), "Ag", font=self.letters)  # so that lines are level
        x -= {"l": left, "m": (left + right) / 2, "r": right}[anchor[0]]
        y -= {"t": top, "m": (top + bottom) / 2, "b": bottom}[anchor[1]]
        self.draw.text((x, y), text, fill=INK, font=self.letters)


@dataclass(frozen=True)
class Frame:
    """A panel's frame: x from 0 to 1, y from the first tick to the last."""

    pen: Pen
    left: int
    ticks: Sequence[float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point is drawn."""
        low, high = self.ticks[0], self.ticks[-1]
        return self.left + x * WIDTH, TOP + HEIGHT * (high - y) / (high - low)

    def draw(self, title: str, x_label: str, y_label: str) -> None:
        """Grid, ticks and labels; those of y only where it has a name."""
        for y in self.ticks:
            self.pen.line([self.at(0, y), self.at(1, y)], GRID, 1)
            if y_label:
                self.pen.text((self.left - 6, self.at(0, y)[1]), f"{y:g}", "rm")
        for x in (0, 0.25, 0.5, 0.75, 1):
            self.pen.line([self.at(x, self.ticks[0]), self.at(x, self.ticks[-1])], GRID, 1)
            self.pen.text((self.at(x, 0)[0], TOP + HEIGHT + 6), f"{x:.0%}", "mt")
        self.pen.text((self.left + WIDTH / 2, TOP + HEIGHT + 30), x_label, "mt")
        self.pen.text((self.left + WIDTH / 2, TOP - 8), title, "mb")
        self.pen.text((8, 8), y_label, "lt")

    def plot(self, line: Line, colour: str) -> None:
        """A line through its points, which are dots, too."""
        self.pen.line([self.at(x, y) for x, y in line], colour, 1.6)
        for x, y in (self.at(*point) for point in line):
            self.pen.draw.ellipse([(v + d) * SCALE for d in (-2, 2) for v in (x, y)], fill=colour)


def nice_ticks(low: float, high: float) -> list[float]:
    """About five multiples of 1, 2 or 5 times a power of ten that hold both ends."""
    if high == low:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / 5)
    return [round(k * step, 12) for k in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]


def _ends(panels: Sequence[Panel]) -> tuple[float, float]:
    values = [y for panel in panels for line in panel.lines.values() for _, y in line]
    return min(values), max(values)


def _colours(count: int) -> list[str]:
    """The listed ones, and then hues as far apart as can be."""
    more = [colorsys.hsv_to_rgb(i * 0.618 % 1, 0.75, 0.65) for i in range(count - len(PALETTE))]
    return [*PALETTE[:count], *("#" + "".join(f"{round(255 * c):02x}" for c in colour) for colour in more)]
