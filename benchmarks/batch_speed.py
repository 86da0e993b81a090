"""How much of the bare converted model's throughput a run over many inputs keeps, and what memory it takes.

    python -m benchmarks.batch_speed --model squeezenet.onnx

The bare model is fed from memory, in batches of the same size, by as many threads; a run reads files or an array,
decodes, explains, and writes maps and index. Both take turns in one process, after a round that does not count. A run's
clock starts when its first input is read and stops when its last block is stored: what both need once (conversion, a
session) is left out, and given beside. Digits are an array; pictures are JPEGs that are made here, of random shapes.
With --ray the same pictures go through Ray, too, with one worker of one thread, against one process with one thread:
what an input costs in each is the difference between all of them and a tenth of them, which leaves out the start.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import onnx_lrp as lrp

from . import tables
from .memory import SHELL

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("inputs", "bare per s", "run per s", "run / bare", "run / bare, median", "start s")


@dataclass(frozen=True)
class Load:
    """What is explained: a model, where the inputs lie, and some of them ready to be fed."""

    name: str
    model: Path
    inputs: Path
    count: int
    fed: np.ndarray
    preprocess: str | None = None


def digits(folder: Path, count: int) -> Load:
    """Noise on shifted bars, as an array of (count, 1, 28, 28)."""
    rng = np.random.default_rng(0)
    x = np.clip(np.kron(rng.random((count, 1, 7, 7)), np.ones((4, 4))) + rng.normal(0, 0.1, (count, 1, 28, 28)), 0, 1)
    np.save(folder / "digits.npy", x.astype(np.float32))
    return Load("digits", ROOT / "models/mnist_cnn.onnx", folder / "digits.npy", count, x[:1024].astype(np.float32))


def pictures(folder: Path, count: int, model: Path) -> Load:
    """Random blocks with noise, as JPEGs of 224 x 224."""
    from PIL import Image

    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        blocks = np.kron(rng.random((14, 14, 3)), np.ones((16, 16, 1))) * 255 + rng.normal(0, 10, (224, 224, 3))
        image = Image.fromarray(np.clip(blocks, 0, 255).astype(np.uint8))
        image.save(folder / "pictures" / f"{i:06d}.jpg", quality=90)
    fed = rng.standard_normal((8, 3, 224, 224)).astype(np.float32)
    return Load("pictures", model, folder / "pictures", count, fed, "imagenet")


def bare(load: Load, size: int, threads: int) -> Callable[[], float]:
    """A call that explains as many inputs, from memory, and takes so many seconds."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    session = ort.InferenceSession(lrp.convert(load.model).SerializeToString(), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    fed = np.concatenate([load.fed] * -(-size // len(load.fed)))

    def call() -> float:
        start = time.perf_counter()
        for first in range(0, load.count, size):
            at = first % max(len(fed) - size + 1, 1)
            session.run(None, {name: fed[at : at + min(size, load.count - first)]})
        return time.perf_counter() - start

    return call


def run(load: Load, folder: Path, threads: int, **options: Any) -> tuple[float, float, int]:
    """Seconds from the first input on, seconds before it, and how many inputs the model was given at once."""
    out, began = folder / "out", time.perf_counter()
    shutil.rmtree(out, ignore_errors=True)
    first: list[float] = []

    def progress(*_: Any) -> None:
        first.append(time.perf_counter())

    lrp.explain_all(load.model, load.inputs, out, progress=progress, threads=threads, preprocessing=load.preprocess,
                    **options)  # fmt: skip
    size = json.loads((out / "batch.json").read_text())["order"]["batch"]
    return time.perf_counter() - first[0], first[0] - began, size


def race(load: Load, folder: Path, threads: int, rounds: int) -> tuple[str, ...]:
    """One row of the table."""
    _, before, size = run(load, folder, threads)
    alone = bare(load, size, threads)
    alone()
    pairs = [(alone(), run(load, folder, threads)[0]) for _ in range(rounds)]
    (fast, ours), (middle, median) = (f(pairs) for f in (lambda p: np.min(p, 0), lambda p: np.median(p, 0)))
    return (
        f"{load.count} {load.name}, {size} at once", f"{load.count / fast:.1f}", f"{load.count / ours:.1f}",
        f"{fast / ours:.3f}", f"{middle / median:.3f}", f"{before:.1f}",
    )  # fmt: skip


def listed(load: Load, folder: Path, count: int) -> Path:
    """A list of the first ``count`` files."""
    path = folder / f"first_{count}.txt"
    path.write_text("".join(f"{file}\n" for file in sorted(load.inputs.iterdir())[:count]))
    return path


def on_ray(load: Load, folder: Path) -> Iterator[str]:
    """What an input costs through Ray and without it, and whether both leave the same bytes."""
    costs, found = {}, {}
    for name, options in (("one process", {}), ("Ray", {"engine": "ray", "workers": 1})):
        seconds = []
        for count in (load.count // 10, load.count):
            some = replace(load, inputs=listed(load, folder, count), count=count)
            seconds.append(run(some, folder, 1, **options)[0])
        costs[name] = 1000 * (seconds[1] - seconds[0]) / (load.count - load.count // 10)
        found[name] = digest(folder / "out")
    yield f"\nThrough Ray: {costs['Ray']:.2f} ms for each of {load.count} {load.name}, {costs['one process']:.2f} ms "
    yield f"in one process. The index and the maps are {'equal' if len(set(found.values())) == 1 else 'NOT EQUAL'}."


def digest(out: Path) -> str:
    """Of the index and all files of the maps."""
    files = [out / "index.parquet", *sorted(path for path in (out / "maps.zarr").rglob("*") if path.is_file())]
    lines = [f"{path.relative_to(out)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def peak(load: Load, folder: Path, count: int) -> float:
    """MB that a process has at most which explains the first ``count`` inputs."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    code = (
        "import resource, sys; from onnx_lrp.cli.main import main; code = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024); sys.exit(code)"
    )
    arguments = ["batch", str(load.model), str(listed(load, folder, count)), "-o", str(folder / "out"), "-q"]
    more = ["--preprocess", load.preprocess] if load.preprocess else []
    done = subprocess.run([*SHELL, sys.executable, "-c", code, *arguments, *more], check=True, capture_output=True)
    return float(done.stdout.split()[-1])


def rows(args: argparse.Namespace, folder: Path) -> Iterator[str]:
    """The report."""
    loads = [digits(folder, args.digits)]
    if args.model:
        loads.append(pictures(folder, args.pictures, args.model))
    yield from tables.markdown(COLUMNS, [race(load, folder, args.threads, args.rounds) for load in loads], words=1)
    if args.model:
        few, many = (peak(loads[1], folder, count) for count in (args.pictures // 10, args.pictures))
        yield f"\nPeak memory: {few:.0f} MB for {args.pictures // 10} pictures, {many:.0f} MB for {args.pictures} "
        yield f"({many / few:.3f} times)."
        if args.ray:
            yield from on_ray(loads[1], folder)


def main() -> None:
    """Race, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model that takes 224 x 224 pictures, for the second race")
    parser.add_argument("--digits", type=int, default=5000)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ray", action="store_true", help="also send the pictures through Ray")
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(rows(parser.parse_args(), Path(folder))))


if __name__ == "__main__":
    main()
