"""Markdown: what was measured on, and the tables of times."""

from __future__ import annotations

import argparse
import datetime
import platform
import shlex
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .contenders import AD, GRADIENT, ZENNIT, Contender
from .peers import reference

PACKAGES = ("onnx_lrp", "torch", "onnxruntime", "zennit", "captum", "onnx-ad", "numpy", "onnx")
COLUMNS = (
    *("composite", "method", "min ms", "median ms", "x forward (min)", "x forward (median)"),
    *("zennit / this", "torch gradient / this", "distance"),
)


def markdown(columns: Sequence[str], rows: Iterable[Iterable[str]], words: int) -> Iterator[str]:
    """A table whose first columns are words, and whose other ones are numbers."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * words}{'--:|' * (len(columns) - words)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def times(field: list[Contender]) -> Iterator[str]:
    """Times, their ratios to others' times, and the distance to zennit's result."""
    return markdown(COLUMNS, (_row(contender, field) for contender in field), words=2)


def _row(this: Contender, field: list[Contender]) -> Iterator[str]:
    forward, gradient = field[0], next(c for c in field if c.name == GRADIENT)
    other = next((c for c in field if c.name == ZENNIT and c.composite == this.composite), None)
    yield from (this.composite, this.name, f"{this.best:.1f}", f"{this.median:.1f}")
    yield from (f"{this.over(forward):.2f}", f"{this.over(forward, statistics.median):.2f}")
    yield "" if other is None else f"{other.over(this):.2f}"
    yield f"{gradient.over(this):.2f}"
    yield _distance(this, gradient if this.name == AD else other)


def _distance(this: Contender, other: Contender | None) -> str:
    if other is None or other is this or this.found is None or other.found is None:
        return ""
    return f"{reference.distance(this.found, other.found):.0e}"


def command(module: str) -> str:
    """The command line that is running."""
    return " ".join(["python -m", module, shlex.join(sys.argv[1:])]).rstrip()


def machine(threads: int) -> Iterator[str]:
    """When and on what, with which versions; a list."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu, cores = models[0] if models else platform.processor(), len(models) or "?"
    yield f"- {datetime.date.today()}; {cpu}, {cores} cores; threads: {threads}"
    yield f"- {platform.system()}, Python {platform.python_version()}, {', '.join(_versions())}"


def _versions() -> Iterator[str]:
    for name in PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"no {name}"


def add_write(parser: argparse.ArgumentParser, page: str) -> None:
    """The option that keeps what is printed."""
    path = Path(__file__).with_name(page)
    parser.add_argument("--write", type=Path, nargs="?", const=path, help=f"also write a file, benchmarks/{page}")


def show(lines: Iterable[str], path: Path | None) -> None:
    """Print lines as they come, and write them once they are complete."""
    page = []
    for line in lines:
        print(line, flush=True)
        page.append(line)
    if path is not None:
        path.write_text("\n".join(page).rstrip() + "\n", encoding="utf-8")
