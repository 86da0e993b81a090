"""Files of a run's folder: whole under their name or not there at all, and a full disk is said in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError, OutputError
from ...staging import temporary
from ...text import printable
from ...writing import shown

_REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit (ulimit -f unlimited)",
}
_INSTALL = "pip install 'onnx_lrp[batch]'"


def zarr_module() -> Any:
    """``zarr``, version 3 or later.

    Raises:
        InputError: it is not installed, or too old.
    """
    needed = "maps of a batch run take the package zarr >= 3"
    try:
        import zarr
    except ImportError:
        raise InputError(f"{needed}: {_INSTALL} with Python 3.11 or later") from None
    if int(zarr.__version__.partition(".")[0]) < 3:
        raise InputError(f"{needed}, not {zarr.__version__}: {_INSTALL} with Python 3.11 or later")
    return zarr


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Say of what fails inside that ``path`` cannot be written.

    Raises:
        OutputError: with what to do about it.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = printable(os.strerror(error.errno) if error.errno else str(error))
        raise OutputError(f"{shown(path)}: cannot be written: {reason}; {_remedy(error)}") from None


def _remedy(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return "begin anew with a shorter path as -o"
    first = _REMEDIES.get(error.errno or 0, "make it writable")
    return f"{first}, and give the same command again: it goes on where it stopped"


@contextlib.contextmanager
def staged_file(path: Path) -> Iterator[Path]:
    """A new name beside ``path`` to be written to; it becomes ``path`` in the end, or goes if something fails.

    Unlike :func:`onnx_lrp.staging.temporary` it does not list the folder, which may hold 100,000 files; what a killed
    process left goes with the folder, see :func:`onnx_lrp.batch.store.index.merge`.

    Raises:
        OutputError: as for :func:`writing_to`.
    """
    made = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    with writing_to(path):
        try:
            yield made
            os.replace(made, path)
        finally:
            with contextlib.suppress(OSError):  # the first error is the one to tell
                made.unlink(missing_ok=True)


@contextlib.contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """As :func:`staged_file`, and what a killed process left beside it goes; for folders with few files.

    Raises:
        OutputError: as for :func:`writing_to`.
    """
    with writing_to(path):
        made = temporary(path.parent, path.suffix)
        try:
            yield made
            os.replace(made, path)
        finally:
            with contextlib.suppress(OSError):
                made.unlink(missing_ok=True)
