"""Text inside of a PNG file: what a picture shows travels with it.

A PNG file is a signature and chunks of length, kind, data and CRC-32; the kind iTXt is a keyword and UTF-8 text (PNG
specification, third edition, 11.3.3.4).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from ..errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = "onnx_lrp"
UNCOMPRESSED = b"\0\0\0\0\0"  # ends the keyword; not compressed, by no method, no language, no translated keyword


def with_text(png: bytes, text: str) -> bytes:
    """The same picture with a text under the keyword ``onnx_lrp``, in front of its pixels.

    Raises:
        InputError: no PNG file.
    """
    header = next(_chunks(png))[1]
    content = b"iTXt" + KEYWORD.encode() + UNCOMPRESSED + text.encode("utf-8", "backslashreplace")
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:header] + chunk + png[header:]


def text_of(png: bytes) -> str | None:
    """The text that :func:`with_text` put there; None without one.

    Raises:
        InputError: no PNG file.
    """
    start = KEYWORD.encode() + UNCOMPRESSED
    texts = (data for kind, _, data in _chunks(png) if kind == b"iTXt" and data.startswith(start))
    return next((data[len(start) :].decode("utf-8", "replace") for data in texts), None)


def _chunks(png: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, where it ends, and data of every chunk."""
    if not png.startswith(SIGNATURE):
        raise InputError("no PNG file")
    place = len(SIGNATURE)
    while place + 12 <= len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        end = place + 12 + length
        yield png[place + 4 : place + 8], end, png[place + 8 : end - 4]
        place = end
