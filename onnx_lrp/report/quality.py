"""What ``onnx-lrp evaluate --json`` found, for a table in a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..evaluation.report import ABOUT
from ..text import printable
from ..writing import shown

LONGEST_EVALUATION = 64 << 20  # bytes


def read_quality(path: Path) -> dict[str, Any]:
    """A table: ``source``, ``settings``, ``warnings``, and ``measures``, each with its name, what it says and rows.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    try:
        if path.stat().st_size > LONGEST_EVALUATION:
            raise InputError(f"{shown(path)}: too large for an evaluation")
        return _table(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror or error}; check the path") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{shown(path)}: is not what `onnx-lrp evaluate --json` printed; make it again") from None


def _table(content: dict[str, Any]) -> dict[str, Any]:
    measures = dict.fromkeys(str(row["measure"]) for row in content["rows"])
    return {
        "source": printable(str(content["source"]).replace("\\", "/").rpartition("/")[2]),
        "settings": [printable(str(line), 400) for line in content["settings"]],
        "warnings": [printable(str(line), 400) for line in content["warnings"]],
        "measures": [
            {
                "name": printable(name),
                "about": ABOUT.get(name, ""),
                "rows": [_row(row) for row in content["rows"] if row["measure"] == name],
            }
            for name in measures
        ],
    }


def _row(row: dict[str, Any]) -> dict[str, str]:
    value, other = row["value"], row["difference"]
    return {
        "method": printable(str(row["method"])),
        "mean": _number(value["mean"]),
        "interval": f"{_number(value['low'])} to {_number(value['high'])}",
        "difference": ""
        if other is None
        else f"{_number(other['mean'])} ({_number(other['low'])} to {_number(other['high'])})",
    }


def _number(value: float | None) -> str:
    return "none" if value is None else f"{float(value):.4g}".replace("-", "−")
