"""How far a run is: a bar on a terminal, elsewhere a plain line a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TextIO

SETTLED = 0.5  # seconds until a rate means something
LISTING = "listing"  # the phase in which it is not known how many there are
EVERY = 60.0  # seconds between two lines where there is no terminal
# Is told how many are done, of how many, how many failed, and the phase
ProgressCallback = Callable[[int, int, int, str], None]


class Display(Protocol):
    """A context in which it can be told how far the run is."""

    def __enter__(self) -> ProgressCallback:
        """Begin; gives what is to be told."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say the last of it."""


def display(stream: TextIO, quiet: bool = False) -> Display:
    """What suits the stream: a bar on a terminal, if the package rich is there; lines; or nothing."""
    if quiet:
        return _Nothing()
    if stream.isatty():
        try:
            return _Bar(stream)
        except ImportError:
            pass
    return _Lines(stream)


class _Nothing:
    def __enter__(self) -> ProgressCallback:
        return lambda *_: None

    def __exit__(self, *_: object) -> None:
        pass


class _Pace:
    """Inputs per second since a phase began; what an earlier run did counts for nothing."""

    def __init__(self) -> None:
        self.phase, self.began, self.first = "", 0.0, 0

    def rate(self, done: int, phase: str) -> float:
        """0 as long as nothing is known: the first inputs may come all at once."""
        if phase != self.phase:
            self.phase, self.began, self.first = phase, time.monotonic(), done
        seconds = time.monotonic() - self.began
        return (done - self.first) / seconds if seconds > SETTLED else 0.0


class _Lines:
    """The first line comes after a minute, and the last one in the end, so that a short run says one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.pace = stream, _Pace()
        self.last, self.said = "", time.monotonic()

    def __enter__(self) -> ProgressCallback:
        return self._told

    def __exit__(self, *_: object) -> None:
        self._say()

    def _told(self, done: int, total: int, failed: int, phase: str) -> None:
        rate = self.pace.rate(done, phase)
        left = f", {_clock((total - done) / rate)} left" if rate and total > done else ""
        pace = f", {rate:.1f}/s" if rate else ""
        listed = f"listing: {total:,} so far"
        self.last = listed if phase == LISTING else f"{phase}: {done:,} of {total:,}, {failed:,} failed{pace}{left}"
        if time.monotonic() - self.said >= EVERY:
            self._say()

    def _say(self) -> None:
        if self.last:
            self.stream.write(self.last + "\n")
            self.stream.flush()
        self.last, self.said = "", time.monotonic()


class _Bar:
    """Rich's.

    Raises:
        ImportError: it is not installed.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        text = (
            "{task.fields[counted]}", "{task.fields[rate]}", "{task.fields[left]}", "{task.fields[failed]}",
        )  # fmt: skip
        self.bar: Any = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(),
            *(TextColumn(one, markup=False) for one in text), console=Console(file=stream),
        )  # fmt: skip
        self.pace = _Pace()
        self.task: Any = None

    def __enter__(self) -> ProgressCallback:
        self.bar.start()
        return self._told

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def _told(self, done: int, total: int, failed: int, phase: str) -> None:
        rate = self.pace.rate(done, phase)
        counted = f"{total:,}" if phase == LISTING else f"{done:,}/{total:,}"
        shown = {
            "counted": counted, "rate": f"{rate:.1f}/s" if rate else "",
            "left": f"{_clock((total - done) / rate)} left" if rate and total > done else "",
            "failed": f"{failed:,} failed" if failed else "",
        }  # fmt: skip
        if self.task is None:
            self.task = self.bar.add_task(phase, total=total, **shown)
        known = None if phase == LISTING else total
        self.bar.update(self.task, completed=done, total=known, description=phase, **shown)


def _clock(seconds: float) -> str:
    """``2:05``, ``1:02:05`` or ``3 days``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours > 48:
        return f"{hours // 24} days"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
