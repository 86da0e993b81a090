"""The pinned environments are those that the golden files come from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools" / "golden"
PINS = {
    path.stem: dict(line.split("==") for line in path.read_text().split())
    for path in (TOOLS / "requirements").glob("*.txt")
}
GOLDENS = sorted((ROOT / "tests" / "regression" / "golden").glob("*/golden.json"))


@pytest.mark.parametrize("framework", PINS)
def test_every_framework_has_a_module(framework: str) -> None:
    assert "def main()" in (TOOLS / f"{framework}.py").read_text()


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.parent.name)
def test_the_pins_made_the_files(path: Path) -> None:
    pins, golden = PINS[path.parent.name.partition("-")[0]], json.loads(path.read_text())
    makers = {item["exporter"] for item in golden["models"]} | {item["tool"] for item in golden["references"]}
    made_with = {pair for text in makers for pair in re.findall(r"([\w-]+) (\d+(?:\.\d+)+)", text)}
    assert made_with
    assert made_with <= set(pins.items())
