"""A block that kills its process is gone through input by input, to find those that do it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import OnnxLrpError
from .blocks import Block, Done
from .worker import Died, Task, Worker


@dataclass(frozen=True)
class Suspect:
    """A block of which two processes died, and how the last one ended."""

    block: Block
    how: str


def settled(start: Callable[[], Worker], suspect: Suspect) -> tuple[Done, int]:
    """Find the rows of a block that kill, give them an error, and do the others.

    Args:
        start: starts a process; no other one should be busy meanwhile, so that none dies of what they take.
        suspect: the block.

    Returns:
        The block as it is done, and how many of its rows kill.

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
    return done, len(poisoned)


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
