"""``onnx-lrp doctor``: what it finds, and that it notices what is wrong."""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_lrp.cli import examining
from onnx_lrp.cli.main import main
from onnx_lrp.engines.compiled import CompiledEngine

Capture = pytest.CaptureFixture[str]


def test_all_is_well_here(capsys: Capture) -> None:
    assert main(["doctor"]) == 0
    printed, said = capsys.readouterr()
    assert said == ""
    assert printed.endswith("\nall is well\n")
    for package, module in (("numpy", np), ("onnx", onnx)):
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{package} ") and "ok" not in line]
        assert line.split() == [package, module.__version__]
    assert "CPUExecutionProvider" in printed
    assert printed.count("  ok, ") == 3
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["well"]
    assert list(found["backends"]) == ["numpy", "onnx", "torch"]


def test_what_is_not_installed_has_a_remedy(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def version(package: str) -> str:
        if package in ("torch", "tokenizers"):
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(examining, "version", version)
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "not installed; pip install 'onnx_lrp[torch]'" in printed
    assert "not installed; pip install 'onnx_lrp[text]'" in printed
    assert printed.count("  ok, ") == 2


def test_every_extra_for_users_is_among_the_optional_ones() -> None:
    tomllib = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())["project"]
    extras, listed = project["optional-dependencies"], examining.EXTRAS
    assert set(extras) - set(listed.values()) == {"test", "lint", "realmodels", "all"}
    for package, extra in listed.items():
        assert any(re.match(rf"{package}\b", wanted) for wanted in extras[extra]), package


def test_what_is_needed_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def version(package: str) -> str:
        if package == "pillow":
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(examining, "version", version)
    assert main(["doctor"]) == 1
    assert "missing; pip install pillow" in capsys.readouterr().out


def test_a_backend_that_differs_is_found(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    run = CompiledEngine.run

    def wrong(self: CompiledEngine, *args: Any) -> Any:
        results = run(self, *args)
        for result in results:
            for relevance in result.relevance.values():
                relevance *= 1.01
        return results

    monkeypatch.setattr(CompiledEngine, "run", wrong)
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["backends"]["onnx"].startswith("differs from NumPy's answer by 1.0e-02")
    assert found["backends"]["torch"].startswith("ok")
    assert not found["well"]


def test_a_broken_package_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "fails: ModuleNotFoundError: import of onnxruntime halted" in printed
    assert printed.endswith("something is wrong, see above\n")
