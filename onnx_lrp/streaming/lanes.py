"""Several batches are answered at once, each by a thread of its own, and given in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_A = TypeVar("_A")


def in_order(items: Iterable[_T], answer: Callable[[_T], _A], lanes: int) -> Generator[tuple[_T, _A], None, None]:
    """Each item with its answer, in the order of the items.

    Closed early, or stopped by an error, it waits for the answers that are being made, and makes no further one.

    Args:
        items: are asked for by the thread that asks for answers, one more than is worked on.
        answer: makes the answer to an item; it is called by several threads.
        lanes: how many items are worked on at once.

    Raises:
        Exception: whatever ``answer`` raises, in place of its item.
    """
    under_way: deque[tuple[_T, Future[_A]]] = deque()
    pool = ThreadPoolExecutor(lanes)
    try:
        for item in items:
            under_way.append((item, pool.submit(answer, item)))
            if len(under_way) > lanes:
                yield _next(under_way)
        while under_way:
            yield _next(under_way)
    finally:
        pool.shutdown(cancel_futures=True)


def _next(under_way: deque[tuple[_T, Future[_A]]]) -> tuple[_T, _A]:
    item, future = under_way.popleft()
    return item, future.result()
