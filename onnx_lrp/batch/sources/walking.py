"""Folders and patterns of paths gone through: sorted, with no file opened, and few names held at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ...errors import InputError
from ...pictures.reading import ARRAYS, PICTURES
from ...text import printable
from ...writing import shown
from ..folder import Folder
from ..items import Item
from .files import reason_of
from .sorting import SortedNames

# Some are no pictures that can be read, but people take them for such: each is to say so.
TAKEN = (*PICTURES, *ARRAYS, ".gif", ".tif", ".tiff")

_Wanted = Callable[[str], bool]


@dataclass
class _Step:
    """A folder that is gone through: the subfolders that are still to come."""

    path: str
    real: str
    label: str | None
    folders: Iterator[str]


def is_taken(name: str) -> bool:
    """Whether a file in a folder is an input, by its name alone."""
    return name.lower().endswith(TAKEN) and not name.startswith(".")


def inputs_below(top: str, labelled: bool = False) -> Iterator[Item]:
    """The files of a folder that are inputs, then those of its subfolders, both sorted.

    Names that begin with a dot are left out, and what runs wrote to folders below; a folder that is linked into itself
    is gone through once.

    Args:
        top: the folder.
        labelled: the name of the first subfolder is the label.

    Raises:
        InputError: it cannot be listed; a folder below that cannot is an item with the error.
    """
    steps: list[_Step] = []
    yield from _enter(steps, top, os.path.realpath(top), None, labelled)
    while steps:
        step = steps[-1]
        name = next(step.folders, None)
        if name is None:
            steps.pop()
            continue
        label = name if labelled and len(steps) == 1 else step.label
        real = os.path.realpath(os.path.join(step.real, name))
        if real not in [above.real for above in steps] and not _written_by_a_run(real):
            yield from _enter(steps, os.path.join(step.path, name), real, label, labelled)


def _enter(steps: list[_Step], path: str, real: str, label: str | None, labelled: bool) -> Iterator[Item]:
    try:
        files, folders = _listed(path, is_taken)
    except OSError as error:
        said = f"{shown(path)}: the folder cannot be listed ({printable(reason_of(error))}); check its permissions"
        if not steps:
            raise InputError(said) from None
        yield Item(path, label=label, error=said)
        return
    steps.append(_Step(path, real, label, iter(folders)))
    for name in files:
        yield Item(os.path.join(path, name), label=label)


def _listed(path: str, wanted: _Wanted) -> tuple[SortedNames, SortedNames]:
    files, folders = SortedNames(), SortedNames()
    with os.scandir(path or os.curdir) as entries:
        for entry in entries:
            if _is_folder(entry):
                if not entry.name.startswith("."):
                    folders.add(entry.name)
            elif wanted(entry.name):
                files.add(entry.name)
    return files, folders


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for example: reading it says so
        return False


def matching(pattern: str) -> Iterator[str]:
    """The files that a pattern names, sorted within each folder: ``"pics/*.jpg"``, ``"pics/**/*.png"``.

    One that names no ending takes the files that a folder would be searched for. What runs wrote is left out, as long
    as the pattern does not name its folder.
    """
    head, tail = os.path.split(pattern)
    tail = "*" if tail == "**" else tail
    folders = _folders_matching(head) if glob.has_magic(head) else [head]

    def wanted(name: str) -> bool:
        fits = fnmatch(name, tail) and (tail.startswith(".") or not name.startswith("."))
        return fits and ("." in tail or is_taken(name))

    for folder in folders:
        try:
            files, _ = _listed(folder, wanted)
        except OSError:  # no such folder: nothing matches there
            continue
        yield from (os.path.join(folder, name) for name in files)


def _folders_matching(pattern: str) -> list[str]:
    top = pattern
    while glob.has_magic(top):
        top = os.path.dirname(top)
    known: dict[str, bool] = {}

    def foreign(folder: str) -> bool:
        """Whether it is a run's, or below one."""
        if len(folder) <= len(top):
            return False
        if folder not in known:
            known[folder] = _written_by_a_run(folder) or foreign(os.path.dirname(folder))
        return known[folder]

    found = sorted(glob.iglob(os.path.join(pattern, ""), recursive=True))
    return [folder for folder in found if not foreign(os.path.dirname(folder))]


def _written_by_a_run(path: str) -> bool:
    folder = Folder(Path(path))
    return folder.manifest.exists() and folder.inputs.exists()
