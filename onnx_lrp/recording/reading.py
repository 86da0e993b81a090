"""A record from its file: whatever is in it, the answer is a record or one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..explanation.record import FORMAT_OF_RECORD
from ..writing import shown

LONGEST_RECORD = 256 << 20  # bytes
KINDS: dict[str, type] = {
    "model": dict, "settings": dict, "versions": dict, "explains": str, "backend": str, "dtype": str, "rules": list,
    "explanations": list, "warnings": list,
}  # fmt: skip
SETTING_KINDS: dict[str, type] = {
    "fixed": dict, "shapes": dict, "seed": dict, "regions": list, "pass_ops": list, "providers": list,
}  # fmt: skip
PARTS: dict[str, type] = {
    "inputs": dict,
    "output": dict,
    "samples": list,
    "relevance": dict,
    "layers": dict,
    "ledger": list,
}


def read_record(path: Path) -> dict[str, Any]:
    """What ``explain --record`` or ``.save("why.json")`` wrote.

    Raises:
        InputError: it cannot be read, or is something else; says what is missing.
    """
    try:
        if path.stat().st_size > LONGEST_RECORD:
            raise InputError(f"{shown(path)}: too large for a record")
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}; check the path") from None
    except (ValueError, RecursionError):
        raise InputError(f"{shown(path)}: is not JSON; a record is what `onnx-lrp explain --record` writes") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT_OF_RECORD:
        raise InputError(f"{shown(path)}: is no record that `onnx-lrp explain --record` of this version wrote")
    _check(content, KINDS, shown(path))
    _check(content["settings"], SETTING_KINDS, shown(path))
    for part in content["explanations"]:
        _check(part, PARTS, shown(path))
    if not content["explanations"] or not _are_targets(content):
        raise InputError(f"{shown(path)}: the record holds no explanation, or no target of one; make it again")
    return content


def _check(content: Any, kinds: dict[str, type], path: str) -> None:
    for key, kind in kinds.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise InputError(f"{path}: the record lacks {key!r}, or it is of another kind; make it again")


def _are_targets(content: dict[str, Any]) -> bool:
    """Whether every sample has the index that is explained of it."""
    try:
        return all(type(s["target"]["index"]) is int for e in content["explanations"] for s in e["samples"])
    except (KeyError, TypeError):
        return False
