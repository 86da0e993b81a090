"""Arrays in files, .npy and .npz, that may come from anywhere: nothing is executed, no claimed size allocated."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

MAX_BYTES = 2 << 30
MAX_MEMBERS = 1024
MAX_HEADER = 1 << 14


def npz_arrays(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The arrays of .npz by their names.

    Raises:
        InputError: it is none that numpy.savez writes, or too large.
        zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(file) as archive:
        members = checked_members(archive)
        check_bytes(sum(member.file_size for member in members))  # the most that zipfile unpacks, whatever is inside
        arrays = {}
        for member in members:
            try:
                with archive.open(member) as stream:
                    arrays[member.filename.removesuffix(".npy")] = npy_array(stream, member.file_size)
            except InputError as error:
                raise InputError(f"its member {member.filename!r}: {error}") from None
    return arrays


def checked_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The arrays of .npz.

    Raises:
        InputError: there are none or too many, or one has a name or a compression that numpy.savez does not give.
    """
    members = archive.infolist()
    names = [member.filename for member in members]
    if not 0 < len(names) <= MAX_MEMBERS:
        raise InputError(f"holds {len(names)} arrays; between 1 and {MAX_MEMBERS} can be read")
    for member in members:
        name = member.filename
        if not name.endswith(".npy") or ".." in name.replace("\\", "/").split("/"):
            raise InputError(f"its member {name!r} is no array of a plain name; write the file with numpy.savez")
        if names.count(name) > 1:
            raise InputError(f"holds two members {name!r}; give every array its own name")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # an LZMA dictionary takes GiBs
            raise InputError(f"its member {name!r} is packed in an unusual way; write the file with numpy.savez")
    return members


def check_bytes(size: int) -> None:
    """Raise if these are more than are read.

    Raises:
        InputError: they are.
    """
    if size > MAX_BYTES:
        raise InputError(f"holds {size / (1 << 30):.1f} GiB, more than {MAX_BYTES >> 30} GiB; give fewer samples")


def npy_array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """The array of .npy, of which ``size`` bytes are there in all.

    Raises:
        InputError: it holds no plain numbers, or not as many as it claims, or too many.
    """
    header = array_header(stream, size)
    check_bytes(header.bytes)
    stream.seek(0)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    return np.asarray(array, header.dtype.newbyteorder("="), order="C")


@dataclass(frozen=True)
class ArrayHeader:
    """What .npy says before its numbers, which begin after ``start`` bytes; ``columns``: in Fortran's order."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    columns: bool
    start: int

    @property
    def bytes(self) -> int:
        """How many follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def array_header(stream: IO[bytes], size: int, kinds: str = "biuf") -> ArrayHeader:
    """Read the header of .npy, of which ``size`` bytes are there in all; ``kinds`` of numbers are allowed.

    Raises:
        InputError: no numbers, or not as many as it claims.
    """
    head = io.BytesIO(stream.read(MAX_HEADER))  # a header may claim to be gigabytes long, and numpy would read them
    header = _header(head)
    if header.dtype.kind not in kinds:
        raise InputError(f"holds {header.dtype!s:.80}, not plain numbers; save a bool, integer or float array")
    if any(length < 0 for length in header.shape):
        raise InputError(f"its header claims the shape {header.shape}; save it again")
    there = size - header.start
    if there != header.bytes:
        raise InputError(f"its header claims {header.bytes} bytes of numbers, but {there} are there; save it again")
    return header


def _header(head: io.BytesIO) -> ArrayHeader:
    version = np.lib.format.read_magic(head)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:  # 3.0 exists only for the field names of structured arrays
        raise InputError(f"is .npy of version {version[0]}.{version[1]}; save a plain array with numpy.save")
    shape, columns, dtype = readers[version](head)
    return ArrayHeader(shape, dtype, columns, head.tell())
