"""Inputs in tar archives as WebDataset writes them: ``000001.jpg`` and ``000001.cls`` are one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import IO

from ...errors import InputError
from ...pictures.arrayfiles import MAX_BYTES
from ...pictures.reading import ARRAYS, MAX_FILE
from ...text import printable
from ..items import Item, Payload
from .columns import Columns, word_of
from .files import NamedFile, answers, by_file, place_in
from .tarring import Member, read_member, tar_members
from .walking import TAKEN

_CLASS = "cls"  # the ending of a label
_MAX_WORD = 1 << 12
_MAX_JSON = 1 << 20
_MOST_MEMBERS = 256  # of one input


@dataclass(frozen=True)
class TarSource:
    """The pictures and samples in archives, one archive after another.

    Members that follow each other and share all of their path up to the name's first dot are one input: the one with
    the ending of a picture or an array, or with the ending ``columns.column``. Its label is in the member with the
    ending ``columns.label`` (``cls`` if nothing is said), or under this key of the ``.json``; the same goes for the
    target.
    """

    files: tuple[NamedFile, ...]
    columns: Columns

    def items(self) -> Iterator[Item]:
        """One for each group of members that has something to explain.

        Raises:
            InputError: a file is no archive, nothing in it is an input, or none has the label or target that was said.
        """
        lacking = {key for key in self.columns.said if key is not None}
        for number, file in enumerate(self.files):
            empty = True
            with open(file.path, "rb") as stream:
                for stem, members in groupby(tar_members(file), key=lambda member: _stem(member.name)):
                    for item in self._group(number, stem, _first(members), stream):
                        empty = False
                        found = zip(self.columns.said, (item.label, item.target))
                        lacking -= {key for key, word in found if word or item.error}
                        yield item
            if empty:
                kinds = f"a member .{self.columns.column}" if self.columns.column else "a picture or an array"
                raise InputError(f"{file.shown}: no member is {kinds}; check what is in the archive")
        for key in lacking:
            said = f"no input has a member or a key of .json that is called {printable(key)!r}"
            raise InputError(f"{self.files[0].shown}: {said}; check what is said of label and target")

    def read(self, items: Sequence[Item]) -> Iterator[Payload | InputError]:
        """The bytes of each."""
        for number, group, offsets in by_file(items):
            wanted = [(item.name, offset) for item, offset in zip(group, offsets) if item.error is None]
            yield from answers(partial(self._read, number, wanted), group, self.files[number].shown)

    def _read(self, number: int, wanted: Sequence[tuple[str, int]]) -> Iterator[Payload | InputError]:
        with open(self.files[number].path, "rb") as stream:
            for name, offset in wanted:
                ending = os.path.splitext(name)[1].lower()
                try:
                    yield Payload(read_member(stream, offset, MAX_BYTES if ending in ARRAYS else MAX_FILE), ending)
                except InputError as error:
                    yield InputError(f"{name!r}: {error}")

    def _group(self, number: int, stem: str, members: list[Member], stream: IO[bytes]) -> Iterator[Item]:
        """The one input that members of one stem are, or none; and what is wrong with the archive."""
        file = self.files[number]
        for member in members:
            if member.error is not None:
                where = place_in(number, member.offset)
                yield Item(_name(file, member.name), where, error=f"{_name(file, member.name)!r}: {member.error}")
        sound = {_ending(member.name): member for member in members if member.error is None}
        chosen = self._chosen(sound)
        if not chosen:
            return
        member = chosen[0]
        name, place = _name(file, member.name), place_in(number, member.offset)
        try:
            if len(chosen) > 1:
                endings = ", ".join(printable(_ending(member.name)) for member in chosen)
                first = printable(_ending(chosen[0].name))
                raise InputError(f"several members are inputs ({endings}); choose an ending (--column {first})")
            if not member.is_file:
                raise InputError("is a link or no regular file; write the archive with the files themselves")
            label, target = (
                self._word(key, sound, stream) for key in (self.columns.label or _CLASS, self.columns.target)
            )
        except InputError as error:
            yield Item(name, place, error=f"{name!r}: {error}")
            return
        yield Item(name, place, label, target)

    def _chosen(self, sound: dict[str, Member]) -> list[Member]:
        """Those that can be meant to be explained."""
        if self.columns.column is not None:
            wanted = self.columns.column.removeprefix(".").lower()
            return [member for ending, member in sound.items() if ending == wanted]
        plain = [member for ending, member in sound.items() if f".{ending}" in TAKEN]
        return plain or [member for ending, member in sound.items() if ending.endswith(TAKEN)]

    def _word(self, key: str | None, sound: dict[str, Member], stream: IO[bytes]) -> str | None:
        if key is None:
            return None
        ending = key.removeprefix(".").lower()
        if ending in sound:
            return word_of(read_member(stream, sound[ending].offset, _MAX_WORD).strip())
        if "json" not in sound:
            return None
        try:
            said = json.loads(read_member(stream, sound["json"].offset, _MAX_JSON))
        except (ValueError, RecursionError):
            raise InputError("its .json is damaged; write it again") from None
        found = said.get(key) if isinstance(said, dict) else None
        return None if isinstance(found, dict | list) else word_of(found)


def _name(file: NamedFile, member: str) -> str:
    return f"{file.name}/{member}"


def _stem(name: str) -> str:
    folder, _, base = name.rpartition("/")
    return f"{folder}/{base.partition('.')[0]}"


def _ending(name: str) -> str:
    return name.rpartition("/")[2].partition(".")[2].lower()


def _first(members: Iterator[Member]) -> list[Member]:
    """As many as one input can have; more of one stem are let pass."""
    found: list[Member] = []
    for member in members:
        if len(found) < _MOST_MEMBERS or member.error is not None:
            found.append(member)
    return found
