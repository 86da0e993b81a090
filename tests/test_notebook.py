"""The notebooks in ``examples/``: they run, show something, and are kept without what they showed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")


def test_there_is_one() -> None:
    assert [path.name for path in NOTEBOOKS] == ["first_steps.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the client's own event loop
def test_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figure, table and account are shown; what is to be read holds the right digit."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(ROOT / "examples" / "first_steps.ipynb", 4)
    made = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT / "examples")}})
    made.execute()
    shown = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert _text(shown["read"]) == "(10, 1, 28, 28)"
    assert "mnist_cnn.onnx" in _text(shown["explain"])
    assert shown["draw"][-1].data["image/png"]
    assert "ΣR at the target" in _text(shown["conserve"])
    assert "10 inputs" in _text(shown["evaluate"])
    assert "epsilon" in _text(shown["evaluate"])
    assert not [output for outputs in shown.values() for output in outputs if output.get("name") == "stderr"]


def _text(outputs: list[Any]) -> str:
    return "\n".join(output.text if "text" in output else output.data["text/plain"] for output in outputs)
