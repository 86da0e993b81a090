"""Answers come in the order of their items, as many are made at once as there are lanes, and no more are read."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from contextlib import closing

import pytest

from onnx_lrp.streaming.lanes import in_order


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_order(lanes: int) -> None:
    """Also where the first ones take longest."""
    first = threading.Event()

    def answer(item: int) -> int:
        if item == 0 and lanes > 1:
            assert first.wait(10)
        first.set()
        return item * item

    assert list(in_order(range(9), answer, lanes)) == [(i, i * i) for i in range(9)]
    assert list(in_order([], answer, lanes)) == []


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_so_many_at_once(lanes: int) -> None:
    together = threading.Barrier(lanes)
    assert all(place in range(lanes) for _, place in in_order(range(4 * lanes), lambda _: together.wait(10), lanes))


def test_reads_one_more_than_it_works_on() -> None:
    """There may be no end of them."""
    items = itertools.count()
    with closing(in_order(items, str, 2)) as answers:
        assert next(answers) == (0, "0")
    assert next(items) == 3


def test_error_in_its_place() -> None:
    answers = in_order([2, 1, 0, 3], lambda item: 6 // item, 2)
    assert [next(answers), next(answers)] == [(2, 3), (1, 6)]
    with pytest.raises(ZeroDivisionError):
        next(answers)
    assert list(answers) == []


def test_interrupted_it_waits_for_what_is_being_made_and_begins_no_more() -> None:
    begun, made = list[int](), list[int]()

    def answer(item: int) -> None:
        begun.append(item)
        time.sleep(0.1)  # the consumer waits for it by then
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        made.append(item)

    with pytest.raises(KeyboardInterrupt):
        list(in_order(range(9), answer, 1))
    assert begun == made == [0]
