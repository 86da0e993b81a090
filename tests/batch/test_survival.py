"""A bundle of blocks is finished whoever dies of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakework import FakeWork, Killed, stored

from onnx_lrp.batch.blocks import Block, Done, blocks_of
from onnx_lrp.batch.folder import Folder
from onnx_lrp.clusters.survival import KILLS, KILLS_TOGETHER, Journal, Survivor
from onnx_lrp.errors import OutputError

BLOCKS = list(blocks_of(20, 4))


def outlived(work: FakeWork, most: int = 12) -> tuple[list[Done], int]:
    """What the worker that got through says, and how many died before."""
    for deaths in range(most):
        try:
            return list(Survivor(work, work.folder.path)(BLOCKS)), deaths
        except Killed:
            continue
    raise AssertionError("no worker got through")


def test_nobody_dies(tmp_path: Path) -> None:
    work = FakeWork(Folder(tmp_path))
    assert outlived(work) == ([Done(block, 0) for block in BLOCKS], 0)
    assert stored(work.folder) == {row: row * row for row in range(20)}


def test_a_row_that_kills_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    work = FakeWork(Folder(tmp_path), killers=frozenset([9]))
    done, deaths = outlived(work)
    assert deaths == 3  # among all, in its block, and alone
    assert sorted(one.failed for one in done) == [0, 0, 0, 0, 1]
    assert stored(work.folder) == {row: KILLS if row == 9 else row * row for row in range(20)}
    assert [call for call in work.calls if call.startswith("probe")] == ["probe 8", "probe 10"]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    work = FakeWork(Folder(tmp_path), killers=frozenset([9]))
    outlived(work)
    assert [work.calls.count(str(number)) for number in range(5)] == [1, 1, 2, 1, 1]


@pytest.mark.parametrize("killers", [[8, 9, 10, 11], [0, 3, 19], [11]])
def test_several_rows_kill(tmp_path: Path, killers: list[int]) -> None:
    work = FakeWork(Folder(tmp_path), killers=frozenset(killers))
    done, _ = outlived(work)
    assert sum(one.failed for one in done) == len(killers)
    assert stored(work.folder) == {row: KILLS if row in killers else row * row for row in range(20)}


def test_a_block_that_kills_as_a_whole(tmp_path: Path) -> None:
    work = FakeWork(Folder(tmp_path), together=frozenset([2]))
    done, _ = outlived(work)
    assert sorted(done, key=lambda one: one.block.number)[2] == Done(BLOCKS[2], 4)
    assert {row for row, answer in stored(work.folder).items() if answer == KILLS_TOGETHER} == set(range(8, 12))


def test_a_block_that_cannot_even_be_left_out(tmp_path: Path) -> None:
    class Hopeless(FakeWork):
        def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
            raise Killed

    with pytest.raises(OutputError, match="block 0 cannot be stored"):
        outlived(Hopeless(Folder(tmp_path)))


def test_one_death_that_was_nobody_s_fault(tmp_path: Path) -> None:
    """A worker that somebody ends while it has a suspect leaves no error behind."""

    class Unlucky(FakeWork):
        def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
            if block.number == 1 and len(self.calls) < 4:
                self.calls.append("x")
                raise Killed
            return super().__call__(block, poisoned)

    work = Unlucky(Folder(tmp_path))
    done, deaths = outlived(work)
    assert deaths > 1
    assert sum(one.failed for one in done) == 0
    assert stored(work.folder) == {row: row * row for row in range(20)}


def test_a_line_that_was_cut_off_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.note("began")
    journal.note("done", 3, 1)
    with path.open("ab") as file:
        file.write(b'["done", 4')
    assert Journal.read(path).done == {3: 1}
    journal.note("done", 5, 0)
    assert Journal.read(path).done == {3: 1, 5: 0}
    assert Journal.read(path).began
