"""What a block's inputs were answered with, ready to be stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .blocks import Block


@dataclass(frozen=True)
class Found:
    """The answers of a block, a row for each input of it, whether it failed or not.

    Attributes:
        block: which.
        columns: of the index, by name, each with one entry per row; None in a row that has no such thing. The columns
            are those of :mod:`onnx_lrp.batch.store.index`.
        maps: by the name of a model's input, float32 (rows, ...), NaN in a row that failed.
        scores: the explained tensor, float32 (rows, ...), NaN in a row that failed; None if nobody wants it.
    """

    block: Block
    columns: dict[str, list[Any]]
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    scores: np.ndarray | None = None
