"""What came of a run: counts, and the first errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..writing import shown
from .arrow import load_pyarrow

FEW_ERRORS = 3  # errors that are told


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        out: its folder.
        inputs: how many it has.
        listed: of how many they were chosen.
        failed: how many of them have an error in place of an explanation.
        done_before: how many an earlier call had done.
        seconds: that this call took.
        errors: the first few, each with the input's name.
        notes: what there is to say of the run.
    """

    out: str
    inputs: int
    listed: int
    failed: int
    done_before: int
    seconds: float
    errors: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Inputs per second of this call."""
        return (self.inputs - self.done_before) / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        errors = [{"input": name, "error": error} for name, error in self.errors]
        return {**asdict(self), "per_second": self.rate, "errors": errors, "notes": list(self.notes)}


def failed_in(paths: Iterable[Path]) -> int:
    """How many rows of these parts of an index, or of the whole of it, have an error; only their ends are read.

    Raises:
        OutputError: one of them is damaged.
    """
    return sum(_failed(_metadata(path)) for path in paths)


def first_errors(index: Path, most: int = FEW_ERRORS) -> tuple[tuple[str, str], ...]:
    """Input and error of the first rows that have one."""
    file = load_pyarrow().parquet.ParquetFile(index)
    groups = [g for g in range(file.num_row_groups) if _failed(file.metadata, g)]
    rows = (
        (row["input"], row["error"])
        for batch in (file.iter_batches(row_groups=groups, columns=["input", "error"]) if groups else ())
        for row in batch.to_pylist()
        if row["error"] is not None
    )
    return tuple(islice(rows, most))


def _metadata(path: Path) -> Any:
    pa = load_pyarrow()
    try:
        return pa.parquet.read_metadata(path)
    except (pa.lib.ArrowInvalid, OSError):
        remedy = "remove it, and give the same command again to have it written anew"
        raise OutputError(f"{shown(path)}: is damaged; {remedy}") from None


def _failed(metadata: Any, only: int | None = None) -> int:
    """Rows that are not null in the column ``error``, of one row group or of all."""
    column = metadata.schema.names.index("error")
    groups = range(metadata.num_row_groups) if only is None else (only,)
    return sum(group.num_rows - group.column(column).statistics.null_count for group in map(metadata.row_group, groups))
