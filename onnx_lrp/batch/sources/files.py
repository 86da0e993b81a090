"""Files as they are given: where they lie whatever the current folder is, and one number for a place in one of many."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from ...errors import InputError
from ...pictures.reading import bytes_of
from ...text import printable
from ...writing import shown
from ..items import Item, Payload

_OFFSET_BITS = 44  # of a place: files up to 16 TiB, and 500 000 of them


@dataclass(frozen=True)
class NamedFile:
    """A file that holds many inputs: its name as it was given, and where it lies.

    Attributes:
        name: for messages and the names of its inputs.
        path: absolute.
    """

    name: str
    path: str

    @staticmethod
    def of(given: str) -> NamedFile:
        """The file that was given.

        Raises:
            InputError: there is none, or it is empty or no regular file.
        """
        try:
            status = os.stat(given)
        except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
            raise InputError(f"{shown(given)}: {reason_of(error)}; check the path") from None
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, for ever
            raise InputError(f"{shown(given)}: not a regular file; save its content to a file first")
        if not status.st_size:
            raise InputError(f"{shown(given)}: the file is empty; save it again")
        return NamedFile(given, os.path.abspath(given))

    @property
    def shown(self) -> str:
        """How a message begins."""
        return shown(self.name)


def reason_of(error: Exception) -> str:
    """Why a file cannot be opened, in words."""
    if isinstance(error, OSError):
        return "no such file" if error.errno == errno.ENOENT else error.strerror or str(error) or type(error).__name__
    return str(error) or type(error).__name__


def place_in(file: int, offset: int) -> int:
    """A place in one of a source's files, by the file's number."""
    return file << _OFFSET_BITS | offset


def by_file(items: Sequence[Item]) -> Iterator[tuple[int, list[Item], list[int]]]:
    """Consecutive items of one file: its number, the items and their offsets."""
    for file, some in groupby(items, key=lambda item: item.place >> _OFFSET_BITS):
        group = list(some)
        yield file, group, [item.place & (1 << _OFFSET_BITS) - 1 for item in group]


def answers(
    read: Callable[[], Iterator[Payload | InputError]], items: Sequence[Item], where: str
) -> Iterator[Payload | InputError]:
    """What is read for each of a file's items, but for those with an error; where reading fails, all others fail, too.

    Args:
        read: gives one answer for each item without an error.
        items: all of them.
        where: the file, as messages name it.
    """
    found = _read_until_damaged(read, where)
    if not any(item.error for item in items):
        yield from islice(found, len(items))
        return
    for item in items:
        yield next(found) if item.error is None else InputError(item.error)


def _read_until_damaged(
    read: Callable[[], Iterator[Payload | InputError]], where: str
) -> Iterator[Payload | InputError]:
    try:
        yield from read()
        why = InputError(f"{where}: has changed since it was listed; list it again in a new run")
    except Exception as error:  # parsers of damaged files raise nearly everything
        why = _said(error, where)
    while True:
        yield why


def _said(error: Exception, where: str) -> InputError:
    said = printable(reason_of(error).splitlines()[0], 400)
    said = said if "; " in said else f"cannot be read ({said}); save the file again"
    return InputError(said if said.startswith(where) else f"{where}: {said}")


def file_payload(name: str, here: str, beside: str | None = None) -> Payload | InputError:
    """All of a picture's or an array's file.

    Args:
        name: its path.
        here: the folder that a relative path starts from.
        beside: the folder that it starts from if there is no such file there.
    """
    path = os.path.join(here, name)
    if beside is not None and not os.path.exists(path):
        path = os.path.join(beside, name)
    try:
        data, ending = bytes_of(path, name)
    except InputError as error:
        return error
    return Payload(data, ending)
