"""From what somebody typed or gave to the source of a run's inputs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ...text import printable
from ...writing import shown
from ..items import InputSource
from .archives import TarSource
from .arrays import ArraySource, MemorySource
from .columns import Columns
from .files import NamedFile
from .paths import LIST, PathSource, is_pattern
from .tables import CSV, PARQUET, TableSource
from .walking import matching

_FOLDER = "folder"  # as a label: the name of the folder that a file is in
_MOST_SHARDS = 100_000
_BRACES = re.compile(r"\{(\d{1,12})\.\.(\d{1,12})\}")
_PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z", ".rar")
_ENDINGS = {"array": (".npy", ".npz"), "table": (*CSV, *PARQUET), "archive": (".tar",)}


def source_of(
    given: Any,
    *,
    column: str | None = None,
    label: str | None = None,
    target: str | None = None,
    features: Sequence[str] | str | None = None,
) -> InputSource:
    """Where the inputs of a run come from.

    Args:
        given: one or several paths: a folder, a pattern (``"pics/*.jpg"``), a list of paths (.txt), ``-`` for such a
            list from standard input, pictures, arrays whose rows are the inputs (.npy, .npz), tables (.csv, .tsv,
            .parquet), archives of WebDataset (.tar, ``data-{000..012}.tar``); in Python also an array with one row per
            input, or a dict of them by the model's input. Several paths are of one kind. An array's file in a folder,
            a pattern or a list is one input.
        column: of a table, holds paths of files; of an archive, the ending of what is explained.
        label: where the true class stands: a column of a table, an array of .npz, an ending or a key of JSON in an
            archive, ``"folder"`` for the folder below the given one.
        target: where the target of each input stands, likewise.
        features: the columns or arrays that are inputs; all the others by default.

    Raises:
        InputError: nothing is there, it is of different kinds or of none that is known, or it cannot say a label.
    """
    _check_names(column=column, label=label, target=target)
    columns = Columns(column, label, target, (features,) if isinstance(features, str) else tuple(features or ()))
    if isinstance(given, np.ndarray | Mapping) or hasattr(given, "detach"):
        _check_no_column(columns)
        arrays = given if isinstance(given, Mapping) else {"": given}
        return MemorySource.of({name: _array(array) for name, array in arrays.items()}, columns)
    if hasattr(given, "items") and hasattr(given, "read"):
        if columns.named:
            raise InputError("a source of your own has no columns; give label and target with each of its items")
        source: InputSource = given
        return source
    names = tuple(one for name in _paths(given) for one in _spread(name))
    if not names:
        raise InputError("no inputs are given; name a folder, files, or - for paths from standard input")
    kinds = {_kind(name): name for name in reversed(names)}
    if len(kinds) > 1:
        said = " and ".join(f"{shown(name)} ({kind})" for kind, name in list(kinds.items())[:2])
        raise InputError(f"{said} are inputs of different kinds; explain each kind in a run of its own")
    return _source(next(iter(kinds)), names, columns)


def _check_names(**given: Any) -> None:
    for what, name in given.items():
        if not isinstance(name, str | None):
            remedy = f"give the arrays together, and the name of this one ({{'x': x, 'y': y}}, {what} 'y')"
            raise InputError(f"{what} is a name, no {type(name).__name__}; {remedy}")


def _source(kind: str, names: tuple[str, ...], columns: Columns) -> InputSource:
    here = os.getcwd()
    if kind == "path":
        _check_unused(columns)
        return PathSource(names, columns.label == _FOLDER, here)
    files = tuple(map(NamedFile.of, names))
    if kind == "array":
        _check_no_column(columns)
        return ArraySource(files, columns)
    if kind == "table":
        if columns.column is not None and columns.features:
            raise InputError("column says that a row is a file, features that it is numbers; give one of them")
        return TableSource(files, columns, here)
    if columns.features:
        raise InputError("features are for tables and .npz; of an archive, choose an ending (--column png)")
    return TarSource(files, columns)


def _check_no_column(columns: Columns) -> None:
    """Arrays hold no paths."""
    if columns.column is not None:
        raise InputError("column is for tables and archives; name arrays as features, label or target")


def _check_unused(columns: Columns) -> None:
    """Files have no columns."""
    said = {"column": columns.column, "target": columns.target, "features": columns.features}
    for what, value in said.items():
        if value:
            raise InputError(f"{what} is for tables, .npz and archives; give a table with a column of paths instead")
    if columns.label not in (None, _FOLDER):
        remedy = f"--label {_FOLDER} takes the folder's name, or give a table with a column of paths"
        raise InputError(f"files have no label {printable(columns.label or '')!r}; {remedy}")


def _paths(given: Any) -> Iterator[str]:
    some = [given] if isinstance(given, str | os.PathLike) else given
    if not hasattr(some, "__iter__"):
        raise InputError(f"a {type(given).__name__} holds no inputs; give paths, an array or a dict of arrays")
    for one in some:
        if not isinstance(one, str | os.PathLike):
            remedy = "give paths, or one array with a row per input (numpy.stack)"
            raise InputError(f"inputs are paths, not {type(one).__name__}; {remedy}")
        path = os.fspath(one)
        yield path if isinstance(path, str) else os.fsdecode(path)


def _spread(name: str) -> Iterator[str]:
    """The files that braces or a pattern of tables, archives or lists mean."""
    if "://" in name or name.startswith("pipe:"):
        raise InputError(f"{shown(name)}: an address, no path; download it, and give the file")
    braces = _BRACES.search(name)
    if braces is not None and not os.path.lexists(name):
        first, last = (int(bound) for bound in braces.groups())
        if not 0 <= last - first < _MOST_SHARDS:
            raise InputError(f"{shown(name)}: between 1 and {_MOST_SHARDS} files can be meant; check the numbers")
        before, behind, width = name[: braces.start()], name[braces.end() :], len(braces.group(1))
        for number in range(first, last + 1):
            yield from _spread(f"{before}{number:0{width}d}{behind}")
    elif is_pattern(name) and name.lower().endswith((*_ENDINGS["table"], *_ENDINGS["archive"], LIST)):
        found = list(matching(name))
        if not found:
            raise InputError(f"{shown(name)}: nothing matches; check the pattern, or name the folder")
        yield from found
    else:
        yield name


def _kind(name: str) -> str:
    ending = os.path.splitext(name)[1].lower()
    if is_pattern(name) or os.path.isdir(name):
        return "path"
    if ending in _PACKED:
        raise InputError(f"{shown(name)}: packed; unpack it first (an archive is read as .tar)")
    return next((kind for kind, endings in _ENDINGS.items() if ending in endings), "path")


def _array(given: Any) -> Any:
    return given.detach().cpu().numpy() if hasattr(given, "detach") else given
