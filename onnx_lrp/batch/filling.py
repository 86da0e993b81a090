"""What is found for a block, piece by piece, until all of it is there."""

from __future__ import annotations

from typing import Any

import numpy as np

from .answers import Answers
from .blocks import Block
from .found import Found
from .order import Order
from .store.index import index_schema


class Filling:
    """Gathers the rows, maps and scores of one block.

    Args:
        block: which.
        order: what is wanted.
    """

    def __init__(self, block: Block, order: Order) -> None:
        self.block, self.order = block, order
        self._columns: dict[str, list[Any]] = {name: [None] * len(block) for name in index_schema(order).names}
        self._columns["row"] = list(block.rows)
        self._maps: dict[str, np.ndarray] = {}
        self._scores: np.ndarray | None = None

    def add(self, answers: Answers) -> None:
        """Some of its inputs, whichever come first."""
        at = [row - self.block.start for row in answers.rows]
        together = at == list(range(at[0], at[0] + len(at))) if at else False
        for name, values in answers.columns.items():
            column = self._columns[name]
            if together:
                column[at[0] : at[0] + len(at)] = values
            else:
                for i, value in zip(at, values):
                    column[i] = value
        where: Any = slice(at[0], at[0] + len(at)) if together else at
        self._maps |= {name: self._put(self._maps.get(name), where, some) for name, some in answers.maps.items()}
        if answers.scores is not None:
            self._scores = self._put(self._scores, where, answers.scores)

    def found(self, origins: list[int]) -> Found:
        """All of it; ``origins`` are the rows in the inputs as they were given."""
        return Found(self.block, {**self._columns, "origin": origins}, self._maps, self._scores)

    def _put(self, rows: np.ndarray | None, where: Any, some: np.ndarray) -> np.ndarray:
        if rows is None:
            rows = np.full((len(self.block), *some.shape[1:]), np.nan, np.float32)
        rows[where] = some
        return rows
