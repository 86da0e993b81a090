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


@dataclass(frozen=True)
class PathSource:
    """Pictures (.png .jpg .jpeg .webp .bmp) and samples (.npy .npz), a file each.

    Attributes:
        given: folders, patterns, lists (.txt), single files, and ``-`` for paths from standard input, which is read
            once.
        labelled: the first folder below a given one is the label of what is in it.
        here: the folder that relative paths start from.
    """

    given: tuple[str, ...]
    labelled: bool = False
    here: str = ""

    def items(self) -> Iterator[Item]:
        """One for each file; none is opened.

        Raises:
            InputError: nothing is there, or a list cannot be read.
        """
        for number, one in enumerate(self.given):
            empty = True
            for item in self._items(number, one):
                empty = False
                yield item
            if empty:
                raise InputError(f"{'standard input' if one == STDIN else shown(one)}: {_nothing(one)}")

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
            yield from (Item(path) for path in _lines(sys.stdin.buffer, "standard input"))
        elif is_pattern(one):
            yield from map(Item, matching(one))
        elif one.lower().endswith(LIST):
            with open(NamedFile.of(one).path, "rb") as file:
                yield from (Item(path, number) for path in _lines(file, shown(one)))
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


def _nothing(one: str) -> str:
    kinds = ", ".join((*PICTURES, *ARRAYS))
    if one == STDIN or one.lower().endswith(LIST):
        return "names no files; give one path per line"
    if is_pattern(one):
        return "nothing matches; check the pattern, or name the folder"
    return f"no inputs in this folder or below; it takes one of {kinds}"


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    try:
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
            if len(line) == _LONGEST_LINE:
                raise InputError(f"{name}: line {number} is too long for a path; give one path per line")
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if line.strip():
                yield line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({reason_of(error)})") from None
