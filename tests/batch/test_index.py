"""The index of a run: parts that are there or not, and a merge that can be interrupted anywhere."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

pq = pytest.importorskip("pyarrow.parquet")

from onnx_lrp import OutputError  # noqa: E402
from onnx_lrp.batch.blocks import Block, blocks_of  # noqa: E402
from onnx_lrp.batch.folder import Folder  # noqa: E402
from onnx_lrp.batch.found import Found  # noqa: E402
from onnx_lrp.batch.order import Order  # noqa: E402
from onnx_lrp.batch.store import index as at  # noqa: E402

ORDER = Order(save=frozenset(("maps", "topk")))


def found(block: Block) -> Found:
    count = len(block)
    columns: dict[str, list[Any]] = {
        "input": [f"dir/{i}.png" for i in block.rows], "prediction": list(block.rows), "probability": [0.25] * count,
        "predicted": ["cat"] * count, "target": list(block.rows), "start": [1.5] * count, "size": [2.0] * count,
        "error": [None if i % 5 else f"broken {i}" for i in block.rows], "top_classes": [[3, 1]] * count,
        "top_probabilities": [[0.5, 0.25]] * (count - 1) + [None],
    }  # fmt: skip
    return Found(block, columns)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def write_all(folder: Folder, count: int = 40) -> None:
    for block in reversed(list(blocks_of(count, 16))):
        at.write_part(found(block), folder, ORDER)


def names(folder: Folder) -> set[str]:
    return {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}


def test_parts_and_merge(folder: Folder) -> None:
    assert at.done_blocks(folder) == set()
    write_all(folder)
    assert at.done_blocks(folder) == {0, 1, 2}
    assert not at.is_complete(folder)
    under_way = at.index_table(folder)
    at.merge(folder)
    assert at.is_complete(folder)
    assert names(folder) == {"index.parquet"}
    table = pq.read_table(folder.index)
    assert table.equals(under_way)
    assert table["row"].to_pylist() == table["origin"].to_pylist() == list(range(40))
    assert table["sha256"].null_count == 40
    assert [error for error in table["error"].to_pylist() if error][:2] == ["broken 0", "broken 5"]
    assert table["top_classes"][0].as_py() == [3, 1]
    assert table["top_probabilities"][15].as_py() is None
    assert [(f.name, str(f.type)) for f in table.schema if f.type.num_fields == 0] == [
        (name, kind.replace("float64", "double")) for name, kind, _ in at.COLUMNS
    ]


def test_top_columns_only_if_ordered() -> None:
    assert [f.name for f in at.index_schema(Order())] == [name for name, *_ in at.COLUMNS]


def test_equal_rows_make_equal_bytes(folder: Folder) -> None:
    path = at.write_part(found(Block(3, 48, 64)), folder, ORDER)
    first = path.read_bytes()
    assert at.write_part(found(Block(3, 48, 64)), folder, ORDER).read_bytes() == first
    write_all(folder)
    path.unlink()
    copy = Folder(folder.path / "copy")
    shutil.copytree(folder.parts, copy.parts)
    at.merge(folder)
    at.merge(copy)
    assert folder.index.read_bytes() == copy.index.read_bytes()


def test_many_rows_are_merged_in_groups(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at, "ROWS_AT_ONCE", 32)
    write_all(folder, 100)
    at.merge(folder)
    file = pq.ParquetFile(folder.index)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [32, 32, 32, 4]
    assert file.read()["row"].to_pylist() == list(range(100))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("gr\udcfcn.png", "gr\\udcfcn.png"),
        ("Größe 猫.png", "Größe 猫.png"),
        ("a\nb\x00", "a\nb\x00"),
        (os.fsdecode(b"\xff/x.png"), "\\udcff/x.png"),
    ],
)
def test_broken_bytes_are_escaped(folder: Folder, name: str, kept: str) -> None:
    block = Block(0, 0, 1)
    at.write_part(Found(block, {"input": [name], "error": [f"{name}: cannot be read"]}), folder, Order())
    table = at.index_table(folder)
    assert table["input"].to_pylist() == [kept]
    assert table["error"].to_pylist() == [f"{kept}: cannot be read"]


def test_an_unknown_column_is_a_mistake(folder: Folder) -> None:
    with pytest.raises(ValueError, match="no column colour"):
        at.write_part(Found(Block(0, 0, 1), {"colour": ["red"]}), folder, ORDER)


class Killed(BaseException):
    """As if the process ended here: nobody catches it."""


def stop(*_: Any, **__: Any) -> Any:
    raise Killed


@pytest.mark.parametrize("place", ["open", "write", "os.replace", "before rmtree", "half of rmtree"])
def test_a_merge_interrupted_anywhere_goes_on(
    folder: Folder, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Folder(tmp_path_factory.mktemp("whole"))
    write_all(other)
    at.merge(other)
    write_all(folder)

    def half(path: Path) -> None:
        (path / "00000000.parquet").unlink()
        raise Killed

    with monkeypatch.context() as m:
        if place == "open":
            m.setattr(Path, "open", stop)
        elif place == "write":
            read, seen = at._read, []
            m.setattr(at, "_read", lambda path: stop() if seen else seen.append(path) or read(path))
        elif place == "os.replace":
            m.setattr(os, "replace", stop)
        else:
            m.setattr(shutil, "rmtree", stop if place == "before rmtree" else half)
        with pytest.raises(Killed):
            at.merge(folder)
    late = "rmtree" in place
    assert at.is_complete(folder) == late
    assert late or at.done_blocks(folder) == {0, 1, 2}
    assert at.index_table(folder).equals(at.index_table(other))
    at.merge(folder)
    at.merge(folder)  # once more does no harm
    assert names(folder) == {"index.parquet"}
    assert folder.index.read_bytes() == other.index.read_bytes()


@pytest.mark.parametrize("place", ["write", "os.replace"])
def test_a_part_is_whole_or_not_there(folder: Folder, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as m:
        m.setattr(*((Path, "write_bytes") if place == "write" else (os, "replace")), stop)
        m.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process removes nothing
        with pytest.raises(Killed):
            at.write_part(found(Block(0, 0, 16)), folder, ORDER)
    assert at.done_blocks(folder) == set()
    write_all(folder)
    assert at.done_blocks(folder) == {0, 1, 2}
    at.merge(folder)
    assert names(folder) == {"index.parquet"}


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free some space, .* goes on"),
        (errno.EFBIG, "ulimit -f unlimited.*, .* goes on"),
        (errno.EROFS, "make it writable, .* goes on"),
        (None, "make it writable, .* goes on"),
        (errno.ENAMETOOLONG, "begin anew with a shorter path as -o$"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    folder: Folder, code: int | None, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, _: Any) -> None:
        self.touch()
        raise OSError(code, os.strerror(code)) if code else OSError("odd\nerror")

    with monkeypatch.context() as m:
        m.setattr(Path, "write_bytes", fail)
        with pytest.raises(OutputError, match=rf"index/00000000.parquet: cannot be written: .*{remedy}") as r:
            at.write_part(found(Block(0, 0, 16)), folder, ORDER)
        assert "\n" not in str(r.value)
    assert names(folder) == set()


def test_a_missing_or_damaged_part_is_named(folder: Folder) -> None:
    with pytest.raises(OutputError, match=r"00000000.parquet: is missing"):
        at.merge(folder)
    write_all(folder)
    folder.part(1).unlink()
    with pytest.raises(OutputError, match=r"00000001.parquet: is missing; give the same command again"):
        at.merge(folder)
    for content in (b"", b"PAR1", folder.part(0).read_bytes()[:-20]):
        folder.part(1).write_bytes(content)
        with pytest.raises(OutputError, match=r"00000001.parquet: is damaged; remove it"):
            at.merge(folder)
        assert not folder.index.exists()
    folder.part(1).unlink()
    at.write_part(found(Block(1, 16, 32)), folder, ORDER)
    at.merge(folder)
    assert names(folder) == {"index.parquet"}
