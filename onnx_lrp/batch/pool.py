"""Blocks over several processes, none of which may stop the run by dying.

Of a process that dies we know which block it had, since each has a pipe of its own and answers in order. The block is
given out once more; if that, too, kills its process, it is a suspect, which is settled while no other process computes:
when a few have come together, or all other blocks are done.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from ..errors import OnnxLrpError
from ..model.processors import available_cpus
from .blocks import Block, BlockWork, Done
from .settling import Suspect, settled
from .worker import Died, Task, Worker, send_to_workers

_AHEAD = 2  # blocks that a process has at once: one under way, one that waits
MOST_DEATHS = 20  # of blocks for the first time, in a row, with nothing done between them
MOST_SUSPECTS = 5  # that wait
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
    suspects: list[Suspect] = field(default_factory=list)
    failure: Exception | None = None
    unlucky: int = 0  # deaths since a block was done
    stillborn: int = 0  # since a process began to work

    def all_done(self) -> Iterator[Done]:
        """The blocks as they are done; then the first failure is raised, if there was one."""
        while True:
            yield from self._until_idle()
            if self.failure is not None:
                raise self.failure
            if self.stopped() or not self.suspects:
                return
            yield from self._settled()

    def _until_idle(self) -> Iterator[Done]:
        while busy := self._fed():
            ready = wait([end for worker in busy for end in (worker.connection, worker.sentinel)])
            for worker in busy:
                if worker.connection in ready or worker.sentinel in ready:
                    yield from self._heard(worker)

    def _settled(self) -> Iterator[Done]:
        """The suspects, with no other process beside them.

        Raises:
            OnnxLrpError: many have died, and none of an input.
        """
        self.close()
        suspects, self.suspects, guilty = self.suspects, [], 0
        for suspect in suspects:
            if self.stopped():
                return
            done, rows = settled(self.start, suspect)
            guilty += rows
            if rows < len(suspect.block):  # it is not all of them
                self.unlucky = 0
            yield done
        if not guilty and len(suspects) >= MOST_SUSPECTS:
            raise self._too_many(suspects[-1].how, suspects[-1].block)

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
        if self.failure is not None or self.stopped() or len(self.suspects) >= MOST_SUSPECTS:
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
            if self.deaths[number] > 1:
                self.suspects.append(Suspect(blocks.pop(0), died.how))
            else:
                self.unlucky += 1
            if self.unlucky >= MOST_DEATHS + self.size:
                raise self._too_many(died.how, first)
        self.again.extend(blocks)

    @staticmethod
    def _too_many(how: str, last: Block) -> OnnxLrpError:
        return OnnxLrpError(
            f"worker processes die one after the other ({how}, the last at input {last.start}); is there enough "
            "memory? try fewer workers (--workers)"
        )

    def _count_stillborn(self, died: Died) -> None:
        self.stillborn += 1
        if self.stillborn >= MOST_STILLBORN:
            raise OnnxLrpError(
                f"worker processes end as they start ({died.how}); in a script, call it under "
                "if __name__ == '__main__':, or take one worker"
            )
