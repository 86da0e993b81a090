"""An explanation as a compressed .npz, and back."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..pictures.preprocessing import Preprocessing
from ..propagation.ledger import Conservation
from ..writing import shown, write_file
from .context import Context

LONGEST_KEY = 1000  # characters of a tensor's name in a file
FORMAT = 1
CONTEXT_WORDS = ("model", "sha256", "explains", "composite", "table", "profile", "seed", "backend", "dtype")  # words


def write_npz(explanation: Any, path: Path, force: bool) -> None:
    """Write everything, at once or not at all.

    Keys are ``relevance::INPUT``, ``layer::TENSOR``, ``data::INPUT``, ``output``, ``target``, ``sum::target``,
    ``sum::inputs``, ``sum::size`` and ``about``, which is JSON; a name of more than 1,000 characters is shortened, and
    its checksum put behind.

    Raises:
        OutputError: as for :func:`onnx_lrp.writing.write_file`.
    """
    arrays = {f"relevance::{_key(n)}": r for n, r in explanation.inputs.items()}
    arrays |= {f"layer::{_key(n)}": r for n, r in explanation.layers.items()}
    account = explanation.conservation
    arrays |= {"output": explanation.output, "target": explanation.target}
    arrays |= {"sum::target": account.target, "sum::inputs": account.inputs}
    arrays |= {} if account.size is None else {"sum::size": account.size}
    context = explanation.context
    if context is not None:
        arrays |= {f"data::{_key(n)}": a for n, a in context.data.items()}
        arrays |= {} if context.own is None else {"own": context.own}
    arrays["about"] = np.array(json.dumps(_about(explanation)))

    def writer(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_file(path, writer, force)


def read_npz(path: Path) -> dict[str, Any]:
    """The fields of an explanation.

    Raises:
        InputError: no such file, or not one that :func:`write_npz` wrote.
    """
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        about = json.loads(str(arrays["about"]))
        return _fields(arrays, about)
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}; check the path") from None
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{shown(path)}: is no explanation that `--save-relevance` or .save() wrote") from None


def _about(explanation: Any) -> dict[str, Any]:
    context = explanation.context
    words = {} if context is None else {name: getattr(context, name) for name in CONTEXT_WORDS}
    lists = {} if context is None else {"rules": context.rules, "labels": context.labels}
    prepared = None if context is None or context.preprocessing is None else asdict(context.preprocessing)
    settings = {} if context is None else {"settings": dict(context.settings)}
    data = [] if context is None else list(context.data)
    return {
        "format": FORMAT, "inputs": list(explanation.inputs), "layers": list(explanation.layers), "data": data,
        "context": {**words, **lists, **settings}, "preprocessing": prepared, "warnings": explanation.warnings,
    }  # fmt: skip


def _fields(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> dict[str, Any]:
    def named(kind: str, names: list[str]) -> dict[str, np.ndarray]:
        return {name: arrays[f"{kind}::{_key(name)}"] for name in names}

    given, context = about["context"], None
    if given:
        own = {"": arrays.get("own")}
        words: dict[str, Any] = {name: str(given[name]) for name in CONTEXT_WORDS}
        context = Context(
            **words, rules=tuple((str(a), str(b), str(c)) for a, b, c in given["rules"]),
            labels=tuple(map(str, given["labels"])), data=named("data", about["data"]), ask=lambda: own[""],
            preprocessing=None if (prepared := about["preprocessing"]) is None else Preprocessing.of(prepared),
            recipe=partial(dict, given.get("settings", {})),
        )  # fmt: skip
    warnings = tuple(map(str, about["warnings"]))
    return {
        "inputs": named("relevance", about["inputs"]), "output": arrays["output"], "target": arrays["target"],
        "layers": named("layer", about["layers"]),
        "conservation": Conservation(arrays["sum::target"], arrays["sum::inputs"], arrays.get("sum::size")),
        "doubts": lambda: warnings, "context": context,
    }  # fmt: skip


def _key(name: str) -> str:
    """A tensor name as a member name of a zip file, which has 2^16 bytes at most: very long ones end in a checksum."""
    if len(name) > LONGEST_KEY:
        name = f"{name[:LONGEST_KEY]}…{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name.replace("/", "|").replace("\\", "|")
