"""Ctrl-C in a long run: the first one lets it come to a good end, the second one ends it at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupt:
    """While it is entered, the first SIGINT is only noted, and any further one raises KeyboardInterrupt as usual.

    In a thread that is not the main one, and where the process ignores the signal, nothing changes.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def asked(self) -> bool:
        """Whether there was one."""
        return self._asked

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was one: for work that need not be finished."""
        if self._asked:
            raise KeyboardInterrupt

    def __enter__(self) -> Interrupt:
        usual = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(usual):
            self._before = signal.signal(signal.SIGINT, self._noted)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _noted(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
