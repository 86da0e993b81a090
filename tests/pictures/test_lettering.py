"""Text in pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from onnx_lrp.pictures.lettering import drawable, fitted, letters


@pytest.mark.parametrize(
    ("text", "drawn"),
    [("espresso 3.5", "espresso 3.5"), ("naïve café", "naive cafe"), ("a−b", "a-b"), ("Straße", "Strasse"),
     ("Conv→a", "Conv->a"), ("日本 x", "?? x")],
)  # fmt: skip
def test_letters_that_the_font_lacks(text: str, drawn: str) -> None:
    assert drawable(text) == drawn


@pytest.mark.parametrize("text", ["W" * 5000, "short", "line\nbreak\x1b[31m", "/" * 30 + "model" * 40, "", "é" * 300])
@pytest.mark.parametrize(("size", "width"), [(21, 560), (14, 80), (15, 336)])
def test_never_wider_than_its_place(text: str, size: int, width: int) -> None:
    line = fitted(text, size, width)
    assert line.isprintable()
    assert bool(line) == bool(text)
    image = Image.new("L", (width + 200, 60), 0)
    ImageDraw.Draw(image).text((0, 10), line, 255, letters(size))
    assert not np.asarray(image)[:, width + 2 :].any()
    if text == "short" and width > 100:
        assert line == text
