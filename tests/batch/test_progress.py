"""How far a run is, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from onnx_lrp.batch import progress
from onnx_lrp.batch.progress import display


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_a_minute_and_a_last_one(clock: list[float]) -> None:
    stream = io.StringIO()
    with display(stream) as told:
        for second in range(0, 151, 10):
            clock[0] = 100.0 + second
            told(1000 + second * 2, 2000, second // 100, "explaining")
    assert stream.getvalue().splitlines() == [
        "explaining: 1,120 of 2,000, 0 failed, 2.0/s, 7:20 left",
        "explaining: 1,240 of 2,000, 1 failed, 2.0/s, 6:20 left",
        "explaining: 1,300 of 2,000, 1 failed, 2.0/s, 5:50 left",
    ]


def test_each_phase_has_its_own_pace(clock: list[float]) -> None:
    stream = io.StringIO()
    with display(stream) as told:
        told(0, 100, 0, "predicting")
        clock[0] += 10
        told(100, 100, 0, "predicting")
        told(0, 20, 0, "explaining")
        clock[0] += 10
        told(10, 20, 0, "explaining")
    assert stream.getvalue() == "explaining: 10 of 20, 0 failed, 1.0/s, 0:10 left\n"


def test_a_run_that_has_nothing_to_do_says_nothing() -> None:
    stream = io.StringIO()
    with display(stream):
        pass
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with display(stream) as told:
        told(0, 20, 0, "explaining")
        clock[0] += 10
        told(10, 20, 3, "explaining")
    assert all(word in stream.getvalue() for word in ("explaining", "10/20", "1.0/s", "0:10 left", "3 failed", "━"))


def test_without_rich_a_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()
    with display(stream) as told:
        told(1, 2, 0, "explaining")
    assert stream.getvalue().startswith("explaining: 1 of 2, 0 failed")


def test_quiet_says_nothing() -> None:
    stream = Terminal()
    with display(stream, quiet=True) as told:
        told(1, 2, 0, "explaining")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("seconds", "said"), [(5, "0:05"), (125, "2:05"), (3725, "1:02:05"), (300_000, "3 days")])
def test_durations(seconds: float, said: str) -> None:
    assert progress._clock(seconds) == said
