"""The numbers of a table, which have no type of their own: a row of them gets that of the model's input."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..inputs import INTEGERS
from ..text import printable

FIRST_ROUNDED = 2**53  # from here on float64 lacks whole numbers


def in_type_of(row: np.ndarray, value: ir.Value) -> np.ndarray:
    """A row as an input of the model takes it: float64 and whole numbers where it declares them, else float32.

    Args:
        row: float64, or objects where it has whole numbers that float64 would round.
        value: the input.

    Raises:
        InputError: the input takes whole numbers, and one of the row is none, or too large.
    """
    kind = value.dtype
    if kind is not None and kind.name in INTEGERS:
        return _whole(row, kind.numpy(), printable(value.name or ""))
    numbers = row.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):  # an infinite number is refused by whoever feeds it
        return numbers.astype(np.float64 if kind == ir.DataType.DOUBLE else np.float32, copy=False)


def _whole(row: np.ndarray, dtype: np.dtype[Any], name: str) -> np.ndarray:
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for i, number in enumerate(row.tolist(), 1):
        if not least <= number <= most or number != int(number):
            raise InputError(
                f"the input {name!r} takes {dtype}, number {i} of the row is {number}; give whole numbers from {least} "
                f"to {most}"
            )
    return np.array([int(number) for number in row.tolist()], dtype)
