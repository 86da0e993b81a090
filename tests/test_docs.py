"""What the documents say must be true."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import onnx_lrp as lrp
from onnx_lrp.composites import PRESETS
from onnx_lrp.ops import OPS

ROOT = Path(__file__).resolve().parents[1]


def test_every_op_is_in_the_table() -> None:
    table = (ROOT / "docs" / "ops.md").read_text()
    assert [op for op in OPS if not re.search(rf"\b{op}\b", table)] == []


def test_every_preset_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in PRESETS if f"`{name}`" not in readme] == []


def test_links_and_pictures_exist() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "models").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_public_names_can_be_imported() -> None:
    assert [name for name in lrp.__all__ if getattr(lrp, name, None) is None] == []
    assert set(lrp.__all__) == set(lrp._HOME)


def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (ROOT / "README.md").read_text()
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"x": np.random.default_rng(0).uniform(size=(2, 1, 28, 28)).astype(np.float32)}
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "why.png").exists()
