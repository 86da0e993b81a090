"""The mutation check itself: every break still fits the code, and the tool tells what is noticed from what is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from onnx_lrp.propagation.shortcuts import SHORTCUTS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from mutants import judged  # noqa: E402 - it lies in a folder of its own
from mutations import MUTANTS, Mutant  # noqa: E402

BROKEN = Mutant("wrong", "toy.py", "a + b", "a - b")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_code(mutant: Mutant) -> None:
    whole = (ROOT / mutant.file).read_text()
    broken = mutant.applied(whole)
    assert broken != whole
    compile(broken, mutant.file, "exec")


def test_there_is_one_of_every_shortcut_and_fact() -> None:
    real = [mutant for mutant in MUTANTS if not mutant.equivalent]
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len(real) >= 40
    broken = {kind.__name__ for kind in map(type, SHORTCUTS) if any(touches(mutant, kind) for mutant in real)}
    assert broken == {type(shortcut).__name__ for shortcut in SHORTCUTS}


def touches(mutant: Mutant, kind: type) -> bool:
    """Whether a mutant stands inside of a class."""
    path = Path(sys.modules[kind.__module__].__file__ or "")
    text = path.read_text()
    start = text.index(f"class {kind.__name__}(")
    end = text.find("\nclass ", start)
    return path == ROOT / mutant.file and mutant.old in text[start : end if end > 0 else None]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A folder with a function, and a test of it."""
    (tmp_path / "toy.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_toy.py").write_text("import toy\n\n\ndef test_add():\n    assert toy.add(1, 2) == 3\n")
    (tmp_path / "test_zero.py").write_text("import toy\n\n\ndef test_zero():\n    assert toy.add(1, 0) == 1\n")
    return tmp_path


@pytest.mark.parametrize(("test", "found"), [("test_toy.py", "test_toy.py::test_add"), ("test_zero.py", None)])
def test_what_notices_a_mutant(toy: Path, test: str, found: str | None) -> None:
    (toy / "onnx_lrp").symlink_to(ROOT / "onnx_lrp")
    whole = (toy / "toy.py").read_text()
    assert judged(BROKEN, toy, [test]) == found
    assert (toy / "toy.py").read_text() == whole


def test_what_does_not_stand_there_cannot_be_broken(toy: Path) -> None:
    (toy / "toy.py").write_text("def add(a, b):\n    return sum((a, b))\n")
    with pytest.raises(ValueError, match=r"mutant wrong: 'a \+ b' stands 0 times in toy.py, not once"):
        judged(BROKEN, toy, ["test_toy.py"])
