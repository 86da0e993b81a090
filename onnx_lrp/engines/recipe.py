"""What it takes to repeat an explanation, as plain words and numbers: for its record."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..errors import CompositeError
from ..explanation.fingerprint import array_facts
from ..model.external import files_of
from ..model.loading import Source, file_sha256, load
from ..targets import Contrast, Seed
from .building import Build, Setup

PACKAGES = ("onnx_lrp", "numpy", "onnx", "onnxruntime")


def recipe(setup: Setup, built: Build, seed: Seed, regions: Sequence[str]) -> dict[str, Any]:
    """Everything but the data, for JSON.

    ``composite`` is TOML, or None where a file cannot hold it; of arrays (a seed, the value of a fixed input) there is
    only the hash; ``regions`` are the targets that are no single element, as words; ``model`` says what its hash is of,
    and has the hashes of files with its weights.
    """
    return {
        "model": _model(setup.model),
        "composite": _composite(setup),
        "output": setup.output, "batchnorm": setup.batchnorm, "pass_ops": sorted(setup.pass_ops),
        "profile": str(setup.profile), "facts": bool(setup.facts),
        "fixed": {name: None if a is None else array_facts(np.asarray(a)) for name, a in setup.fixed.items()},
        "shapes": {name: list(sizes) for name, sizes in setup.shapes.items()},
        "backend": built.choice.name, "dtype": built.engine.dtype.name, "device": built.choice.device,
        "threads": setup.options.threads, "providers": list(setup.options.providers),
        "seed": _seed(seed), "regions": list(regions), "versions": _versions(built.choice.name == "torch"),
    }  # fmt: skip


def _composite(setup: Setup) -> str | None:
    try:
        return setup.composite.toml()
    except CompositeError:
        return None


def _seed(seed: Seed) -> dict[str, Any]:
    if isinstance(seed, Contrast):
        return {"kind": seed.kind, "classes": list(seed.classes), "baseline": seed.baseline}
    return {"kind": seed} if isinstance(seed, str) else {"kind": "array", "array": array_facts(np.asarray(seed))}


def _model(source: Source) -> dict[str, Any]:
    """What the hash is of, and the files with weights beside the model, each with its own."""
    if not isinstance(source, str | os.PathLike):
        return {"sha256_of": "bytes" if isinstance(source, bytes) else "message", "weights": {}}
    path = Path(source)
    others = [file for file in files_of(path) if file != path and file.is_file()]
    return {"sha256_of": "bytes", "weights": {file.name: file_sha256(file) for file in others}}


def hash_of_model(path: Path, message: bool) -> tuple[Source, str, dict[str, str]]:
    """A model's file, its SHA-256, and those of the files with its weights.

    Args:
        path: the file.
        message: the hash is wanted of the model as one message, as of a ``ModelProto`` in memory; then that is
            the model.

    Raises:
        LoadError, InvalidModelError: as for :func:`onnx_lrp.model.loading.load`.
    """
    source = onnx.load_model_from_string(path.read_bytes()) if message and path.is_file() else path
    return source, load(source).sha256, _model(path)["weights"]


def _versions(torch: bool) -> dict[str, str]:
    """Of what computed; a module that nobody has loaded took no part."""
    names = (*PACKAGES, "torch") if torch else PACKAGES
    return {name: str(getattr(sys.modules[name], "__version__", "?")) for name in names if name in sys.modules}
