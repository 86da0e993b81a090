"""How long one explanation takes, beside a forward pass, a gradient, zennit and captum.

    python -m benchmarks.lrp_speed --models vgg16,resnet50 --batch 8 --composites epsilon,epsilon_gamma_box --rounds 5

Everything runs in one process, in float32, with the same number of threads, and round by round: each round times every
contender once, in rotated order, so that a busy machine is unfair to all alike. What is done once (export, sessions,
canonizers, hooks) is left out by a warm-up round. Compare minima: other work on the machine only ever adds time.

The nets have the shapes of the well-known ones and seeded random weights; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

import onnx_lrp as lrp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "regression"))

import reference
from nets import FULL, Recipe, build, samples

Call = Callable[[], Any]
LOW, HIGH = -4.0, 4.0
BOUNDS = f"low={LOW},high={HIGH}"
PACKAGES = ("onnx_lrp", "torch", "onnxruntime", "zennit", "captum", "numpy", "onnx")
CAPTUM_CANNOT = ("resnet50", "mobilenetv2")  # identity shortcuts; ReLU6


@dataclass
class Contender:
    """One way to an explanation, how long it took in each round, and what it found."""

    composite: str
    name: str
    call: Call
    milliseconds: list[float] = field(default_factory=list)
    found: np.ndarray | None = None

    def run(self) -> None:
        """Time one call."""
        start = time.perf_counter()
        self.found = self.call()
        self.milliseconds.append(1e3 * (time.perf_counter() - start))

    @property
    def best(self) -> float:
        """Fastest round."""
        return min(self.milliseconds)


def zennit_composites() -> dict[str, Callable[[], Any]]:
    """zennit's composites under our names."""
    with reference.torchvision_stand_in():
        from zennit import composites, rules
    return {
        "epsilon": lambda: reference.zennit_everywhere(rules.Epsilon()),
        "epsilon_plus": composites.EpsilonPlus,
        "epsilon_plus_flat": composites.EpsilonPlusFlat,
        "epsilon_alpha2_beta1": composites.EpsilonAlpha2Beta1,
        "epsilon_alpha2_beta1_flat": composites.EpsilonAlpha2Beta1Flat,
        "epsilon_gamma_box": lambda: composites.EpsilonGammaBox(LOW, HIGH),
    }


def forward(path: Path, x: Tensor, threads: int) -> Call:
    """The plain model in onnxruntime; its threads stop spinning when it is done."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {"input": x.numpy()}
    return lambda: session.run(None, feeds)[0]


def seeded_gradient(net: nn.Module, x: Tensor, target: np.ndarray) -> np.ndarray:
    """Gradient of the input, seeded with the logit."""
    x = x.clone().requires_grad_()
    output = net(x)
    return torch.autograd.grad(output, x, reference.seeded(output, target))[0].numpy()


def input_times_gradient(net: nn.Module, x: Tensor, target: np.ndarray) -> Call:
    """Torch's own forward and backward pass."""
    return lambda: x.numpy() * seeded_gradient(net, x, target)


def ours(path: Path, composite: str, x: Tensor, target: np.ndarray, backend: str, threads: int) -> Call:
    """This package."""
    name = f"{composite}:{BOUNDS}" if composite == "epsilon_gamma_box" else composite
    explainer = lrp.Explainer(path, name, backend=backend, dtype="float32", threads=threads)
    return lambda: explainer(x.numpy(), target).relevance


@contextmanager
def contenders(model: str, path: Path, options: argparse.Namespace) -> Iterator[list[Contender]]:
    """Everything that is compared on one model."""
    recipe: Recipe = FULL[model]
    net, x = build(recipe, dtype=torch.float32), samples(recipe, options.batch, 5, torch.float32)
    target = net(x).argmax(1).numpy()
    reference.export(net, recipe, path, dynamo=False, opset=17)
    found = [
        Contender("", "onnxruntime forward", forward(path, x, options.threads)),
        Contender("", "torch input x gradient", input_times_gradient(net, x, target)),
    ]
    with ExitStack() as stack:
        for composite in options.composites:
            hooked = stack.enter_context(zennit_composites()[composite]().context(reference.zennit_form(net)))
            found.append(Contender(composite, "zennit", lambda m=hooked: seeded_gradient(m, x, target)))
            if composite == "epsilon" and model not in CAPTUM_CANNOT:
                other = reference.captum_form(net)
                call = lambda m=other: reference.captum_epsilon(m, x, target, 1e-6)  # noqa: E731
                found.append(Contender(composite, "captum", call))
            for backend in ("torch", "numpy")[: 1 + options.numpy]:
                call = ours(path, composite, x, target, backend, options.threads)
                found.append(Contender(composite, f"onnx_lrp {backend}", call))
        yield found


def race(field: list[Contender], rounds: int) -> None:
    """Time every contender once a round, after a round that does not count."""
    for i in range(rounds + 1):
        start = i % len(field)
        for contender in field[start:] + field[:start]:
            contender.run()
        if i == 0:
            for contender in field:
                contender.milliseconds.clear()


def table(model: str, field: list[Contender]) -> Iterator[str]:
    """Rows in Markdown: times, ratios to the forward pass, distance to zennit's result."""
    base = field[0].best
    zennit = {c.composite: c for c in field if c.name == "zennit"}
    yield "| model | composite | method | min ms | median ms | x forward | zennit / this | distance to zennit |"
    yield "|---|---|---|--:|--:|--:|--:|--:|"
    for c in field:
        row = [model, c.composite, c.name, f"{c.best:.0f}", f"{statistics.median(c.milliseconds):.0f}"]
        row.append(f"{c.best / base:.2f}")
        other = zennit.get(c.composite)
        row.append("" if other is None else f"{other.best / c.best:.2f}")
        row.append("" if other in (None, c) else f"{reference.distance(c.found, other.found):.0e}")
        yield f"| {' | '.join(row)} |"


def machine(options: argparse.Namespace) -> Iterator[str]:
    """What was measured on, with what."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu, cores = models[0] if models else platform.processor(), len(models) or "?"
    yield f"{datetime.date.today()}: {cpu}, {cores} cores, {options.threads} threads, {platform.system()}, "
    yield f"Python {platform.python_version()}; batch {options.batch}, float32, {options.rounds} rounds; "
    yield ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def report(options: argparse.Namespace) -> Iterator[str]:
    """The whole page, line by line, as it is measured."""
    yield "# Speed\n"
    yield f"Made by `python -m benchmarks.lrp_speed {' '.join(sys.argv[1:])}`; how it measures is said there.\n"
    yield "".join(machine(options)) + "\n"
    for model in options.models:
        with tempfile.TemporaryDirectory() as folder, contenders(model, Path(folder) / "model.onnx", options) as field:
            race(field, options.rounds)
            yield from table(model, field)
        yield ""


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lrp_speed", description=(__doc__ or "").split("\n")[0])

    def names(text: str) -> list[str]:
        return text.split(",")

    parser.add_argument("--models", type=names, default=["vgg16"], help=f"some of {', '.join(FULL)}")
    parser.add_argument("--composites", type=names, default=["epsilon", "epsilon_gamma_box"], help="presets")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--numpy", action="store_true", help="also the NumPy backend (slow)")
    parser.add_argument("--write", type=Path, help="also write the tables to this file")
    return parser.parse_args(given)


def main() -> None:
    """Measure, print, and maybe write."""
    options = arguments()
    torch.set_num_threads(options.threads)
    lines = []
    for line in report(options):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        options.write.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
