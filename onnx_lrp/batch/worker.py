"""One process of several that a run is spread over, seen from both of its ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ..errors import OnnxLrpError
from ..model.runtime import take_threads
from .blocks import Block, Done

_PATIENCE = 5.0  # seconds for a process that has nothing to do until it is killed


@dataclass(frozen=True)
class Task:
    """A block to do: with rows that get their error unread, or only to be gone through with a journal."""

    block: Block
    poisoned: dict[int, str] | None = None
    journal: Path | None = None


@dataclass(frozen=True)
class Died:
    """A process ended that should not have; ``how`` says by what."""

    how: str


Answer = Done | Exception | Died | None


class _RemoteError(Exception):
    """The traceback of what was raised in a process, as its text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(eq=False)
class Worker:
    """A process, and the tasks that it has not answered yet, the one under way first."""

    process: Any
    connection: Connection
    tasks: deque[Task] = field(default_factory=deque)
    began: bool = False

    @property
    def sentinel(self) -> int:
        """Ready once the process has ended."""
        return int(self.process.sentinel)

    def give(self, task: Task) -> None:
        """One more to do; a process that is dead already shows it when it is asked for its answer."""
        self.tasks.append(task)
        with contextlib.suppress(OSError):
            self.connection.send(task)

    def answer(self) -> Answer:
        """The next one, waited for: None as it begins, then one for each task, in their order; or how it died."""
        try:
            wait([self.connection, self.sentinel])
            if not self.connection.poll():
                raise EOFError
            answer, trace = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return Died(_ended(self.process.exitcode))
        if answer is None:
            self.began = True
            return None
        if self.tasks:
            self.tasks.popleft()
        if isinstance(answer, Exception):
            answer.__cause__ = _RemoteError(trace)
        return answer  # type: ignore[no-any-return]

    def dismiss(self) -> None:
        """Have it end by itself, if it has nothing to do."""
        if not self.tasks:
            with contextlib.suppress(OSError):
                self.connection.send(None)

    def end(self) -> None:
        """Have it ended: by itself if it has nothing to do, else at once."""
        self.dismiss()
        if not self.tasks:
            self.process.join(_PATIENCE)
        self.process.kill()
        self.process.join()
        self.connection.close()


def send_to_workers(work: object, threads: int) -> Callable[[], Worker]:
    """What starts a process that does this work.

    Args:
        work: pickled once, whatever the number of processes.
        threads: of each process, where nobody said how many.
    """
    return partial(_started, pickle.dumps(work, pickle.HIGHEST_PROTOCOL), threads)


def _started(work: bytes, threads: int) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
    with _without_interrupts():
        process.start()
    theirs.close()
    # Not among the arguments: a process that ends before it has read them all is waited for, for ever
    with contextlib.suppress(OSError):
        ours.send_bytes(work)
    return Worker(process, ours)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process that is started meanwhile gets no Ctrl-C, not even before it can say so itself."""
    if os.name != "posix":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it lifts the mask when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ended(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(connection: Connection, threads: int) -> None:
    """The process: tasks one after the other, until there is no parent or nothing to do any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_the_parent()
    take_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read by Torch, which is not loaded yet
    with contextlib.suppress(EOFError, OSError):
        work = _tried(connection, lambda: pickle.loads(connection.recv_bytes()))
        if work is None:
            os._exit(1)
        connection.send((None, ""))
        while (task := connection.recv()) is not None:
            done = _tried(connection, partial(_do, work, task))
            if done is not None:
                connection.send((done, ""))
    os._exit(0)  # all is stored; to take everything apart first would only take its time


def _do(work: Any, task: Task) -> Done:
    if task.journal is not None:
        work.probe(task.block, task.journal)
        return Done(task.block, 0)
    done: Done = work(task.block) if task.poisoned is None else work(task.block, poisoned=task.poisoned)
    return done


def _tried(connection: Connection, do: Callable[[], Any]) -> Any:
    """What it gives; of an error, which is sent, nothing."""
    try:
        return do()
    except Exception as error:
        connection.send((_portable(error), traceback.format_exc()))
        return None


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same, if it would not arrive."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # whatever somebody's own pickling raises
        pass
    return OnnxLrpError(f"{type(error).__name__}: {error}")


def _end_with_the_parent() -> None:
    """Leave nothing behind that computes for nobody, when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
