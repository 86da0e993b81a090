"""What the package says of itself agrees with what it is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import onnx_lrp as lrp

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def settings() -> Any:
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_one_version(settings: Any) -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", citation, re.M)[1] == lrp.__version__  # type: ignore[index]
    assert settings["project"]["version"] == lrp.__version__
    assert re.search(r"^license: (.*)$", citation, re.M)[1] == settings["project"]["license"]  # type: ignore[index]


def test_what_is_packed_exists(settings: Any) -> None:
    packed = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [name for name in packed if not (ROOT / name).exists()] == []
    assert {"onnx_lrp", "tests", "examples", "docs", "README.md", "LICENSE", "CITATION.cff"} <= set(packed)


def test_the_doctor_knows_every_package_and_extra(settings: Any) -> None:
    from onnx_lrp.cli.examining import EXTRAS, NEEDED

    needed = {re.split(r"[><=; ]", text)[0] for text in settings["project"]["dependencies"]} - {"tomli"}
    assert set(NEEDED) == needed
    optional = settings["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        assert any(text.startswith(package) for text in optional[extra])
