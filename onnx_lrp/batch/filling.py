"""What is found for a block, group by group, until all of it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..explanation import Explanation
from .answers import answered_rows, row_of_failure
from .blocks import Block
from .found import Found
from .grouping import Failed, Gathered
from .order import Order
from .store.index import index_schema
from .surfaces import maps_of


class Filling:
    """Gathers the rows, maps and scores of one block.

    Args:
        block: which.
        explaining: the model's inputs that get relevance.
        order: what is wanted.
    """

    def __init__(self, block: Block, explaining: Sequence[ir.Value], order: Order) -> None:
        self.block, self.explaining, self.order = block, explaining, order
        self._rows: dict[int, dict[str, Any]] = {}
        self._maps: dict[str, np.ndarray] = {}
        self._scores: np.ndarray | None = None

    def fail(self, failed: Sequence[Failed], sha256: str | None = None) -> None:
        """Inputs that have no answer."""
        self._rows |= {row: row_of_failure(row, item, reason, sha256) for row, item, reason in failed}

    def add(self, group: Gathered, explanation: Explanation) -> None:
        """The answers of a group; an error, where its maps are of another shape than the run's."""
        maps = {v.name or "": maps_of(v, explanation.inputs[v.name or ""], self.order.whole) for v in self.explaining}
        if any(maps[name].shape[1:] != tuple(shape) for name, shape in self.order.shapes.items()):
            self.fail([(row, item, self._other(maps)) for row, item in zip(group.rows, group.items)])
            return
        found = answered_rows(explanation, group.rows, group.items, group.samples, self.order)
        self._rows |= dict(zip(group.rows, found))
        at = np.array(group.rows) - self.block.start
        if "maps" in self.order.save:
            self._maps = {name: self._put(self._maps.get(name), at, some) for name, some in maps.items()}
        if "scores" in self.order.save:
            self._scores = self._put(self._scores, at, explanation.output)

    def found(self, origins: list[int]) -> Found:
        """All of it; ``origins`` are the rows in the inputs as they were given."""
        rows = [self._rows[row] for row in self.block.rows]
        columns = {name: [row.get(name) for row in rows] for name in index_schema(self.order).names}
        columns |= {"origin": list(origins)}
        return Found(self.block, columns, self._maps, self._scores)

    def _other(self, maps: Mapping[str, np.ndarray]) -> str:
        own, others = (
            [tuple(shape) for shape in shapes]
            for shapes in ((some.shape[1:] for some in maps.values()), self.order.shapes.values())
        )
        return (
            f"its maps have the shape {own}, the run's have {others}; give all inputs one size (--size, for pictures)"
        )

    def _put(self, rows: np.ndarray | None, at: np.ndarray, some: np.ndarray) -> np.ndarray:
        if rows is None:
            rows = np.full((len(self.block), *some.shape[1:]), np.nan, np.float32)
        rows[at] = some[: len(at)]
        return rows
