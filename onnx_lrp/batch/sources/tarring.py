"""The members of a tar archive one by one: where they lie, with nothing held and nothing unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from ...errors import InputError
from ...text import printable
from .files import NamedFile, reason_of

_RECORD = 512
_MAX_EXTENSION = 1 << 16  # bytes of a long name or of other things that are said before a member
_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: its path there.
        offset: of its header.
        size: of its content, which lies behind the header.
        is_file: it is no link, folder or device.
        error: why it cannot be read, and nothing behind it, either.
    """

    name: str
    offset: int
    size: int = 0
    is_file: bool = True
    error: str | None = None


def tar_members(file: NamedFile) -> Iterator[Member]:
    """All members in their order; where an archive is damaged, the last one says so.

    Raises:
        InputError: it is no tar archive.
    """
    with open(file.path, "rb") as stream:
        length = os.fstat(stream.fileno()).st_size
        offset, named = 0, ""
        while block := stream.read(_RECORD):
            try:
                header = _header(block)
            except InputError as error:
                if not offset:
                    raise InputError(f"{file.shown}: is no tar archive; give one that is not compressed") from None
                yield Member(named, offset, error=str(error))
                return
            if header is None:  # what ends an archive
                return
            stop = offset + _RECORD + header.size
            if stop > length:
                yield Member(named or header.name, offset, error="the archive ends in the middle of it; copy it again")
                return
            if header.type in _EXTENSIONS:
                if header.size > _MAX_EXTENSION:
                    yield Member(named, offset, error=f"{header.size} bytes before a member; write the archive again")
                    return
                named = _named(header, stream.read(header.size)) or named
            else:
                yield Member(named or header.name, offset, header.size, header.isreg())
                named = ""
            offset = offset + _RECORD + -(-header.size // _RECORD) * _RECORD
            stream.seek(offset)


def read_member(stream: IO[bytes], offset: int, most: int) -> bytes:
    """The content of the member whose header is there.

    Raises:
        InputError: there is none, it is too large, or the archive ends before.
    """
    stream.seek(offset)
    header = _header(stream.read(_RECORD))
    if header is None or not header.isreg():
        raise InputError("the archive has changed since it was listed; list it again in a new run")
    if header.size > most:
        raise InputError(f"{header.size} bytes are more than the {most} that can be read; save it again")
    data = stream.read(header.size)
    if len(data) < header.size:
        raise InputError("the archive ends in the middle of it; copy it again")
    return data


def _header(block: bytes) -> tarfile.TarInfo | None:
    if block == b"\0" * _RECORD:
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError) as error:
        said = printable(reason_of(error))
        raise InputError(f"the archive is damaged there ({said}); copy it again") from None
    if header.size < 0 or header.type == tarfile.GNUTYPE_SPARSE:
        raise InputError("the archive is damaged there, or written in an unusual way; write it again")
    if header.islnk() or header.issym() or header.isdir() or header.ischr() or header.isblk() or header.isfifo():
        header.size = 0  # nothing follows, whatever it claims
    return header


def _named(header: tarfile.TarInfo, content: bytes) -> str:
    """The name that an extension gives to the member behind it."""
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode("utf-8", "surrogateescape")
    return _path_of(content) if header.type == tarfile.XHDTYPE else ""


def _path_of(content: bytes) -> str:
    """The path in records ``LENGTH KEY=VALUE``."""
    while content:
        length = content.partition(b" ")[0]
        if not length.isdigit() or not 0 < int(length[:9]) <= len(content):
            return ""
        record, content = content[: int(length)], content[int(length) :]
        key, _, value = record[len(length) + 1 : -1].partition(b"=")
        if key == b"path":
            return value.decode("utf-8", "surrogateescape")
    return ""
