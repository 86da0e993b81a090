"""From a cell of a data frame to what a model is fed for one sample: encoded pictures, paths, arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from ..batch.loading import Loader
from ..errors import InputError
from ..pictures.reading import Picture, read_bytes, read_input
from ..text import printable

Fed = dict[str, np.ndarray]
_ENDING = ".png"  # of bytes without a name: what kind of picture they are, they say themselves


def sample_of(cells: Mapping[str, Any], loader: Loader) -> Fed:
    """One sample by the name of the model's input, with an axis of samples in front where the model has one.

    Args:
        cells: what a row holds for each input (``""`` for the only one): bytes of an encoded picture, a path, or an
            array without an axis of samples.
        loader: of the model's samples.

    Raises:
        InputError: nothing there, or it cannot be read.
    """
    inputs = {value.name or "": value for value in loader.inputs}
    if list(cells) == [""] and len(inputs) == 1:
        cells = dict.fromkeys(inputs, cells[""])
    unknown = [name for name in cells if name not in inputs]
    if unknown:
        named = ", ".join(repr(printable(name)) for name in inputs)
        raise InputError(f"the model has no input {printable(unknown[0])!r}; its inputs are {named}")
    return loader.fed({name: _content(cell, inputs[name]) for name, cell in cells.items()})


def _content(cell: Any, value: ir.Value) -> Picture | np.ndarray:
    """A picture's pixels, or an array."""
    if cell is None:
        raise InputError("the row has no input: its cell is empty")
    words = value.dtype is not None and value.dtype.name == "STRING"
    if isinstance(cell, bytes | bytearray | memoryview):
        return _alone(read_bytes(bytes(cell), _ENDING, "the picture"), "the picture")
    if isinstance(cell, str | os.PathLike) and not words:
        return _alone(read_input(cell), os.fspath(cell))
    return np.asarray(cell, object) if words else _numbers(cell)


def _alone(read: Any, name: str) -> Picture | np.ndarray:
    if isinstance(read, dict):
        raise InputError(f"{printable(name)}: holds several arrays; give one column for each")
    found: Picture | np.ndarray = read
    return found


def _numbers(cell: Any) -> np.ndarray:
    """An array, also from lists in lists as Arrow hands them out."""

    def listed(part: Any) -> Any:
        return [listed(item) for item in part] if isinstance(part, np.ndarray | list | tuple) else part

    try:
        plain = isinstance(cell, np.ndarray) and cell.dtype.kind != "O"
        return np.asarray(cell if plain else listed(cell))
    except (TypeError, ValueError):
        raise InputError("the row's input is no array of numbers: it is ragged") from None
