"""A folder of files, written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import OutputError
from ..staging import temporary
from ..writing import shown


def write_folder(path: Path, files: Mapping[str, bytes], force: bool = False, read: Iterable[Path] = ()) -> None:
    """Make a new folder with these files under a temporary name beside it, then give it its own.

    Args:
        path: the folder.
        files: contents by path inside of it, with ``/`` between folders.
        force: replace a folder that exists, if all that it holds are files of these names.
        read: files that this run reads; a folder that holds one of them is not replaced.

    Raises:
        OutputError: the folder exists and must not be replaced, or it cannot be written; then nothing is changed.
    """
    check_new_folder(path, force)
    if os.path.lexists(path):
        _require_replaceable(path, files, read)
    staged, former = temporary(path.parent), temporary(path.parent)
    try:
        for name, content in files.items():
            place = staged / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        _exchange(staged, path, former)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{shown(path)}: cannot be written: {reason}") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if os.path.lexists(path):  # else the former folder is all that there is
            shutil.rmtree(former, ignore_errors=True)


def check_new_folder(path: Path, force: bool = False) -> None:
    """What can be said before there is anything to write.

    Raises:
        OutputError: something of that name exists and must not be replaced, or there is no folder to put it in.
    """
    parent = path.parent
    if not os.path.isdir(parent):
        raise OutputError(f"{shown(path)}: the folder {shown(parent)} does not exist; create it first")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"{shown(path)}: the folder {shown(parent)} is read-only; choose another one")
    if os.path.lexists(path) and (os.path.islink(path) or not os.path.isdir(path)):
        raise OutputError(f"{shown(path)}: is a file or a link; give the name of a new folder")
    if os.path.isdir(path) and not force:
        raise OutputError(f"{shown(path)}: exists already; choose another name, or force its replacement (--force)")


def _require_replaceable(path: Path, files: Mapping[str, bytes], read: Iterable[Path]) -> None:
    """Whatever is not of our making stays."""
    held = {found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_symlink() or not found.is_dir()}
    foreign = sorted(held - set(files))
    if foreign:
        raise OutputError(f"{shown(path)}: holds {shown(foreign[0])}, which would be lost; choose another name")
    if any(kept.resolve().is_relative_to(path.resolve()) for kept in read):
        raise OutputError(f"{shown(path)}: holds what this very run reads; choose another name")


def _exchange(staged: Path, path: Path, former: Path) -> None:
    """The old folder, if any, comes back where the new one cannot take its place."""
    if not os.path.lexists(path):
        os.rename(staged, path)
        return
    os.rename(path, former)
    try:
        os.rename(staged, path)
    except BaseException:  # an interrupt, too
        os.rename(former, path)
        raise
