"""One run writes a folder at a time: the lock goes with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ..errors import OnnxLrpError, OutputError
from ..text import printable
from ..writing import shown
from .folder import Folder

WRITER = ".writer.json"  # beside the lock, which another process empties when it tries to get it


@contextlib.contextmanager
def written_by_us(folder: Folder) -> Iterator[None]:
    """Be the only process that writes the folder, which is made if it is missing; readers need not ask.

    Raises:
        OutputError: another process writes it, or it cannot be made.
        OnnxLrpError: the package for locks is missing.
    """
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        raise OnnxLrpError("a batch needs the package filelock; pip install 'onnx_lrp[batch]'") from None
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.lock, timeout=0)
        lock.acquire()
    except Timeout:
        raise OutputError(
            f"{shown(folder.path)} is being written by {_writer(folder)}; wait, or choose another -o"
        ) from None
    except OSError as error:
        raise OutputError(f"{shown(folder.path)}: cannot be written: {error.strerror or error}") from None
    try:
        _sign(folder.path / WRITER)
        yield
        (folder.path / WRITER).unlink(missing_ok=True)
    finally:
        lock.release()


def _sign(path: Path) -> None:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    with contextlib.suppress(OSError):  # it only helps a message
        path.write_text(json.dumps({"process": os.getpid(), "host": platform.node(), "since": since}))


def _writer(folder: Folder) -> str:
    """Who holds the lock, as far as it said."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((folder.path / WRITER).read_text())
        return printable(f"process {said['process']} on {said['host']} since {said['since']}")
    return "another process"
