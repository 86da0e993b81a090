"""A first pass that only asks what the model answers, to choose what is worth an explanation."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..engines.base import per_sample
from ..explainer import Explainer
from ..explanation.probabilities import probabilities_of
from ..model.precision import to_float32
from ..model.runtime import open_session, run
from ..streaming.ahead import ahead
from ..streaming.lanes import in_order
from .answers import require_finite
from .arrow import load_pyarrow
from .blocks import Block, Done
from .folder import Folder
from .gathered import Gathered
from .items import InputSource
from .order import Order
from .store.index import write_rows
from .work import ONE_INPUT, READ_AHEAD, Work


class Predictor:
    """Answers blocks without explaining them; the same to call, and to pickle, as :class:`Work`.

    Args:
        explainer: of the model.
        source: where the inputs lie.
        order: of the run.
        folder: the run's, with the inventory of all inputs written.
        lanes: batches that are answered at once, each by a thread of its own.
    """

    def __init__(
        self, explainer: Explainer, source: InputSource, order: Order, folder: Folder, lanes: int = 1
    ) -> None:  # fmt: skip
        self.work, self.folder = Work(explainer, source, order, folder, lanes), folder

    def __getstate__(self) -> dict[str, Any]:
        """Without the session."""
        return {"work": self.work, "folder": self.folder}

    def __call__(self, block: Block, poisoned: Mapping[int, str] | None = None) -> Done:
        """Answer one block, and store it; as for :class:`Work`."""
        return next(self.stream([block], poisoned))

    def stream(self, blocks: Iterable[Block], poisoned: Mapping[int, str] | None = None) -> Generator[Done, None, None]:
        """Answer blocks in a row, while the next inputs are decoded; as for :class:`Work`."""
        rows: dict[int, dict[str, Any]] = {}
        _ = self._session  # made once, before several threads ask for it
        groups = ahead(self.work.reader.groups(blocks, poisoned or {}), READ_AHEAD)
        answered = in_order(groups, self._answers, self.work.lanes)
        with closing(groups), closing(answered):
            for group, answers in answered:
                rows |= {one.row: {"row": one.row, "error": one.reason} for one in group.failures}
                rows |= answers
                if group.last:
                    yield self._store(group.block, [rows[row] for row in group.block.rows])
                    rows = {}

    def probe(self, block: Block, journal: Path) -> None:
        """As for :class:`Work`."""
        for row in block.rows:
            journal.write_text(str(row))
            for group in self.work.reader.groups([Block(block.number, row, row + 1)], {}):
                self._answers(group)

    def _store(self, block: Block, rows: Sequence[Mapping[str, Any]]) -> Done:
        schema = prediction_schema()
        columns = {name: [row.get(name) for row in rows] for name in schema.names}
        write_rows(columns, self.folder.predictions / f"{block.number:08d}.parquet", schema)
        return Done(block, sum(row.get("error") is not None for row in rows))

    def _answers(self, group: Gathered) -> dict[int, dict[str, Any]]:
        """The rows of a group; those that give an error are found by halving."""
        if not group.rows:
            return {}
        try:
            return dict(zip(group.rows, self._answered(group)))
        except ONE_INPUT as error:
            if len(group.rows) == 1:
                return {one.row: {"row": one.row, "error": one.reason} for one in group.failed(error)}
        return {row: found for half in group.halves() for row, found in self._answers(half).items()}

    def _answered(self, group: Gathered) -> list[dict[str, Any]]:
        prepared, feeds = self.work.explainer.prepared, self.work.reader.fed(group)
        found, *own = run(self._session, self._names, feeds, prepared.source)
        logits = per_sample(np.asarray(found), prepared, feeds)
        require_finite(logits[: len(group.rows)], prepared.source)
        shares = probabilities_of(logits, own[0] if own else None)
        best = logits.reshape(len(logits), -1).argmax(1).tolist()
        return [
            {
                "row": row, "prediction": best[i], "error": None,
                "probability": None if shares is None else float(shares[i, best[i]]),
            }
            for i, row in enumerate(group.rows)
        ]  # fmt: skip

    @property
    def _names(self) -> list[str]:
        prepared = self.work.explainer.prepared
        return [prepared.target, *([prepared.probability] if prepared.probability else [])]

    @cached_property
    def _session(self) -> Any:
        prepared = self.work.explainer.prepared
        reference = prepared.reference(*self._names)
        if any(value.dtype == ir.DataType.DOUBLE for value in reference.graph.inputs):
            reference = to_float32(reference)  # onnxruntime has no float64 convolution
        return open_session(reference, self.work.explainer.options, prepared.source)


def prediction_schema() -> Any:
    """The Arrow schema of what a first pass leaves."""
    pa = load_pyarrow()
    kinds = {"row": pa.int64(), "prediction": pa.int64(), "probability": pa.float64(), "error": pa.string()}
    return pa.schema(list(kinds.items()))
