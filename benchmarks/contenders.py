"""What is timed: a plain forward pass, gradients, the other LRP libraries, and this package.

A contender is made once, with everything that a user would keep between calls, and is then called again and again.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

import onnx_lrp as lrp

from .neighbours import Neighbours
from .peers import ZENNIT_COMPOSITES, nets, reference, seeded_gradient
from .settings import with_bounds

Call = Callable[[], Any]
FORWARD, GRADIENT, AD, ZENNIT = "onnxruntime forward", "torch input x gradient", "onnx-ad input x gradient", "zennit"
CAPTUM = "captum"
PEERS = (ZENNIT, CAPTUM)
CAPTUM_CANNOT = {"resnet50": "identity shortcuts", "mobilenetv2": "ReLU6"}


@dataclass
class Subject:
    """A net with seeded random weights, and the same as an ONNX file with an open batch."""

    name: str
    recipe: nets.Recipe
    net: nn.Module
    path: Path

    def batch(self, size: int) -> tuple[Tensor, np.ndarray]:
        """Samples, and the outputs to explain."""
        x = nets.samples(self.recipe, size, 5, torch.float32)
        with torch.no_grad():
            return x, self.net(x).argmax(1).numpy()


def make_subject(name: str, folder: Path, recipe: nets.Recipe | None = None) -> Subject:
    """The net, exported into the folder; without a recipe, the well-known one of this name."""
    recipe = recipe or nets.FULL[name]
    net = nets.build(recipe, dtype=torch.float32)
    path = reference.export(net, recipe, folder / f"{name}.onnx", dynamo=False, opset=17)
    return Subject(name, recipe, net, path)


@dataclass
class Contender:
    """One way to an explanation, how long it took in each round by the round's number, and what it found."""

    composite: str
    name: str
    call: Call
    milliseconds: dict[int, float] = field(default_factory=dict)
    found: np.ndarray | None = None

    def run(self, number: int) -> None:
        """Time one call."""
        start = time.perf_counter()
        self.found = self.call()
        self.milliseconds[number] = 1e3 * (time.perf_counter() - start)

    @property
    def best(self) -> float:
        """Fastest round."""
        return min(self.milliseconds.values())

    @property
    def median(self) -> float:
        """Middle round."""
        return statistics.median(self.milliseconds.values())

    def over(self, other: Contender, middle: Callable[[list[float]], float] = min) -> float:
        """Its time by the other's, of rounds in which both ran: more rounds have better minima."""
        both = self.milliseconds.keys() & other.milliseconds.keys()
        return middle([self.milliseconds[i] for i in both]) / middle([other.milliseconds[i] for i in both])

    def retire(self) -> None:
        """Let go of everything but the times and the result."""
        self.call = lambda: self.found


def race(field: Sequence[Contender], rounds: range, neighbours: Neighbours, peers_rounds: int | None = None) -> None:
    """Time every contender once a round, after a round that does not count.

    Other libraries' LRP is so slow that it may sit out the later rounds.
    """
    for contender in field:
        contender.call()
    for i, number in enumerate(rounds):
        start = i * len(field) // len(rounds)
        with neighbours.watched():
            for contender in (*field[start:], *field[:start]):
                if contender.name not in PEERS or peers_rounds is None or i < peers_rounds:
                    contender.run(number)


def session(model: bytes | Path, threads: int, sizes: dict[str, int] | None = None) -> ort.InferenceSession:
    """An onnxruntime session with the settings of this package's own; ``sizes`` are those of open axes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    for name, size in (sizes or {}).items():
        options.add_free_dimension_override_by_name(name, size)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def forward(path: Path, x: Tensor, threads: int) -> Call:
    """The plain model in onnxruntime."""
    plain, feeds = session(path, threads), {"input": x.numpy()}
    return lambda: plain.run(None, feeds)[0]


def onnx_ad(path: Path, x: Tensor, target: np.ndarray, threads: int) -> Call:
    """The gradient as an ONNX graph; onnx-ad wants to know the batch size, and sets aside an axis for several seeds."""
    from onnx_ad import reverse

    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = len(x)
    gradient = session(reverse(model, layout="onnx").SerializeToString(), threads, {"nadj": 1})
    rows = np.arange(len(x))
    seed = np.zeros((*gradient.get_inputs()[1].shape[:2], 1), np.float32)
    seed[rows, target] = 1.0
    feeds = {"input": x.numpy(), "adj_logits": seed}

    def call() -> np.ndarray:
        logits, found = gradient.run(["logits", "adj_input"], feeds)
        return feeds["input"] * found[..., 0] * logits[rows, target].reshape(-1, *[1] * (x.ndim - 1))

    call()
    return call


def ours(path: Path, composite: str, x: Tensor, target: np.ndarray, backend: str, threads: int) -> Call:
    """This package, called as a user would."""
    name, pixels = with_bounds(composite), x.numpy()
    explainer = lrp.Explainer(path, name, backend=backend, dtype="float32", threads=threads, verify=False)
    return lambda: explainer(pixels, target).relevance


def plain(subject: Subject, x: Tensor, target: np.ndarray, threads: int) -> tuple[list[Contender], list[str]]:
    """Contenders without a composite, and notes on who is missing."""
    cannot = CAPTUM_CANNOT.get(subject.name)
    notes = [f"captum is left out: it does not take {cannot}"] if cannot else []
    net, path = subject.net, subject.path
    found = [
        Contender("", FORWARD, forward(path, x, threads)),
        Contender("", GRADIENT, lambda: x.numpy() * seeded_gradient(net, x, target)),
    ]
    try:
        found.append(Contender("", AD, onnx_ad(path, x, target, threads)))
    except Exception as error:  # it is not installed, or has no rule for something, or makes what nobody can load
        notes.append(f"onnx-ad is left out: {type(error).__name__}: {' '.join(str(error).split())[:120]}")
    return found, notes


@contextmanager
def explaining(
    composite: str, subject: Subject, x: Tensor, target: np.ndarray, options: argparse.Namespace
) -> Iterator[list[Contender]]:
    """Everything that explains one batch under one composite."""
    with ZENNIT_COMPOSITES[composite]().context(reference.zennit_form(subject.net)) as hooked:
        found = [Contender(composite, ZENNIT, partial(seeded_gradient, hooked, x, target))]
        if composite == "epsilon" and subject.name not in CAPTUM_CANNOT:
            call: Call = partial(reference.captum_epsilon, reference.captum_form(subject.net), x, target, 1e-6)
            found.append(Contender(composite, CAPTUM, call))
        for backend in options.backends:
            call = ours(subject.path, composite, x, target, backend, options.threads)
            found.append(Contender(composite, f"onnx_lrp {backend}", call))
        yield found
        for contender in found:
            contender.retire()
