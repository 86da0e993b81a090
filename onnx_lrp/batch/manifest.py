"""What a run is, in ``batch.json``: whoever goes on with it must want the same."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..explainer import Explainer
from ..model.graph import dims
from ..targets import AnyTarget, as_region
from ..text import printable
from ..writing import shown
from .folder import Folder
from .locking import WRITER
from .order import Order
from .store.files import replaced_file

BATCH_FORMAT = "onnx_lrp batch 1"
DECISIVE = ("model", "rules", "settings", "order", "chosen", "preprocessing", "labels", "inputs", "columns",
            "features")  # fmt: skip
# They change nothing that is stored, or nobody set them, or another key says the same
UNIMPORTANT = ("settings.threads", "order.block", "model.name", "settings.regions")
REMEDY = "choose another -o, or delete the folder"
_OPTIONS = {"rules": "--composite",
           "model.sha256": "the model", "order.batch": "--batch-size", "order.top": "--top", "order.save": "--save",
           "order.precision": "--precision", "order.whole": "--whole", "order.target": "--target",
           "settings.target_sha256": "--target", "columns.column": "--column", "columns.features": "--features",
           "features": "columns of the table"}  # fmt: skip  # what decides a key


def manifest_of(explainer: Explainer, order: Order, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a run before its inputs are listed, for JSON.

    Args:
        explainer: what explains.
        order: what is wanted of every input.
        chosen: which of the inputs are wanted (``only``, ``sample``, ``random_seed``).

    Raises:
        UnsupportedModelError: sizes of the model are missing.
    """
    import onnxruntime  # noqa: F401  # so that its version is among those of what computes

    prepared, settings = explainer.prepared, explainer.settings(order.seed, _one(order.target))
    rules, versions = settings.pop("composite"), settings.pop("versions")
    settings["target_sha256"] = _hash_of_region(_one(order.target))
    content = {
        "format": BATCH_FORMAT,
        "model": {"name": prepared.source, "sha256": prepared.sha256},
        "composite": explainer.composite.name, "rules": rules or str(explainer.composite),
        "settings": settings,
        "order": order.as_dict(),
        "labels": list(explainer.labels) or None,
        "preprocessing": _preprocessing(explainer),
        "inputs": [value.name or "" for value in prepared.inputs],
        "chosen": dict(chosen),
        "listed": None, "inventory_sha256": None,  # once the inputs are listed
        "count": None,  # once it is settled which of them are explained
        "versions": versions,
    }  # fmt: skip
    return dict(json.loads(json.dumps(content)))  # as it will be read again


def former_run(folder: Folder) -> dict[str, Any] | None:
    """The run that a folder holds; None if the folder is missing, or empty but for what a start leaves behind.

    Raises:
        OutputError: the folder holds something else.
    """
    try:
        content = json.loads(folder.manifest.read_bytes())
    except FileNotFoundError:
        _refuse_what_is_there(folder)
        return None
    except NotADirectoryError:
        raise OutputError(f"{shown(folder.path)}: is a file; give the name of a folder (-o)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{shown(folder.manifest)}: cannot be read: {printable(str(error))}; {REMEDY}") from None
    if not isinstance(content, dict) or content.get("format") != BATCH_FORMAT:
        said = printable(str(content.get("format"))) if isinstance(content, dict) else "no object"
        raise OutputError(f"{shown(folder.manifest)}: its format is not {BATCH_FORMAT!r} but {said!r}; {REMEDY}")
    return content


def write_manifest(folder: Folder, content: Mapping[str, Any]) -> None:
    """Replace it, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    text = json.dumps(content, indent=1)
    with replaced_file(folder.manifest) as made:
        made.write_text(text, "utf-8")


def same_run(old: Mapping[str, Any], new: Mapping[str, Any], folder: Path) -> list[str]:
    """Notes on what differs without consequence, such as versions, between a run and the one that goes on with it.

    Raises:
        OutputError: something differs that decides what is stored; the message names all of it.
    """
    before, now = (dict(_flat({key: run.get(key) for key in DECISIVE})) for run in (old, new))
    silent = (*UNIMPORTANT, *(() if "topk" in (now.get("order.save") or ()) else ("order.top",)))
    keys = [key for key in {**before, **now} if key not in silent and before.get(key) != now.get(key)]
    if keys:
        told = ", ".join(_differing(key, before.get(key), now.get(key)) for key in keys)
        raise OutputError(f"{shown(folder)} was begun otherwise: {told}; {REMEDY}")
    versions = old.get("versions") or {}
    return [
        f"note: the run was begun with {name} {printable(str(versions.get(name)))}, and goes on with {version}"
        for name, version in (new.get("versions") or {}).items()
        if name in versions and versions[name] != version
    ]


def _refuse_what_is_there(folder: Folder) -> None:
    ours = (folder.lock.name, folder.inputs.name, WRITER)
    try:
        others = [path.name for path in folder.path.iterdir() if path.name not in ours]
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{shown(folder.path)}: cannot be read: {error.strerror or error}") from None
    if strange := sorted(name for name in others if not name.startswith(".onnx_lrp-")):
        raise OutputError(
            f"{shown(folder.path)}: holds other things than a batch ({printable(strange[0])}); choose another -o"
        )


def _preprocessing(explainer: Explainer) -> dict[str, Any]:
    """How pictures become inputs; a size that was said decides nothing where the model has its own."""
    found = asdict(explainer.way.convention.preprocessing)
    known = [dims(value) for value in explainer.prepared.inputs]
    if all(sizes is not None and all(isinstance(n, int) for n in sizes[1:]) for sizes in known):
        found["size"] = None
    return found


def _one(target: AnyTarget | str) -> AnyTarget:
    assert not isinstance(target, str), "of a class's name the index is wanted"
    return target


def _hash_of_region(target: AnyTarget) -> str | None:
    """Of a mask or weights, whose words do not say what is in them."""
    region = as_region(target)
    return None if region is None else hashlib.sha256(pickle.dumps(region, protocol=4)).hexdigest()


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _differing(key: str, old: Any, new: Any) -> str:
    name = _OPTIONS.get(key) or key.rpartition(".")[2].replace("_", " ")
    if isinstance(old, list) and isinstance(new, list) and len(old) != len(new) and len(old) + len(new) > 8:
        return f"{name} ({len(old)} entries, now {len(new)} entries)"
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = next((a, b) for a, b in zip(old, new) if a != b)
    if isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        lines = zip([*old.splitlines(), ""], [*new.splitlines(), ""])
        old, new = next(((a, b) for a, b in lines if a != b), (old, new))
    return f"{name} ({_word(old)}, now {_word(new)})"


def _word(value: Any) -> str:
    if value in (None, [], ""):
        return "none"
    if isinstance(value, list):
        return printable(", ".join(map(str, value)), 60)
    text = value if isinstance(value, str) else json.dumps(value)
    return printable(text[:12] if len(text) == 64 and text.isalnum() else text, 60)
