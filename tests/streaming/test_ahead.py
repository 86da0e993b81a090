"""What is made in the background comes in order, is bounded, and ends when nobody wants more."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from onnx_lrp.streaming import ahead as module
from onnx_lrp.streaming.ahead import ahead


class Source:
    """Counts for ever, and notes who asked, how far it came, and whether it was closed."""

    def __init__(self, stop: int | None = None, error: BaseException | None = None) -> None:
        self.stop, self.error = stop, error
        self.made, self.closed = 0, False
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[int]:
        try:
            for i in itertools.count() if self.stop is None else range(self.stop):
                self.threads.add(threading.get_ident())
                self.made += 1
                yield i
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


def of_ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("onnx_lrp")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    assert not of_ours()
    yield
    assert not of_ours()


def settled(source: Source) -> int:
    """How many were made once the thread waits."""
    for _ in range(100):
        made = source.made
        time.sleep(0.02)
        if source.made == made:
            break
    return source.made


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_all_items_in_order(count: int, depth: int) -> None:
    source = Source(count)
    assert list(ahead(source, depth)) == list(range(count))
    assert source.closed


def test_another_thread_reads_and_always_the_same() -> None:
    source = Source(50)
    list(ahead(source))
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_no_further_ahead_than_asked_for(depth: int) -> None:
    source = Source()
    items = ahead(source, depth)
    for i in range(4):
        assert next(items) == i
        assert settled(source) == i + 1 + depth
    items.close()
    assert source.closed


def test_nothing_runs_before_the_first_is_asked_for() -> None:
    source = Source()
    items = ahead(source)
    assert (source.made, of_ours()) == (0, [])
    items.close()
    assert source.made == 0


def test_an_error_comes_at_its_place() -> None:
    source = Source(3, ValueError("here"))
    items = ahead(source, 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="here"):
        next(items)
    with pytest.raises(StopIteration):
        next(items)
    assert source.closed


def test_an_iterable_that_cannot_start() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        list(ahead(5))  # type: ignore[arg-type]


def test_a_break_ends_all() -> None:
    source = Source()
    for i in ahead(source):
        if i == 5:
            break
    gc.collect()
    assert source.closed


def test_an_error_of_the_consumer_ends_all() -> None:
    source = Source()
    with pytest.raises(KeyError):  # noqa: PT012
        for _ in ahead(source):
            raise KeyError
    gc.collect()
    assert source.closed


def test_garbage_in_a_cycle_ends_all() -> None:
    source = Source()
    held: list[object] = []
    items = ahead(source)
    next(items)
    held += [held, items]
    del items, held
    gc.collect()
    assert source.closed


def test_a_source_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    answer = threading.Event()

    def stuck() -> Iterator[int]:
        yield 1
        answer.wait()
        yield 2

    items = ahead(stuck())
    assert next(items) == 1
    items.close()
    (thread,) = of_ours()
    answer.set()
    thread.join(5)
    assert not thread.is_alive()
