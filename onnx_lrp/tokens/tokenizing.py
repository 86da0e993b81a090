"""Sentences as token ids, by a ``tokenizer.json`` and the package ``tokenizers`` (``pip install 'onnx_lrp[text]'``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..pictures.lines import read_lines
from ..writing import shown

MOST_TOKENIZER_BYTES = 256 << 20
NAMES = {  # what models call what a tokenizer gives
    "input_ids": "ids",
    "ids": "ids",
    "tokens": "ids",
    "attention_mask": "attention_mask",
    "input_mask": "attention_mask",
    "token_type_ids": "type_ids",
    "segment_ids": "type_ids",
}


class Tokenizer:
    """A file of the package ``tokenizers``.

    Raises:
        InputError: no such file, not a tokenizer, or the package is missing.
    """

    def __init__(self, path: str) -> None:
        try:
            import tokenizers
        except ImportError:
            raise InputError("text takes the package tokenizers: pip install 'onnx_lrp[text]'") from None
        file = Path(path)
        if not file.is_file():
            raise InputError(f"{shown(path)}: no such tokenizer; check the path")
        if file.stat().st_size > MOST_TOKENIZER_BYTES:
            raise InputError(f"{shown(path)}: too large for a tokenizer.json")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:  # the package raises bare Exceptions
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise InputError(f"{shown(path)}: not a tokenizer.json: {reason}") from None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def feeds(self, lines: Sequence[str], names: Sequence[str], length: int | None = None) -> dict[str, np.ndarray]:
        """Ids, masks and segments, int64 of shape (lines, length), for a model's inputs of these names.

        Args:
            lines: one sentence each.
            names: the model's inputs; :data:`NAMES` says what each of them is.
            length: tokens per sentence, where the model fixes it; else as many as the longest has.

        Raises:
            InputError: an input that no tokenizer feeds, or a sentence of more tokens than the model takes.
        """
        found = [self._tokenizer.encode(line) for line in lines]
        longest = max(len(one.ids) for one in found)
        if length is not None and longest > length:
            raise InputError(f"a sentence has {longest} tokens, but the model takes {length}; shorten it")
        width = longest if length is None else length
        return {name: self._column(found, _source(name), width) for name in names}

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The text of each id, without the marks of a word's start."""
        return [cleaned(self._tokenizer.id_to_token(int(i)) or f"<{int(i)}>") for i in ids]

    def _column(self, found: Sequence[Any], source: str, width: int) -> np.ndarray:
        fill = 0
        if source == "ids":
            known = (self._tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>", "<|endoftext|>"))
            fill = next((i for i in known if i is not None), 0)
        rows = np.full((len(found), width), fill, np.int64)
        for row, one in zip(rows, found):
            row[: len(one.ids)] = getattr(one, source)
        return rows


def _source(name: str) -> str:
    if name not in NAMES:
        raise InputError(f"no tokenizer feeds the input {name!r}; give the inputs as an .npz, and --tokens")
    return NAMES[name]


def cleaned(token: str) -> str:
    """A token without the marks that tokenizers put at the start of a word."""
    return token.replace("Ġ", "").replace("▁", "").replace("Ċ", "\\n") or "·"


def read_tokens(path: str) -> list[list[str]]:
    """The tokens of each sample: a text file with one line for each, in which spaces separate tokens.

    Raises:
        InputError: not a text file that can be read.
    """
    lines = read_lines(path, "tokens of a sample each")
    return [[cleaned(token) for token in line.split()] for line in lines if line]
