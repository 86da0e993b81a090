"""Blocks over processes: all are done, whichever process dies; what kills is found; nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from fake_work import FakeWork

from onnx_lrp.batch.blocks import Block, Done, blocks_of
from onnx_lrp.batch.pool import done_by
from onnx_lrp.errors import InputError, OnnxLrpError, Problem, UnsupportedModelError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


def parts(folder: Path) -> dict[int, dict[str, object]]:
    return {int(path.stem): json.loads(path.read_text()) for path in folder.glob("*.json")}


def errors(folder: Path) -> dict[int, str]:
    return {int(row): said for part in parts(folder).values() for row, said in part["rows"].items() if said}  # type: ignore[attr-defined]


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    done = list(done_by(FakeWork(tmp_path), blocks_of(10, 3)))
    assert [d.block.number for d in done] == [0, 1, 2, 3]
    assert {part["pid"] for part in parts(tmp_path).values()} == {os.getpid()}


def test_several_share_all_blocks(tmp_path: Path) -> None:
    done = list(done_by(FakeWork(tmp_path, seconds=0.02), blocks_of(40, 2), 2))
    assert sorted(d.block.number for d in done) == list(range(20))
    pids = {part["pid"] for part in parts(tmp_path).values()}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert not any(runs(int(str(pid))) for pid in pids)


def test_blocks_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    """A run without an end, left after ten blocks, took only a few more."""
    taken = count()
    blocks = (Block(i, i, i + 1) for i in taken)
    done = done_by(FakeWork(tmp_path), blocks, 2)
    for _ in range(10):
        next(done)
    done.close()  # type: ignore[attr-defined]
    assert next(taken) <= 10 + 2 * 2 + 1


def test_a_block_whose_process_was_killed_is_done_by_another(tmp_path: Path) -> None:
    done = list(done_by(FakeWork(tmp_path, once=3), blocks_of(20, 2), 2))
    assert sorted(d.block.number for d in done) == list(range(10))
    assert sum(d.failed for d in done) == 0
    assert (tmp_path / "died").exists()


def test_a_process_killed_from_outside(tmp_path: Path) -> None:
    done = done_by(FakeWork(tmp_path, seconds=0.05), blocks_of(30, 1), 2)
    found = [next(done)]
    victim = next(int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*"))
    os.kill(victim, signal.SIGKILL)
    found += done
    assert sorted(d.block.number for d in found) == list(range(30))
    assert len(parts(tmp_path)) == 30


def test_the_rows_that_kill_get_an_error_and_all_others_an_answer(tmp_path: Path) -> None:
    done = list(done_by(FakeWork(tmp_path, deadly=(5, 7, 11)), blocks_of(16, 4), 2))
    assert sorted((d.block.number, d.failed) for d in done) == [(0, 0), (1, 2), (2, 1), (3, 0)]
    said = "a worker process died of it (signal 9), twice"
    assert errors(tmp_path) == {5: said, 7: said, 11: said}
    assert sorted(int(row) for part in parts(tmp_path).values() for row in part["rows"]) == list(range(16))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), UnsupportedModelError("m", [Problem("n", "Op", "why", "do")])]
)
def test_an_error_stops_the_run_and_what_is_done_stays(tmp_path: Path, error: Exception) -> None:
    found = []
    with pytest.raises(type(error), match=str(error).replace("[", r"\[").replace("(", r"\(").replace(")", r"\)")):
        found += list(done_by(FakeWork(tmp_path, failing=4, error=error, seconds=0.05), blocks_of(100, 1), 2))
    assert {0, 1, 2, 3} <= set(parts(tmp_path))
    assert len(parts(tmp_path)) < 10


class OddError(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("odd")


class OddWork(FakeWork):
    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        raise OddError(1, 2)


def test_an_error_that_cannot_travel_is_told_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(OnnxLrpError, match="OddError: odd"):
        list(done_by(OddWork(tmp_path), blocks_of(4, 1), 2))


class Stillborn(FakeWork):
    def __setstate__(self, state: dict[str, object]) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class Unreadable(FakeWork):
    def __setstate__(self, state: dict[str, object]) -> None:
        raise InputError("no such model")


def test_processes_that_end_as_they_start_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(OnnxLrpError, match=r"end as they start \(signal 11\)"):
        list(done_by(Stillborn(tmp_path), blocks_of(4, 1), 2))


def test_a_process_that_ends_before_it_has_a_large_work_is_not_waited_for(tmp_path: Path) -> None:
    """As in a script that calls it without ``if __name__ == "__main__":``; more than a pipe holds is not written."""
    script = tmp_path / "script.py"
    script.write_text(
        "from onnx_lrp.batch.pool import done_by\n"
        "from onnx_lrp.batch.blocks import blocks_of\n"
        "list(done_by(bytes(10**6), blocks_of(8, 2), 2))\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert "worker processes end as they start (exit code 1); in a script, call it under" in ended.stderr


def test_an_error_of_the_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        list(done_by(Unreadable(tmp_path), blocks_of(4, 1), 2))


def test_a_run_in_which_every_process_dies_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_lrp.batch.pool.MOST_DEATHS", 3)
    with pytest.raises(OnnxLrpError, match=r"die one after the other \(signal 9, .*fewer workers \(--workers\)"):
        list(done_by(FakeWork(tmp_path, deadly=tuple(range(50))), blocks_of(50, 1), 2))


@pytest.mark.full
def test_one_row_of_each_of_many_blocks_kills(tmp_path: Path) -> None:
    deadly = tuple(range(1, 24, 2))
    done = list(done_by(FakeWork(tmp_path, deadly=deadly), blocks_of(24, 2), 2))
    assert sorted(one.block.number for one in done) == list(range(12))
    assert all(one.failed == 1 for one in done)


class Alone(FakeWork):
    """Dies of every block, but where no other process computes."""

    def __call__(self, block: Block, poisoned: dict[int, str] | None = None) -> Done:
        return Done(block, 0) if poisoned is not None else super().__call__(block)

    def probe(self, block: Block, journal: Path) -> None:
        journal.write_text("".join(f"{row}\n" for row in block.rows))


@pytest.mark.full
def test_processes_that_die_of_each_other_are_told(tmp_path: Path) -> None:
    found = done_by(Alone(tmp_path, deadly=tuple(range(50))), blocks_of(50, 1), 2)
    with pytest.raises(OnnxLrpError, match=r"die one after the other .* try fewer workers \(--workers\)"):
        list(found)


class Together(FakeWork):
    """Dies of the whole block, but of no row of it."""

    def probe(self, block: Block, journal: Path) -> None:
        journal.write_text("".join(f"{row}\n" for row in block.rows))


@pytest.mark.full
def test_a_block_that_kills_as_a_whole_is_told(tmp_path: Path) -> None:
    with pytest.raises(OnnxLrpError, match=r"die \(signal 9\) of the inputs 2 to 3 together, but of none alone"):
        list(done_by(Together(tmp_path, deadly=(2,)), blocks_of(6, 2), 2))


@pytest.mark.parametrize("workers", [1, 2])
def test_once_stopped_nothing_is_begun(tmp_path: Path, workers: int) -> None:
    found = []
    for done in done_by(FakeWork(tmp_path, seconds=0.02), blocks_of(100, 1), workers, lambda: len(found) >= 5):
        found.append(done)
    assert 5 <= len(found) <= 5 + 2 * workers
    assert set(parts(tmp_path)) == {done.block.number for done in found}  # and what was begun is finished


def test_processes_whose_parent_is_killed_end(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from onnx_lrp.batch.blocks import blocks_of\nfrom onnx_lrp.batch.pool import done_by\n"
        "from fake_work import FakeWork\n"
        "if __name__ == '__main__':\n"
        f"    list(done_by(FakeWork(Path({str(tmp_path)!r}), seconds=60), blocks_of(8, 1), 2))\n"
    )
    root = Path(__file__).resolve().parent
    paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": paths})
    try:
        pids = until(lambda: len(p := [int(f.name.removeprefix("pid-")) for f in tmp_path.glob("pid-*")]) == 2 and p)
        assert all(map(runs, pids))
    finally:
        parent.kill()
        parent.wait()
    assert until(lambda: not any(map(runs, pids)), 10)


def until(asked: object, seconds: float = 60) -> list[int]:
    """What is asked for, once it is so."""
    end = time.monotonic() + seconds
    while not (found := asked()):  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
    return found  # type: ignore[no-any-return]


def runs(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie that waits for init."""
    try:
        os.kill(pid, 0)
        return not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split(")")[-1][1] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
