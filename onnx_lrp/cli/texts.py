"""Text on the command line: sentences that a tokenizer feeds, and rows of tokens in place of heatmaps."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..model.graph import dims
from ..pictures.heatmap import save_png
from ..tokens.rows import TokenRow, write_page
from ..tokens.tokenizing import NAMES, Tokenizer, read_tokens
from ..writing import Outputs, shown
from .feeding import Batch, File, Text

if TYPE_CHECKING:
    import onnx_ir as ir

MASKS = tuple(name for name, source in NAMES.items() if source == "attention_mask")


@dataclass(frozen=True)
class Texts:
    """What is known of tokens; nothing, where neither option was given."""

    tokenizer: Tokenizer | None = None
    rows: Sequence[Sequence[str]] | None = None

    @staticmethod
    def read(args: Namespace) -> Texts:
        """The files of --tokenizer and --tokens.

        Raises:
            InputError: one that cannot be read.
        """
        tokenizer = Tokenizer(args.tokenizer) if args.tokenizer else None
        return Texts(tokenizer, read_tokens(args.tokens) if args.tokens else None)

    def fed(self, files: Sequence[File], inputs: Sequence[ir.Value]) -> list[File]:
        """Sentences as the arrays that the model takes; other files as they are.

        Raises:
            InputError: a model that no tokenizer feeds, or a sentence that is too long for it.
        """
        return [part for file in files for part in self._fed(file, inputs)]

    def _fed(self, file: File, inputs: Sequence[ir.Value]) -> Iterator[File]:
        if not isinstance(file.content, Text):
            yield file
            return
        assert self.tokenizer is not None
        names = [value.name or "" for value in inputs]
        samples, length = [(dims(inputs[0]) or [None, None])[axis : axis + 1] for axis in (0, 1)]
        width = next((n for n in length if isinstance(n, int)), None)
        alone = any(isinstance(n, int) for n in samples)
        for group in [[line] for line in file.content.lines] if alone else [file.content.lines]:
            try:
                yield replace(file, content=self.tokenizer.feeds(group, names, width))
            except InputError as error:
                raise InputError(f"{shown(file.path)}: {error}") from None

    def shows(self, value: ir.Value, batch: Batch) -> bool:
        """Whether this input is a sequence of tokens."""
        if self.tokenizer is None and self.rows is None:
            return False
        name = value.name or ""
        return batch.feeds[name].ndim == 2 and (batch.feeds[name].dtype.kind == "i" or NAMES.get(name) == "ids")

    def row(self, name: str, batch: Batch, sample: int, relevance: np.ndarray, place: int) -> TokenRow:
        """The tokens of one sample, without padding; ``place`` counts all samples.

        Raises:
            InputError: --tokens has no line for it, or another number of tokens.
        """
        ids = batch.feeds[name][sample]
        kept = np.ones(len(ids), bool)
        for mask in MASKS:
            if mask in batch.feeds and batch.feeds[mask].shape == batch.feeds[name].shape:
                kept = batch.feeds[mask][sample] > 0
        if self.rows is not None:
            if place >= len(self.rows):
                raise InputError(f"--tokens has {len(self.rows)} lines, but there are more samples")
            return TokenRow(self.rows[place], relevance.reshape(-1)[kept])
        assert self.tokenizer is not None
        return TokenRow(self.tokenizer.tokens(ids[kept]), relevance.reshape(-1)[kept])

    @staticmethod
    def drawn(row: TokenRow, title: str, path: Path, outputs: Outputs) -> str:
        """Draw a row as its file's name says; returns what to say of it."""
        html = path.suffix.lower() == ".html"
        outputs.add(path, partial(write_page, row.html(title)) if html else partial(save_png, row.picture()))
        return f"{'page' if html else 'picture'}: {shown(path)}"
