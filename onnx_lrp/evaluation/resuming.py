"""What an interrupted evaluation leaves behind, so that the next one goes on: one line of JSON for each result."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, OutputError
from ..writing import shown
from .measuring import Measured

BEGINNING = '{"key": '  # of every line
VERSION = 2  # of what is measured: a result of another one is not taken


@dataclass
class Results:
    """Results by a key of everything that they depend on; kept in a file, if there is one."""

    path: Path | None = None
    _known: dict[str, Measured] = field(default_factory=dict)

    @classmethod
    def at(cls, path: str | os.PathLike[str] | None) -> Results:
        """Those of a file, which is made if it does not exist; a last line that was cut off is dropped.

        Raises:
            InputError: the file is something else.
            OutputError: it cannot be read or written.
        """
        if path is None:
            return cls()
        file = Path(path)
        try:
            text = file.read_text("utf-8") if file.exists() else ""
            lines = text.splitlines(keepends=True)
            cut_off = lines and not lines[-1].endswith("\n") and lines[-1][: len(BEGINNING)] in BEGINNING
            whole = lines[:-1] if cut_off else lines
            known = dict(_entry(line) for line in whole)
            with file.open("r+" if file.exists() else "w", encoding="utf-8") as opened:
                opened.truncate(len("".join(whole).encode()))
        except OSError as error:
            raise OutputError(f"{shown(file)}: cannot be read and written: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError(f"{shown(file)}: holds no results of an evaluation; give another name to resume") from None
        return cls(file, known)

    def get(self, key: str) -> Measured | None:
        """A result that is known."""
        return self._known.get(key)

    def put(self, key: str, measured: Measured) -> None:
        """Keep a result: once this returns, an interruption does not lose it.

        Raises:
            OutputError: the file cannot be written.
        """
        self._known[key] = measured
        if self.path is None:
            return
        scores = {name: values.tolist() for name, values in measured.scores.items()}
        line = json.dumps({"key": key, "scores": scores, "curves": dict(measured.curves)})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{shown(self.path)}: cannot be written: {error.strerror or error}") from None


def fingerprint(*parts: Any) -> str:
    """A hash of what results depend on: text, numbers, arrays, and lists or mappings of them."""
    digest = hashlib.sha256(str(VERSION).encode())
    for part in parts:
        _add(digest, part)
    return digest.hexdigest()


def _add(digest: Any, part: Any) -> None:
    if isinstance(part, Mapping):
        part = sorted((str(key), value) for key, value in part.items())
    if isinstance(part, np.ndarray):
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).tobytes() if part.dtype != object else str(part.tolist()).encode())
    elif isinstance(part, list | tuple):
        digest.update(f"[{len(part)}".encode())
        for item in part:
            _add(digest, item)
    else:
        digest.update(f"{type(part).__name__} {part!s}\n".encode())


def _entry(line: str) -> tuple[str, Measured]:
    found = json.loads(line)
    scores = {name: np.array(values, np.float64) for name, values in found["scores"].items()}
    return found["key"], Measured(scores, found["curves"])
