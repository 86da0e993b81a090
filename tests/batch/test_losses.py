"""What was lost of a run's maps is noticed when it goes on, and found anew; all the rest stays as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import all_of
from smallnets import samples_for, small_net

import onnx_lrp as lrp
from onnx_lrp.batch import sizing
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.order import Order
from onnx_lrp.batch.store import forgetting
from onnx_lrp.batch.store.forgetting import forget
from onnx_lrp.batch.store.index import done_blocks
from onnx_lrp.cli.main import main
from onnx_lrp.errors import InputError, OutputError

pytest.importorskip("pyarrow")
pytest.importorskip("zarr")

OUT, COUNT = Path("out"), 40  # in blocks of 16
ALL = ("maps.zarr", "maps.zarr/scale/x/c.0 maps.zarr/maps/x/c.1.0 maps.zarr/scores/c.2.0")


@pytest.fixture(autouse=True)
def explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A finished run; called, it is given again, and the files that are written meanwhile are returned."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sizing, "_LARGEST", 16)
    small_net("table", tmp_path)
    samples = samples_for("table", COUNT)["x"]
    samples[:20:3] = np.nan  # these fail
    np.save("x.npy", samples)

    def again() -> list[str]:
        before = {path: path.stat().st_mtime_ns for path in OUT.rglob("c.*")}
        assert batch() == 3
        return [str(path.relative_to(OUT)) for path in OUT.rglob("c.*") if path.stat().st_mtime_ns != before.get(path)]

    assert len(again()) == 9
    return again


def batch(*more: str) -> int:
    return main(["batch", "table.onnx", "x.npy", "-o", "out", "--batch-size", "8", "--save", "maps,scores,topk", *more])


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """All that was printed, in one line."""
    return " ".join("".join(capsys.readouterr()).split())


def remove(names: str) -> None:
    for path in map(OUT.joinpath, names.split()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize("name", ["maps/x/c.1.0", "scale/x/c.1", "scores/c.1.0"])
@pytest.mark.parametrize("empty", [False, True])
def test_a_file_of_a_finished_run(
    explained: Callable[[], list[str]], name: str, empty: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, path = all_of(OUT), OUT / "maps.zarr" / name
    path.write_bytes(b"") if empty else path.unlink()
    assert sorted(explained()) == [f"maps.zarr/{name}" for name in ("maps/x/c.1.0", "scale/x/c.1", "scores/c.1.0")]
    said = told(capsys)
    assert f"note: {path} was missing or empty: 16 inputs were explained anew" in said
    assert "24 of them before" in said
    assert all_of(OUT) == whole
    assert explained() == []


@pytest.mark.parametrize("names", ALL)
def test_much_of_a_finished_run(
    explained: Callable[[], list[str]], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = all_of(OUT)
    remove(names)
    assert len(explained()) == 9
    assert "was missing or empty, as were files of other blocks: 40 inputs were explained anew" in told(capsys)
    assert all_of(OUT) == whole


def test_a_damaged_file_by_the_remedy_that_is_told(explained: Callable[[], list[str]]) -> None:
    whole, path = all_of(OUT), OUT / "maps.zarr/maps/x/c.2.0"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"c.2.0: is damaged; remove it, and give the same command again to have rows"):
        lrp.open_batch(OUT).mean_map()
    path.unlink()
    assert len(explained()) == 3
    assert all_of(OUT) == whole


def test_what_is_damaged_as_a_whole_by_the_remedy_that_is_told(
    explained: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = all_of(OUT)
    remove("maps.zarr/maps/x/zarr.json")
    assert batch() == 2
    said = told(capsys)
    assert "out/maps.zarr: its array maps/x is missing or damaged; remove it, and give the same command again" in said
    remove("maps.zarr")
    assert len(explained()) == 9
    assert all_of(OUT) == whole


@pytest.mark.parametrize("names", ["maps.zarr/scale/x/c.0", *ALL])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_run_under_way(explained: Callable[[], list[str]], names: str, damaged: bool) -> None:
    whole, folder = all_of(OUT), Folder(OUT)
    forget(folder, Order(save=frozenset(("maps", "scores", "topk"))), [1])
    assert done_blocks(folder) == {0, 2}
    remove(names)
    if damaged:
        folder.part(2).write_bytes(b"half")
    explained()
    assert all_of(OUT) == whole


@pytest.mark.parametrize("place", ["first part", "last part", "index"])
def test_a_run_that_is_killed_while_blocks_are_forgotten(
    explained: Callable[[], list[str]], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, seen, write, unlink = all_of(OUT), [], forgetting.write_rows, Path.unlink

    def written(columns: Any, path: Path, *more: Any) -> Path:
        seen.append(path)
        if place == "first part" or (place == "last part" and len(seen) == 2):
            raise KeyboardInterrupt
        return write(columns, path, *more)

    def unlinked(path: Path, missing_ok: bool = False) -> None:
        if path.name == "index.parquet":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    remove("maps.zarr/maps/x/c.1.0")
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "write_rows", written)
        patched.setattr(Path, "unlink", unlinked)
        assert batch() == 130
    assert (OUT / "index.parquet").read_bytes() == whole["index.parquet"]
    assert len(explained()) == 3
    assert all_of(OUT) == whole


def test_a_part_that_cannot_be_written_leaves_the_index(
    explained: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OutputError("no space left")

    whole = all_of(OUT)
    remove("maps.zarr/scores/c.1.0")
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "write_rows", full)
        assert batch() == 2
    assert len(lrp.open_batch(OUT)) == COUNT
    explained()
    assert all_of(OUT) == whole


def test_another_run_forgets_nothing(explained: Callable[[], list[str]]) -> None:
    remove("maps.zarr/maps/x/c.1.0")
    assert batch("--composite", "epsilon") == 2
    assert (OUT / "index.parquet").exists()
