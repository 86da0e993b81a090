"""A folder is written whole or not at all, and what is not ours stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onnx_lrp.errors import OutputError
from onnx_lrp.serving.folder import write_folder

FILES = {"net/1/model.onnx": b"model", "net/config.pbtxt": b"config"}


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_written_and_replaced(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", FILES)
    assert content(tmp_path / "out") == FILES
    with pytest.raises(OutputError, match="exists already"):
        write_folder(tmp_path / "out", FILES)
    newer = {**FILES, "net/config.pbtxt": b"newer"}
    write_folder(tmp_path / "out", newer, force=True)
    assert content(tmp_path / "out") == newer
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_files_stay(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", FILES)
    (tmp_path / "out" / "thesis.tex").write_text("years")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        write_folder(tmp_path / "out", FILES, force=True)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years"


def test_a_link_to_a_folder_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", FILES)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="holds data"):
        write_folder(tmp_path / "out", FILES, force=True)
    assert (tmp_path / "out" / "data").is_symlink()


@pytest.mark.parametrize("failing", [1, 2])
def test_an_interrupt_between_two_folders_loses_none(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one comes back; if it cannot even do that, it stays under its temporary name."""
    write_folder(tmp_path / "out", FILES)
    rename, calls = os.rename, []

    def interrupted(source: Path, target: Path) -> None:
        calls.append(target)
        if 2 <= len(calls) < 2 + failing:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "out", FILES, force=True)
    (left,) = tmp_path.iterdir()
    assert (left.name == "out") == (failing == 1)
    assert content(left) == FILES


def test_what_is_read_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", FILES)
    with pytest.raises(OutputError, match="this very run reads"):
        write_folder(tmp_path / "out", FILES, force=True, read=[tmp_path / "out" / "net" / "1" / "model.onnx"])
    assert content(tmp_path / "out") == FILES


def test_no_folder_and_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match="name of a new folder"):
        write_folder(tmp_path / "file", FILES, force=True)
    with pytest.raises(OutputError, match="create it first"):
        write_folder(tmp_path / "no" / "out", FILES)


def test_a_failure_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "out", FILES)

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            write_folder(tmp_path / "out", FILES, force=True)
    assert content(tmp_path / "out") == FILES
    rename, calls = os.rename, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(OutputError, match="Input/output"):
        write_folder(tmp_path / "out", FILES, force=True)
    assert len(calls) == 3
    assert content(tmp_path / "out") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
