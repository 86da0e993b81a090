"""Inputs that are a file each: folders, patterns, lists and single paths."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from ...errors import InputError
from ...pictures.reading import ARRAYS, PICTURES
from ...writing import shown
from ..items import Item, Payload
from .files import NamedFile, file_payload, reason_of
from .walking import TAKEN, inputs_below, matching

STDIN = "-"
LIST = ".txt"
_LONGEST_LINE = 1 << 16
_UNLABELLED = (
    "no input lies in a folder below, whose name would be its label; give the folder above one for each class "
    "(FOLDER of FOLDER/CLASS/FILE), or leave --label out"
)
_MARKS = (b"\0", b"\n", b"\r")  # behind each path of a list: of find -print0, a line's, and of very old ones


@dataclass(frozen=True)
class PathSource:
    """Pictures (.png .jpg .jpeg .webp .bmp) and samples (.npy .npz), a file each.

    Attributes:
        given: folders, patterns, lists (.txt), single files, and ``-`` for paths from standard input, which is read
            once. A list has a path per line, or a NUL behind each, as ``find -print0`` writes it.
        labelled: the first folder below a given one is the label of what is in it.
        here: the folder that relative paths start from.
    """

    given: tuple[str, ...]
    labelled: bool = False
    here: str = ""

    def items(self) -> Iterator[Item]:
        """One for each file; none is opened.

        Raises:
            InputError: nothing is there, or a list cannot be read; or no input has a label, if they were to have some.
        """
        unlabelled = self.labelled
        for number, one in enumerate(self.given):
            empty = True
            for item in self._items(number, one):
                empty = False
                unlabelled &= item.label is None
                yield item
            if empty:
                raise InputError(f"{_called(one)}: {_nothing(one)}")
        if unlabelled:
            raise InputError(f"{_called(self.given[0])}: {_UNLABELLED}")

    def read(self, items: Sequence[Item]) -> Iterator[Payload | InputError]:
        """The bytes of each file."""
        for item in items:
            if item.error is not None:
                yield InputError(item.error)
            else:
                yield file_payload(item.name, self.here, self._beside(item.place))

    def _beside(self, number: int) -> str | None:
        """The folder of the list that an item is from."""
        return None if number < 0 else os.path.join(self.here, os.path.dirname(self.given[number]))

    def _items(self, number: int, one: str) -> Iterator[Item]:
        if one == STDIN:
            yield from (Item(path) for path in _listed_in(_piped(), "standard input"))
        elif is_pattern(one):
            yield from map(Item, matching(one))
        elif one.lower().endswith(LIST):
            with open(NamedFile.of(one).path, "rb") as file:
                yield from (Item(path, number) for path in _listed_in(file, shown(one)))
        elif len(self.given) > 1 and one.lower().endswith(TAKEN):  # of many, each is looked at when it is read
            yield Item(one)
        elif os.path.isdir(one):
            yield from inputs_below(one, self.labelled)
        elif os.path.lexists(one):
            yield Item(one)
        else:
            raise InputError(f"{shown(one)}: no such file or folder; check the path")


def is_pattern(one: str) -> bool:
    """Whether it is one of glob's; a file may be called so."""
    return glob.has_magic(one) and not os.path.lexists(one)


def _called(one: str) -> str:
    return "standard input" if one == STDIN else shown(one)


def _nothing(one: str) -> str:
    kinds = ", ".join((*PICTURES, *ARRAYS))
    if one == STDIN or one.lower().endswith(LIST):
        return "names no files; give one path per line"
    if is_pattern(one):
        return "nothing matches; check the pattern, or name the folder"
    return f"no inputs in this folder or below; it takes one of {kinds}"


def _piped() -> IO[bytes]:
    """Standard input, which may be closed, or none of bytes.

    Raises:
        InputError: it is.
    """
    stream: IO[bytes] | None = getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise InputError("standard input: is closed; pipe paths into it, or give the name of a list (.txt)")
    return stream


def _listed_in(file: IO[bytes], name: str) -> Iterator[str]:
    """The paths of a list."""
    try:
        for number, entry in enumerate(_entries(file, name), 1):
            entry = entry.removeprefix(b"\xef\xbb\xbf") if number == 1 else entry
            if entry.strip():
                yield entry.decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({reason_of(error)}); check it, or save it again") from None


def _entries(file: IO[bytes], name: str) -> Iterator[bytes]:
    """What stands between NULs, if the beginning has some, else the lines, however they end."""
    rest = file.read(_LONGEST_LINE)
    if rest.startswith((b"\xff\xfe", b"\xfe\xff")):  # its letters have NULs, too
        raise InputError(f"{name}: is text in UTF-16; save it in UTF-8")
    end = next((mark for mark in _MARKS if mark in rest), b"\n")
    number, more = 0, rest
    while more:
        *whole, rest = rest.split(end)
        yield from (entry.rstrip(b"\r") if end == b"\n" else entry for entry in whole)
        number += len(whole)
        if len(rest) >= _LONGEST_LINE:
            raise InputError(f"{name}: line {number + 1} is too long for a path; give one path per line")
        more = file.read(_LONGEST_LINE)
        rest += more
    yield rest.rstrip(b"\r") if end == b"\n" else rest
