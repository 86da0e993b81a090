"""Pictures of a former run: one that answered the same question may be replaced without ``--force``.

A picture carries the SHA-256 of its question in a chunk of text (PNG specification, third edition, 11.3.3.2): of the
options, and of the content of all files that were read. How a picture is drawn is no part of the question.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from argparse import Namespace
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from .. import __version__
from ..writing import Outputs, Writer
from .reading import files_read

SIGNATURE_OF_PNG = b"\x89PNG\r\n\x1a\n"
KEY = b"onnx_lrp_question\0"
BESIDE = ("run", "parser", "force", "json", "quiet", "verbose", "heatmap", "no_heatmap", "save_relevance", "ledger",
          "overlay", "percentile", "threads")  # fmt: skip
PIECE = 1 << 20


class Asked:
    """What a run asks; its files are read when the answer is needed."""

    def __init__(self, args: Namespace) -> None:
        self.args = args

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 in hexadecimal digits."""
        options = {key: str(value) for key, value in sorted(vars(self.args).items()) if key not in BESIDE}
        found = hashlib.sha256(json.dumps([__version__, options]).encode())
        for path in sorted({path for path in files_read(self.args) if path.is_file()}):  # a folder may hold others
            found.update(_digest_of(path))
        return found.hexdigest().encode()

    def wrote(self, path: Path) -> bool:
        """Whether a former run wrote this picture as its answer to the same question."""
        try:
            head = path.read_bytes() if path.suffix.lower() == ".png" and path.is_file() else b""
        except OSError:
            return False
        return any(text == KEY + self.digest for kind, text in _chunks(head) if kind == b"tEXt")

    def sign(self, outputs: Outputs) -> None:
        """Have all pictures carry the question."""
        for path in outputs.paths:
            if path.suffix.lower() == ".png":
                outputs.wrap(path, self._signing)

    def _signing(self, writer: Writer) -> Writer:
        def write(temporary: Path) -> None:
            writer(temporary)
            temporary.write_bytes(_with_text(temporary.read_bytes(), KEY + self.digest))

        return write


def _digest_of(path: Path) -> bytes:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found.update(piece)
    return found.digest()


def _with_text(png: bytes, text: bytes) -> bytes:
    """The same picture with a chunk of text behind its header, the first chunk."""
    end = len(SIGNATURE_OF_PNG) + 12 + struct.unpack_from(">I", png, len(SIGNATURE_OF_PNG))[0]
    content = b"tEXt" + text
    return png[:end] + struct.pack(">I", len(text)) + content + struct.pack(">I", zlib.crc32(content)) + png[end:]


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk, as far as there are whole ones."""
    place = len(SIGNATURE_OF_PNG)
    while png.startswith(SIGNATURE_OF_PNG) and place + 12 <= len(png):
        (size,) = struct.unpack_from(">I", png, place)
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        place += 12 + size
