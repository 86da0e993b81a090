"""How long one explanation takes, beside a forward pass, gradients, zennit and captum.

    python -m benchmarks.lrp_speed --models vgg16,resnet50,mobilenet_v2,squeezenet --batch 1,8 --write

Everything runs in one process, in float32, with the same number of threads, and round by round: each round times every
contender of a composite once, in rotated order. Measure on a quiet machine: a busy one slows torch far more than
onnxruntime, which order and minima do not repair (see ``neighbours``), so every table says how busy it was. What is
done once (export, conversion, sessions, canonizers, hooks) is left out by a warm-up round. The page says the rest.

The nets have the shapes of the well-known ones and seeded random weights; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch

from . import tables
from .contenders import Subject, explaining, make_subject, plain, race
from .costs import REPEATS, costs
from .memory import COMPOSITE, memory
from .neighbours import Neighbours
from .peers import ZENNIT_COMPOSITES, nets
from .settings import COMPOSITES

HOW = """
**Times.** Everything runs in one process, in float32, round by round and composite by composite: each round times every
contender of a composite once, in rotated order, and those without a composite beside them. A round that does not count
comes first, so export, conversion, sessions and hooks are not in these times. Denormal numbers are set to zero for all.
Rounds: {rounds} for each composite; zennit and captum, which take longest, run in the first {peers} of them only.
A busy machine slows torch, zennit and captum far more than onnxruntime, so each table says whether it was quiet.

`x forward` is this time by that of onnxruntime's forward pass, minimum by minimum and median by median; `zennit / this`
and `torch gradient / this` are their minimum by this one, above 1 where they are slower. Each ratio is of the rounds in
which both ran. `distance` is ‖this − zennit‖ / ‖zennit‖ of the relevances; for onnx-ad, of its input x gradient to
torch's. The nets have seeded random weights.

**Costs.** What the explanation inside the ONNX file costs, fastest of {repeats}: from the file to the converted model,
loading it into onnxruntime beside loading the source, and the file's size.

**Memory.** What a fresh process that explains the batch twice has had at most, under `{composite}`, as the operating
system counts it (`ru_maxrss`): Python, libraries and weights included. torch counts for zennit only, onnx and
onnxruntime count for onnx_lrp only; what makes the model and the input counts for neither."""


def report(options: argparse.Namespace) -> Iterator[str]:
    """The whole page, line by line, as it is measured."""
    yield "# Speed\n"
    yield f"Made by `{tables.command('benchmarks.lrp_speed')}` on\n"
    yield from tables.machine(options.threads)
    peers = min(options.peers_rounds, options.rounds)
    yield HOW.format(rounds=options.rounds, peers=peers, repeats=REPEATS, composite=COMPOSITE)
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder:
            yield from about(make_subject(model, Path(folder)), options)


def about(subject: Subject, options: argparse.Namespace) -> Iterator[str]:
    """All tables of one model."""
    yield f"\n## {subject.name}\n"
    yield from costs(subject.path, options.composites, options.threads)
    for size in options.batch:
        yield f"\n### {subject.name}, batch {size}\n"
        yield from timed(subject, size, options)
        if options.memory:
            yield ""
            yield from memory(subject, size, options.threads)


def timed(subject: Subject, size: int, options: argparse.Namespace) -> Iterator[str]:
    """Times of one batch, one composite after the other: together they would not fit into memory."""
    x, target = subject.batch(size)
    shared, notes = plain(subject, x, target, options.threads)
    field, neighbours = list(shared), Neighbours()
    for i, composite in enumerate(options.composites):
        with explaining(composite, subject, x, target, options) as own:
            rounds = range(i * options.rounds, (i + 1) * options.rounds)
            race([*shared, *own], rounds, neighbours, options.peers_rounds)
        field += own
        gc.collect()  # hooks and autograd make cycles
    yield from tables.times(field)
    yield f"\n{neighbours.verdict()}"
    yield from (f"\n{note}." for note in notes)


def listed(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Names behind commas, with or without hyphens and underscores."""

    def plain(name: str) -> str:
        return name.lower().replace("_", "").replace("-", "")

    spelling = {plain(name): name for name in known}

    def names(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if plain(name) not in spelling]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there is {', '.join(spelling.values())}")
        return [spelling[plain(name)] for name in text.split(",")]

    return names


def sizes(text: str) -> list[int]:
    """Numbers behind commas."""
    return [int(size) for size in text.split(",")]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lrp_speed", description=(__doc__ or "").split("\n")[0])
    models, composites = listed(nets.FULL), listed(ZENNIT_COMPOSITES)
    parser.add_argument("--models", type=models, default=["vgg16"], help=f"some of {', '.join(nets.FULL)}")
    parser.add_argument("--composites", type=composites, default=list(COMPOSITES), help="presets")
    parser.add_argument("--batch", type=sizes, default=[1, 8], help="batch sizes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers-rounds", type=int, default=2, help="rounds in which zennit and captum run, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--numpy", action="store_true", help="also the NumPy backend (slow)")
    parser.add_argument("--no-memory", dest="memory", action="store_false", help="do not measure memory")
    tables.add_write(parser, "RESULTS.md")
    options = parser.parse_args(given)
    options.backends = ["onnx", "torch", "numpy"][: 2 + options.numpy]
    return options


def main() -> None:
    """Measure, print, and maybe write."""
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as in every onnxruntime session here
    tables.show(report(options), options.write)


if __name__ == "__main__":
    main()
