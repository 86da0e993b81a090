"""The pictures on which doubts about preprocessing are measured, and how they are counted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from preprocessing_doubts import FITTED, OTHERS, WAYS, Count, measure, parts  # noqa: E402

from tests.pictures.edges import edges, stripes  # noqa: E402


def test_parts() -> None:
    picture = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    found = dict(parts(picture))
    assert sorted(found) == sorted([*FITTED, *OTHERS])
    assert np.array_equal(found["mirrored"][:, 0], picture[:, -1])
    assert np.array_equal(found["bottom right"], picture[2:, 3:])
    assert np.array_equal(found["middle"], picture[1:7, 1:10])


def test_wrong_answers_are_counted(tmp_path: Path) -> None:
    """The net of edges answers wrongly where pixels are up to 1 only; there are five ways and one picture."""
    onnx.save(edges(224), tmp_path / "m.onnx")
    counts = measure(tmp_path / "m.onnx", "squeezenet", {"stripes": stripes(224)}, ["whole"])
    assert list(counts) == ["caffe", *(way.options for way in WAYS["squeezenet"][1])]
    assert counts["caffe"] == Count(0, 1)
    assert counts["zero-one"] == Count(1, 1)
    assert counts["raw"] == Count(0, 0)
    assert str(counts["zero-one"]) == "1/1 (100%)"
