"""Pictures of a former run: one that answered the same question may be replaced without ``--force``.

A picture carries the SHA-256 of its question: of the options, and of the content of all files that were read. How a
picture is drawn is no part of the question.
"""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from functools import cached_property
from pathlib import Path

from .. import __version__
from ..errors import InputError
from ..model.loading import file_sha256
from ..pictures.pngtext import text_of
from .reading import files_read

QUESTION = "question_sha256"  # its key among what a picture carries
BESIDE = ("run", "parser", "force", "json", "quiet", "verbose", "heatmap", "no_heatmap", "save_relevance", "ledger",
          "overlay", "percentile", "threads", "record", "bare", "cmap", "smooth", "names")  # fmt: skip


class Asked:
    """What a run asks; its files are read when the answer is needed."""

    def __init__(self, args: Namespace) -> None:
        self.args = args

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hexadecimal digits."""
        options = {key: str(value) for key, value in sorted(vars(self.args).items()) if key not in BESIDE}
        found = hashlib.sha256(json.dumps([__version__, options]).encode())
        for path in sorted({path for path in files_read(self.args) if path.is_file()}):  # a folder may hold others
            found.update(file_sha256(path).encode())
        return found.hexdigest()

    def wrote(self, path: Path) -> bool:
        """Whether a former run wrote this picture as its answer to the same question."""
        if path.suffix.lower() != ".png" or not path.is_file():
            return False
        try:
            carried = json.loads(text_of(path.read_bytes()) or "{}")
        except (OSError, ValueError, InputError):
            return False
        return isinstance(carried, dict) and carried.get(QUESTION) == self.digest
