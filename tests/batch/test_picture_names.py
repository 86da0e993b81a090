"""Where things lie in the folder of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_lrp.batch.folder import Folder


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a/b-1.2 c.png", "b-1.2_c"),
        ("x" * 250 + ".png", "x" * 80),
        ("ü" * 120 + ".png", "ü" * 60),
        ("a" + "ü" * 120 + ".png", "a" + "ü" * 59),
        ("\U00020000" * 62 + ".png", "\U00020000" * 30),
        ("\udcff" * 9, "_" * 9),
    ],
)
def test_a_picture_is_called_as_its_input_as_far_as_a_file_can_be(tmp_path: Path, name: str, stem: str) -> None:
    path = Folder(tmp_path).picture("png", 1234, name)
    assert path.relative_to(tmp_path) == Path("png/000001") / f"000001234_{stem}.png"
    path.parent.mkdir(parents=True)
    path.touch()
