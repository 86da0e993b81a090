"""Peak memory of an explanation, by zennit and by this package, each in a process of its own.

    python -m benchmarks.memory onnx_lrp FOLDER squeezenet 2

is one such process: it finds the model, its input and its target in the folder, explains twice (the first call warms
up) and prints how much memory it has had at most. What a library needs is counted for it, such as torch for zennit;
what made the model and the input is not.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .settings import with_bounds

if TYPE_CHECKING:
    from .contenders import Subject

Call = Callable[[], Any]
Maker = Callable[[Path, str, int], Call]
COMPOSITE = "epsilon_gamma_box"
COLUMNS = ("method", "MB after imports", "peak MB", "zennit / this")
ROOT = Path(__file__).resolve().parents[1]
# Linux hands the memory of whoever starts a process down as that process's peak so far: a shell in between has little
SHELL = ("sh", "-c", '"$@"; exit $?', "sh")


def memory(subject: Subject, size: int, threads: int) -> Iterator[str]:
    """One row for each library, for one batch."""
    from .tables import markdown

    lay_down(subject, size)
    peaks = {name: measure(name, subject, threads) for name in METHODS}
    base = peaks["zennit"][1]
    rows = [(name, f"{first:.0f}", f"{peak:.0f}", f"{base / peak:.2f}") for name, (first, peak) in peaks.items()]
    return markdown(COLUMNS, rows, words=1)


def lay_down(subject: Subject, size: int) -> None:
    """The input, the target and zennit's weights, beside the model."""
    import torch

    from .peers import reference

    x, target = subject.batch(size)
    np.savez(subject.path.with_name("batch.npz"), x=x.numpy(), target=target)
    torch.save(reference.zennit_form(subject.net).state_dict(), subject.path.with_name("weights.pt"))


def measure(name: str, subject: Subject, threads: int) -> list[float]:
    """MB after the imports, and at the peak."""
    given = [name, str(subject.path.parent), subject.name, str(threads)]
    command = [*SHELL, sys.executable, "-m", "benchmarks.memory", *given]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: list[float] = json.loads(done.stdout)
    return found


def peak() -> float:
    """MB that this process has had at most."""
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def by_zennit() -> Maker:
    """zennit, with a net that gets its weights only once: initial ones have no storage."""
    import torch

    from .peers import ZENNIT_COMPOSITES, nets, reference, seeded_gradient

    composite = ZENNIT_COMPOSITES[COMPOSITE]()

    def make(folder: Path, model: str, threads: int) -> Call:
        torch.set_num_threads(threads)
        with torch.device("meta"):
            net = reference.zennit_form(nets.FULL[model].make().eval())
        net.load_state_dict(torch.load(folder / "weights.pt"), assign=True)
        composite.register(net)
        data = np.load(folder / "batch.npz")
        x, target = torch.from_numpy(data["x"]), data["target"]
        return lambda: seeded_gradient(net, x, target)

    return make


def by_onnx_lrp() -> Maker:
    """This package, compiled."""
    import onnxruntime  # noqa: F401  # would be imported by the first session

    from onnx_lrp import Explainer

    def make(folder: Path, model: str, threads: int) -> Call:
        options: dict[str, Any] = {"backend": "onnx", "dtype": "float32", "threads": threads, "verify": False}
        explainer = Explainer(folder / f"{model}.onnx", with_bounds(COMPOSITE), **options)
        data = np.load(folder / "batch.npz")
        x, target = data["x"], data["target"]
        return lambda: explainer(x, target).relevance

    return make


METHODS: dict[str, Callable[[], Maker]] = {"zennit": by_zennit, "onnx_lrp": by_onnx_lrp}


def main() -> None:
    """The process that is measured."""
    name, folder, model, threads = sys.argv[1:]
    make = METHODS[name]()
    imported = peak()
    call = make(Path(folder), model, int(threads))
    for _ in range(2):
        call()
    print(json.dumps([imported, peak()]))


if __name__ == "__main__":
    main()
