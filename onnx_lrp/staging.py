"""Temporary names that say which process they belong to, so that what a killed one left behind can be removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import secrets
import shutil
from pathlib import Path


def temporary(folder: Path, suffix: str = "") -> Path:
    """A new name in a folder; what processes of this machine that are gone left there is removed.

    Files and folders of other machines (on a shared disk), and of what still runs, stay.
    """
    _remove_left_behind(folder)
    return folder / f"{_mine()}{os.getpid()}-{secrets.token_hex(4)}{suffix}"


def _mine() -> str:
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    return f".onnx_lrp-{machine}-"


def _remove_left_behind(folder: Path) -> None:
    with contextlib.suppress(OSError):  # a folder that cannot be listed: whoever writes there says so
        for path in folder.glob(f"{_mine()}*"):
            process = path.name.removeprefix(_mine()).partition("-")[0]
            if process.isdigit() and not _runs(int(process)):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name != "posix":  # where signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
