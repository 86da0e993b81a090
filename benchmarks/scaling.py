"""How time grows with the batch, the side of the picture, the depth and the width: this package beside zennit.

    python -m benchmarks.scaling --write

Two small nets, one VGG-like and one residual, vary one measure at a time around a common middle. Like
``benchmarks.lrp_speed``, it times both round by round in one process, with equal threads, after a round that does not
count.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from . import tables
from .contenders import ZENNIT, Contender, Subject, make_subject, ours, race
from .neighbours import Neighbours
from .peers import ZENNIT_COMPOSITES, nets, reference, seeded_gradient

COMPOSITES = ("epsilon", "epsilon_gamma_box")
NUMBERS = ("zennit ms", "onnx_lrp ms", "zennit / onnx_lrp")
CLASSES = 100
HOW = """
Milliseconds of the fastest of {rounds} rounds, after one that does not count; one process, float32, denormal numbers
set to zero for both. `zennit / onnx_lrp` is above 1 where zennit is slower. In each table one measure varies around the
middle: {middle}. Depth counts the convolutions (VGG-like) or the residual blocks in each of three stages, width the
channels of the first stage. The weights are random."""


@dataclass(frozen=True)
class Point:
    """What is measured once."""

    batch: int = 4
    side: int = 64
    depth: int = 2
    width: int = 16


AXES = {"batch": (1, 2, 4, 8, 16), "side": (64, 128, 224), "depth": (1, 2, 4, 8), "width": (8, 16, 32, 64)}


def vgg(point: Point) -> nets.Recipe:
    """Stages of convolutions, then two dense layers."""
    stages = [[point.width * 2**stage] * point.depth for stage in range(3)]
    make = partial(nets.Vgg, stages, (128,), CLASSES, point.side, norm=False)
    return nets.Recipe(make, (3, point.side, point.side))


def residual(point: Point) -> nets.Recipe:
    """Stages of residual blocks."""
    make = partial(nets.ResNet, nets.basic_block, (point.depth,) * 3, point.width, 7, CLASSES)
    return nets.Recipe(make, (3, point.side, point.side))


NETS: dict[str, Callable[[Point], nets.Recipe]] = {"VGG-like": vgg, "Residual": residual}


def measure(subject: Subject, batch: int, options: argparse.Namespace, neighbours: Neighbours) -> Iterator[str]:
    """Numbers of one row: for each composite zennit's time, ours, and their ratio."""
    x, target = subject.batch(batch)
    field: list[Contender] = []
    with ExitStack() as stack:
        for composite in COMPOSITES:
            hooked = stack.enter_context(ZENNIT_COMPOSITES[composite]().context(reference.zennit_form(subject.net)))
            call = ours(subject.path, composite, x, target, "onnx", options.threads)
            field.append(Contender(composite, ZENNIT, partial(seeded_gradient, hooked, x, target)))
            field.append(Contender(composite, "onnx_lrp", call))
        race(field, range(options.rounds), neighbours)
    for zennit, own in zip(field[::2], field[1::2]):
        yield from (f"{zennit.best:.1f}", f"{own.best:.1f}", f"{zennit.best / own.best:.2f}")


def row(name: str, axis: str, value: int, options: argparse.Namespace, neighbours: Neighbours) -> Iterator[str]:
    """One point of a table."""
    point = replace(Point(), **{axis: value})
    with tempfile.TemporaryDirectory() as folder:
        subject = make_subject(name, Path(folder), NETS[name](point))
        yield str(value)
        yield from measure(subject, point.batch, options, neighbours)


def report(options: argparse.Namespace) -> Iterator[str]:
    """The whole page, line by line, as it is measured."""
    yield "# Scaling\n"
    yield f"Made by `{tables.command('benchmarks.scaling')}` on\n"
    yield from tables.machine(options.threads)
    middle = ", ".join(f"{axis} {getattr(Point(), axis)}" for axis in AXES)
    yield HOW.format(rounds=options.rounds, middle=middle)
    for name in NETS:
        yield f"\n## {name}"
        for axis, values in AXES.items():
            yield ""
            columns = (axis, *(f"{composite}: {number}" for composite in COMPOSITES for number in NUMBERS))
            neighbours = Neighbours()
            rows = [list(row(name, axis, value, options, neighbours)) for value in values]
            yield from tables.markdown(columns, rows, words=0)
            yield f"\n{neighbours.verdict()}"


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    tables.add_write(parser, "SCALING.md")
    return parser.parse_args(given)


def main() -> None:
    """Measure, print, and maybe write."""
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    tables.show(report(options), options.write)


if __name__ == "__main__":
    main()
