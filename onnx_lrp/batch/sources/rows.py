"""Rows of an array in a file, read a range at a time: nothing is mapped, so nothing counts as memory that is used."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol

import numpy as np

from ...errors import InputError
from ...pictures.arrayfiles import ArrayHeader, array_header, checked_members
from .files import NamedFile

_KINDS = "biufUS"  # words can be labels
MAX_PACKED = 1 << 28  # bytes of the compressed arrays of a file that are unpacked into memory


class RowRange(Protocol):
    """An array whose first axis is the inputs of a run."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all of it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""

    def range(self, start: int, stop: int) -> np.ndarray:
        """A copy of some consecutive rows, in native byte order and C order."""


@dataclass(frozen=True, eq=False)
class HeldRows:
    """In memory."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all of it."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its numbers."""
        return self.array.dtype

    def range(self, start: int, stop: int) -> np.ndarray:
        """A copy of some consecutive rows."""
        return np.array(self.array[start:stop], self.dtype.newbyteorder("="), order="C")


@dataclass(frozen=True)
class StoredRows:
    """In a file, in C order, from ``start`` on."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    def range(self, start: int, stop: int) -> np.ndarray:
        """Read some consecutive rows.

        Raises:
            InputError: the file has become shorter.
        """
        rows = np.empty((stop - start, *self.shape[1:]), self.dtype)
        rest = memoryview(rows.reshape(-1).view(np.uint8).data) if rows.nbytes else memoryview(b"")
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self.start + start * (rows.nbytes // max(1, len(rows))))
            while rest:
                read = file.readinto(rest)
                if not read:
                    raise InputError(f"ends before row {stop}; save it again")
                rest = rest[read:]
        return rows.astype(self.dtype.newbyteorder("="), copy=False)


def npy_rows(file: NamedFile) -> RowRange:
    """The array of .npy.

    Raises:
        InputError: it is damaged, or holds no numbers.
    """
    size = os.stat(file.path).st_size
    with open(file.path, "rb") as stream:
        header = array_header(stream, size, _KINDS)
    return _rows(file, header, header.start)


def _rows(file: NamedFile, header: ArrayHeader, start: int) -> RowRange:
    if header.columns and len(header.shape) > 1 and header.bytes:
        array = np.memmap(file.path, header.dtype, "r", start, header.shape, "F")  # its rows lie in pieces
        return HeldRows(array)
    return StoredRows(file.path, header.shape, header.dtype, start)


def npz_rows(file: NamedFile) -> dict[str, RowRange]:
    """The arrays of .npz by their name: read where they lie, or unpacked if they are compressed.

    Raises:
        InputError: it is damaged, or holds no numbers, or too much that is compressed.
    """
    with open(file.path, "rb") as stream, zipfile.ZipFile(stream) as archive:
        members = checked_members(archive)
        packed = sum(member.file_size for member in members if member.compress_type != zipfile.ZIP_STORED)
        if packed > MAX_PACKED:
            size = f"{packed >> 20} MiB are compressed, more than {MAX_PACKED >> 20} MiB"
            raise InputError(f"{size}; save the arrays with numpy.savez, which does not compress")
        return dict(_members(file, archive, members, stream))


def _members(
    file: NamedFile, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], stream: IO[bytes]
) -> Iterator[tuple[str, RowRange]]:
    for member in members:
        name = member.filename.removesuffix(".npy")
        with archive.open(member) as opened:
            header = array_header(opened, member.file_size, _KINDS)
        if member.compress_type == zipfile.ZIP_STORED:
            yield name, _rows(file, header, _data_of(member, stream) + header.start)
            continue
        with archive.open(member) as opened:
            yield name, HeldRows(np.lib.format.read_array(opened, allow_pickle=False))


def _data_of(member: zipfile.ZipInfo, stream: IO[bytes]) -> int:
    """Where a member's bytes begin: behind its own header, whose length only that header says."""
    stream.seek(member.header_offset)
    head = stream.read(30)
    names, extra = struct.unpack("<HH", head[26:])
    start = member.header_offset + 30 + names + extra
    stream.seek(0, os.SEEK_END)
    if start + member.file_size > stream.tell():
        raise InputError(f"its member {member.filename!r} ends behind the file; save it again")
    return int(start)
