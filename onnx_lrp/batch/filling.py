"""What is found for a block, piece by piece, until all of it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .answers import Answers
from .blocks import Block
from .found import Found
from .order import Order
from .store.index import index_schema


class Filling:
    """Gathers the rows, maps and scores of one block; what nothing is added to is null and NaN.

    Args:
        block: which.
        order: what is wanted, with its sizes.
    """

    def __init__(self, block: Block, order: Order) -> None:
        self.block = block
        self._columns: dict[str, list[Any]] = {name: [None] * len(block) for name in index_schema(order).names}
        self._maps = {name: self._nan(shape) for name, shape in order.shapes.items() if "maps" in order.save}
        self._scores = self._nan(order.output) if "scores" in order.save else None

    def add(self, answers: Answers) -> None:
        """Some of its inputs, whichever come first."""
        at = [row - self.block.start for row in answers.rows]
        together = bool(at) and at == list(range(at[0], at[0] + len(at)))
        where: Any = slice(at[0], at[0] + len(at)) if together else at
        for name, values in answers.columns.items():
            self._put(self._columns[name], at, together, values)
        for name, some in answers.maps.items():
            self._maps[name][where] = some
        if answers.scores is not None and self._scores is not None:
            self._scores[where] = answers.scores

    def found(self, origins: list[int]) -> Found:
        """All of it; ``origins`` are the rows in the inputs as they were given."""
        columns = {**self._columns, "row": list(self.block.rows), "origin": origins}
        return Found(self.block, columns, self._maps, self._scores)

    @staticmethod
    def _put(column: list[Any], at: list[int], together: bool, values: Sequence[Any]) -> None:
        if len(values) != len(at):  # a slice would take it, and move all that follows
            raise ValueError(f"{len(values)} values for {len(at)} rows")
        if together:
            column[at[0] : at[0] + len(at)] = values
            return
        for i, value in zip(at, values):
            column[i] = value

    def _nan(self, shape: Sequence[int]) -> np.ndarray:
        return np.full((len(self.block), *shape), np.nan, np.float32)
