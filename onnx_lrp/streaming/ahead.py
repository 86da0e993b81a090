"""The next items of an iterator are made in a background thread while the one before is worked on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeVar

PATIENCE = 5.0  # seconds for which a consumer that stops early waits for a source that does not answer

T = TypeVar("T")


def ahead(iterable: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """The items of ``iterable`` in their order, made by one background thread.

    The thread starts with the first item that is asked for. All of the iterator runs in it: its start, its items, its
    end. When the consumer stops early (``close()``, ``break``, an error, garbage), the iterator is closed and the
    thread has ended before the consumer goes on; only for a source that does not answer nobody waits for longer than
    ``PATIENCE``: its thread ends with the item that it is making.

    Args:
        iterable: may have no end.
        depth: how many items may be ready or in the making, at least one, while the consumer works on another one.

    Raises:
        Exception: whatever the iterator raises, after the items before it.
    """
    reader = _Reader(iterable, depth)
    thread = threading.Thread(target=reader.work, name="onnx_lrp-ahead", daemon=True)
    thread.start()
    try:
        yield from reader.items()
    finally:
        reader.stop()
        # a collection of garbage may end the consumer anywhere, even in the thread itself
        if thread is not threading.current_thread() and not sys.is_finalizing():
            thread.join(PATIENCE)


class _Reader:
    """What the two threads share.

    Both ways are a :class:`queue.SimpleQueue`, which is safe where garbage is collected in the midst of another call of
    it; locks are not.
    """

    def __init__(self, iterable: Iterable[T], depth: int) -> None:
        self._iterable: Iterable[T] | None = iterable
        self._stopped = False
        self._found: SimpleQueue[tuple[str, object]] = SimpleQueue()
        self._wanted: SimpleQueue[None] = SimpleQueue()  # one entry for each item that may be made
        for _ in range(max(depth, 1)):
            self._wanted.put(None)

    def items(self) -> Iterator[T]:
        """For the consumer."""
        while True:
            kind, value = self._found.get()
            if kind == "end":
                return
            if kind == "error":
                try:
                    raise value  # type: ignore[misc]
                finally:
                    del value  # or the error would hold the frame that holds it
            self._wanted.put(None)
            yield value  # type: ignore[misc]

    def stop(self) -> None:
        """For the consumer: no more."""
        self._stopped = True
        self._wanted.put(None)

    def work(self) -> None:
        """For the background thread."""
        try:
            self._make()
        except BaseException as error:  # whatever it is, it belongs to the consumer
            self._found.put(("error", error))
        else:
            self._found.put(("end", None))

    def _make(self) -> None:
        iterable, self._iterable = self._iterable, None
        iterator = iter(iterable)  # type: ignore[arg-type]
        try:
            while self._allowed():
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                self._found.put(("item", item))
                del item  # what the consumer has let go is not to be kept here
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    def _allowed(self) -> bool:
        self._wanted.get()
        return not self._stopped
