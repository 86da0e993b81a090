"""Tokens on the colour of their relevance: for a terminal, as HTML, and as a picture."""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..pictures.colormaps import colours
from ..text import printable

if TYPE_CHECKING:
    from PIL.Image import Image

LINE, WIDEST, MARGIN = 44, 1200, 12  # pixels
DARK = 0.45  # of lightness; on darker colours text is white


@dataclass(frozen=True)
class TokenRow:
    """The tokens of one sample and their relevance, one number each; full colour stands for ``limit``, else the
    largest |R|.

    Raises:
        InputError: another number of tokens than of numbers.
    """

    tokens: Sequence[str]
    relevance: np.ndarray
    limit: float | None = None
    cmap: str = "bwr"

    def __post_init__(self) -> None:
        if len(self.tokens) != len(self.relevance):
            raise InputError(f"{len(self.tokens)} tokens for {len(self.relevance)} ids; they must agree")

    @property
    def shares(self) -> np.ndarray:
        """Of Σ|R|, with their signs; zeros where there is no relevance."""
        total = float(np.abs(self.relevance).sum())
        return self.relevance.astype(np.float64) / (total or 1.0)

    def _strength(self) -> np.ndarray:
        """Relevance over the |R| of full colour."""
        largest = float(np.abs(self.relevance).max(initial=0.0)) if self.limit is None else self.limit
        return np.clip(self.relevance.astype(np.float64) / (largest or 1.0), -1, 1)

    def _painted(self) -> Iterator[tuple[str, float, tuple[int, int, int]]]:
        shades = colours(self._strength()[None], self.cmap)[0].round().astype(int) if len(self.tokens) else []
        for token, share, shade in zip(self.tokens, self.shares, shades):
            red, green, blue = (int(n) for n in shade)
            yield printable(token, 40), float(share), (red, green, blue)

    def shaded(self) -> Iterator[tuple[str, float, str, str]]:
        """Every token with its share, its background and the ink on it, as CSS has them."""
        for token, share, shade in self._painted():
            yield token, share, f"rgb{shade}", "#fff" if _is_dark(shade) else "#000"

    def terminal(self, coloured: bool | None = None) -> str:
        """One line: ``kitten +50%  rug +20%``, on colours where the terminal has them."""
        coloured = _has_colours() if coloured is None else coloured
        return "  ".join(self._word(*painted, coloured) for painted in self._painted())

    @staticmethod
    def _word(token: str, share: float, shade: tuple[int, int, int], coloured: bool) -> str:
        text = f"{token} {100 * share:+.0f}%"
        if not coloured:
            return text
        ink = "255;255;255" if _is_dark(shade) else "0;0;0"
        return f"\x1b[48;2;{shade[0]};{shade[1]};{shade[2]}m\x1b[38;2;{ink}m {text} \x1b[0m"

    def html(self, title: str) -> str:
        """A page of its own, with the numbers beside the pointer."""
        words = "\n".join(
            f'<span style="background:rgb{shade};color:{"white" if _is_dark(shade) else "black"}" '
            f'title="{value:.6g} ({100 * share:+.1f} % of Σ|R|)">{html.escape(token)}</span>'
            for (token, share, shade), value in zip(self._painted(), self.relevance.tolist())
        )
        return PAGE.format(title=html.escape(title), words=words)

    def picture(self) -> Image:
        """The tokens as a paragraph, each with its share below."""
        from PIL import Image, ImageDraw

        large, small = _font(20), _font(12)
        placed, right, bottom = [], MARGIN, MARGIN
        for token, share, shade in self._painted():
            width = int(max(large.getlength(token), small.getlength("+100%"))) + 12
            if right + width > WIDEST - MARGIN:
                right, bottom = MARGIN, bottom + LINE + 6
            placed.append((right, bottom, width, token, share, shade))
            right += width + 4
        image = Image.new("RGB", (WIDEST if bottom > MARGIN else right + MARGIN, bottom + LINE + MARGIN), "white")
        pen = ImageDraw.Draw(image)
        for left, top, width, token, share, shade in placed:
            ink = "white" if _is_dark(shade) else "black"
            pen.rounded_rectangle((left, top, left + width, top + LINE), 4, fill=shade)
            pen.text((left + 6, top + 2), token, fill=ink, font=large)
            pen.text((left + 6, top + 27), f"{100 * share:+.0f}%", fill=ink, font=small)
        return image


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 18px/2.1 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }}
h1 {{ font-size: 1em; }} span {{ padding: .2em .35em; border-radius: .25em; }} p {{ color: #555; font-size: .8em; }}
</style></head><body><h1>{title}</h1>
<div>
{words}
</div>
<p>Red speaks for the explained output, blue against it; the strongest colour is the largest |R|.</p>
</body></html>
"""


def write_page(page: str, path: Path) -> None:
    """Write a page."""
    path.write_text(page, "utf-8")


def _is_dark(shade: tuple[int, int, int]) -> bool:
    return sum(share * n for share, n in zip((0.2126, 0.7152, 0.0722), shade)) < 255 * DARK


def _has_colours() -> bool:
    """Whether the terminal shows them, and nobody has said that it should not (no-color.org)."""
    if sys.stdout is None:  # a process without one
        return False
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
