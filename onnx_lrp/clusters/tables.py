"""Arrow tables as Ray Data hands them to a worker, and the answers as columns of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .rows import RowAnswer


def cells_of(table: Any, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """What each row holds for each input of the model.

    Args:
        table: of pyarrow.
        columns: the column's name by the input's.

    Raises:
        KeyError: no such column.
    """
    found = {name: values_of(table, column) for name, column in columns.items()}
    return [{name: values[i] for name, values in found.items()} for i in range(table.num_rows)]


def values_of(table: Any, column: str) -> list[Any]:
    """The cells of a column: arrays of a tensor column, bytes, texts, numbers; None where one is empty.

    Raises:
        KeyError: no such column.
    """
    values: list[Any] = []
    for chunk in table.column(column).chunks:
        is_tensor = hasattr(chunk.type, "extension_name")
        some = _tensors(chunk) if is_tensor else chunk.to_pylist()
        values += [None if empty else value for value, empty in zip(some, chunk.is_null().to_pylist())]
    return values


def _tensors(chunk: Any) -> list[np.ndarray]:
    if hasattr(chunk, "to_numpy_ndarray"):
        return list(chunk.to_numpy_ndarray())
    return list(chunk.to_numpy(zero_copy_only=False))


def table_of(kept: Any, answers: Sequence[RowAnswer], shapes: Mapping[str, tuple[int, ...]], scores: bool) -> Any:
    """The answers beside the columns that are kept, as a table of pyarrow.

    Args:
        kept: a table with a row per answer; columns of the answers' names are replaced.
        answers: one per row.
        shapes: of each map to be kept, by the name of the input, as far as the model says it.
        scores: keep the explained tensor, too.
    """
    import pyarrow as pa

    columns = {
        "prediction": pa.array([a.prediction for a in answers], pa.int64()),
        "probability": pa.array([a.probability for a in answers], pa.float64()),
        "target": pa.array([a.target for a in answers], pa.int64()),
        "start": pa.array([a.start for a in answers], pa.float64()),
        "absorbed": pa.array([a.absorbed for a in answers], pa.float64()),
        "error": pa.array([a.error for a in answers], pa.string()),
    }
    for name, shape in shapes.items():
        title = "relevance" if len(shapes) == 1 else f"relevance/{name}"
        columns[title] = tensor_column([a.maps.get(name) for a in answers], shape)
    if scores:
        columns["scores"] = tensor_column([a.scores for a in answers], ())
    for name, column in columns.items():
        place = kept.schema.get_field_index(name)
        kept = kept.append_column(name, column) if place < 0 else kept.set_column(place, name, column)
    return kept


def tensor_column(arrays: Sequence[np.ndarray | None], shape: tuple[int, ...]) -> Any:
    """Arrays as a tensor column of Ray Data; NaN for each that is missing.

    Args:
        arrays: float32.
        shape: of those that are missing, unless the others say it.
    """
    from ray.data.extensions import ArrowTensorArray

    found = {array.shape for array in arrays if array is not None}
    missing = np.full(found.pop() if len(found) == 1 else shape, np.nan, np.float32)
    filled = [missing if array is None else array for array in arrays]
    if len({array.shape for array in filled}) == 1:
        return ArrowTensorArray.from_numpy(np.stack(filled))
    listed = np.empty(len(filled), object)
    listed[:] = filled
    return ArrowTensorArray.from_numpy(listed)
