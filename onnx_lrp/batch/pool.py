"""Blocks over several processes, none of which may stop the run by dying.

Of a process that dies we know which block it had, since each has a pipe of its own and answers in order. The block is
given out once more; if that, too, kills its process, the block is gone through input by input when all others are done,
to find the one that does it.
"""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from ..errors import OnnxLrpError
from ..model.processors import available_cpus
from .blocks import Block, BlockWork, Done
from .worker import Died, Task, Worker, send_to_workers

_AHEAD = 2  # blocks that a process has at once: one under way, one that waits
MOST_DEATHS = 20  # in a row, with no block done between them
MOST_STILLBORN = 3  # processes in a row that end before they have the work


def done_by(
    work: BlockWork, blocks: Iterable[Block], workers: int = 1, stopped: Callable[[], bool] = lambda: False
) -> Generator[Done, None, None]:
    """Each block as it is done, in any order.

    Args:
        work: what to do; it is pickled where there are several workers.
        blocks: taken one by one, as they are needed.
        workers: processes; 1 is this one.
        stopped: once it says so, no block is begun any more; those under way are finished.

    Raises:
        OnnxLrpError: a process cannot be started, or one dies after the other.
        Exception: whatever ``work`` raises, once the other blocks under way are finished.
    """
    if workers == 1:
        return work.stream(_until(stopped, blocks))
    return _pooled(work, iter(blocks), workers, stopped)


def _until(stopped: Callable[[], bool], blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        if stopped():
            return
        yield block


def _pooled(
    work: BlockWork, blocks: Iterator[Block], workers: int, stopped: Callable[[], bool]
) -> Generator[Done, None, None]:
    start = send_to_workers(work, max(1, available_cpus() // workers))
    pool = _Pool(start, blocks, workers, stopped)
    try:
        yield from pool.all_done()
    finally:
        pool.close()
    for suspect in pool.suspects:
        if stopped():
            return
        yield _settled(start, suspect)


@dataclass(frozen=True)
class _Suspect:
    """A block of which two processes died, and how the last one ended."""

    block: Block
    how: str


@dataclass
class _Pool:
    """Processes, the blocks that wait, and what went wrong so far."""

    start: Callable[[], Worker]
    blocks: Iterator[Block]
    size: int
    stopped: Callable[[], bool]
    workers: list[Worker] = field(default_factory=list)
    again: deque[Block] = field(default_factory=deque)
    deaths: Counter[int] = field(default_factory=Counter)
    suspects: list[_Suspect] = field(default_factory=list)
    failure: Exception | None = None
    unlucky: int = 0  # deaths since a block was done
    stillborn: int = 0  # since a process began to work

    def all_done(self) -> Iterator[Done]:
        """The blocks as they are done; then the first failure is raised, if there was one."""
        while busy := self._fed():
            ready = wait([end for worker in busy for end in (worker.connection, worker.sentinel)])
            for worker in busy:
                if worker.connection in ready or worker.sentinel in ready:
                    yield from self._heard(worker)
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """End all processes: those that wait by themselves, those that compute at once."""
        for worker in self.workers:
            worker.dismiss()
        for worker in self.workers:
            worker.end()
        self.workers.clear()

    def _fed(self) -> list[Worker]:
        """Those that have something to do, after everyone got some; one block for each first."""
        for most in range(1, _AHEAD + 1):
            for i in range(self.size):
                if i < len(self.workers) and len(self.workers[i].tasks) >= most:
                    continue
                block = self._next()
                if block is None:
                    break
                if i == len(self.workers):
                    self.workers.append(self.start())
                self.workers[i].give(Task(block))
        return [worker for worker in self.workers if worker.tasks]

    def _next(self) -> Block | None:
        if self.failure is not None or self.stopped():
            return None
        return self.again.popleft() if self.again else next(self.blocks, None)

    def _heard(self, worker: Worker) -> Iterator[Done]:
        answer = worker.answer()
        if isinstance(answer, Died):
            self._buried(worker, answer)
        elif isinstance(answer, Exception):
            self.failure = self.failure or answer
        elif answer is None:
            self.stillborn = 0
        else:
            self.unlucky = 0
            yield answer

    def _buried(self, worker: Worker, died: Died) -> None:
        """Give out again what a dead process had; the block that it was at is suspected the second time."""
        self.workers.remove(worker)
        blocks = [task.block for task in worker.tasks]
        worker.end()
        if not worker.began:
            self._count_stillborn(died)
        elif blocks:
            first, number = blocks[0], blocks[0].number
            self.deaths[number] += 1
            self.unlucky += 1
            if self.deaths[number] > 1:
                self.suspects.append(_Suspect(blocks.pop(0), died.how))
            if self.unlucky >= MOST_DEATHS:
                raise OnnxLrpError(
                    f"worker processes die one after the other ({died.how}, the last at input {first.start}); "
                    "is there enough memory? try fewer workers (--workers)"
                )
        self.again.extend(blocks)

    def _count_stillborn(self, died: Died) -> None:
        self.stillborn += 1
        if self.stillborn >= MOST_STILLBORN:
            raise OnnxLrpError(
                f"worker processes end as they start ({died.how}); in a script, call it under "
                "if __name__ == '__main__':, or take one worker"
            )


def _settled(start: Callable[[], Worker], suspect: _Suspect) -> Done:
    """Find the rows of a block that kill, give them an error, and do the others.

    Raises:
        OnnxLrpError: the block kills, but none of its rows does.
    """
    block, poisoned = suspect.block, dict[int, str]()
    with tempfile.TemporaryDirectory() as folder:
        rest: Block | None = block
        while rest is not None:
            journal = Path(folder) / f"{rest.start}"
            died = _alone(start, Task(rest, journal=journal))
            row = _last_of(journal)
            if row is None or not isinstance(died, Died):
                break
            poisoned[row] = f"a worker process died of it ({died.how}), twice"
            rest = Block(block.number, row + 1, block.stop) if row + 1 < block.stop else None
    done = _alone(start, Task(block, poisoned=poisoned))
    if isinstance(done, Died):
        raise OnnxLrpError(
            f"worker processes die ({done.how}) of the inputs {block.start} to {block.stop - 1} together, but of none "
            "alone; is there enough memory? try a smaller --batch-size"
        )
    assert done is not None
    return done


def _alone(start: Callable[[], Worker], task: Task) -> Done | Died | None:
    """What comes of a task in a process of its own; of a probe that was survived, nothing."""
    worker = start()
    try:
        worker.give(task)
        answer = worker.answer()
        if answer is None:  # it has begun
            answer = worker.answer()
    finally:
        worker.end()
    if isinstance(answer, Exception):
        raise answer
    return None if task.journal is not None and isinstance(answer, Done) else answer


def _last_of(journal: Path) -> int | None:
    """The row that was begun last; None if none was."""
    try:
        rows = journal.read_text().split()
    except FileNotFoundError:
        return None
    return int(rows[-1]) if rows else None
