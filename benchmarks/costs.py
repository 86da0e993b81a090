"""What an explanation inside the model costs before it runs: time to convert and to load, and size of the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx_lrp as lrp

from .contenders import session
from .settings import with_bounds
from .tables import markdown

COLUMNS = (
    *("composite", "convert ms", "load ms", "load ms, source", "load / source"),
    *("file / source", "KB over source"),
)
REPEATS = 3


def costs(path: Path, composites: list[str], threads: int) -> Iterator[str]:
    """One row for each composite; a conversion starts with the file and ends with a ``ModelProto``."""
    return markdown(COLUMNS, (_row(path, composite, threads) for composite in composites), words=1)


def _row(path: Path, composite: str, threads: int) -> Iterator[str]:
    convert, converted = _fastest(lambda: lrp.convert(path, with_bounds(composite)).SerializeToString())
    source = path.read_bytes()
    load, _ = _fastest(lambda: session(converted, threads))
    plain, _ = _fastest(lambda: session(source, threads))
    yield from (composite, f"{convert:.0f}", f"{load:.0f}", f"{plain:.0f}", f"{load / plain:.2f}")
    yield f"{len(converted) / len(source):.3f}"
    yield f"{(len(converted) - len(source)) / 1024:.1f}"


def _fastest(call: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of the fastest of a few calls, and what the last one gave."""
    found, result = [], None
    for _ in range(REPEATS):
        result = None  # two converted models at once are too many
        start = time.perf_counter()
        result = call()
        found.append(1e3 * (time.perf_counter() - start))
    return min(found), result
