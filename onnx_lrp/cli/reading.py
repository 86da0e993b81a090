"""The files that a command reads: nothing may be written over them, whatever the options say."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from ..model.external import files_of
from .holding import files_of_fixed


def files_read(args: Namespace) -> Iterator[Path]:
    """Models with their external data, inputs (of a folder all that is in it), labels, classes, fixed values."""
    for name in ("model", "a", "b"):
        if getattr(args, name, None):
            yield from files_of(Path(getattr(args, name)))
    for name in ("labels", "tokens", "tokenizer", "true_classes", "resume", "quality", "image"):
        if getattr(args, name, None):
            yield Path(getattr(args, name))
    yield from files_of_fixed(args)
    for text in getattr(args, "inputs", None) or ():
        yield from Path(text).iterdir() if Path(text).is_dir() else (Path(text),)
