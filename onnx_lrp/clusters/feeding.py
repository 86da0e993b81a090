"""From a cell of a data frame to what a model is fed for one sample: encoded pictures, paths, arrays."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..model.graph import dims
from ..pictures.intake import take
from ..pictures.preprocessing import Preprocessing
from ..pictures.reading import MAX_PIXELS, Picture, pixels_of, read_input
from ..text import printable

Fed = dict[str, np.ndarray]
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


def sample_of(
    cells: Mapping[str, Any], inputs: Mapping[str, ir.Value], preprocessing: Callable[[], Preprocessing]
) -> Fed:
    """One sample by the name of the model's input, each with an axis of samples in front.

    Args:
        cells: what a row holds for each input (``""`` for the only one): bytes of an encoded picture, a path, or an
            array without an axis of samples.
        inputs: of the model, by name.
        preprocessing: gives how pictures become inputs.

    Raises:
        InputError: nothing there, or it cannot be read.
    """
    if list(cells) == [""] and len(inputs) == 1:
        cells = dict.fromkeys(inputs, cells[""])
    unknown = [name for name in cells if name not in inputs]
    if unknown:
        named = ", ".join(repr(printable(name)) for name in inputs)
        raise InputError(f"the model has no input {printable(unknown[0])!r}; its inputs are {named}")
    content = {name: _content(cell, inputs[name]) for name, cell in cells.items()}
    taken = take(content, list(inputs.values()), preprocessing).feeds
    return {name: _with_samples(np.asarray(array), inputs[name]) for name, array in taken.items()}


def _content(cell: Any, value: ir.Value) -> Any:
    """A picture's pixels, or an array."""
    if cell is None:
        raise InputError("the row has no input: its cell is empty")
    if isinstance(cell, bytes | bytearray | memoryview):
        return _decoded(bytes(cell))
    words = value.dtype is not None and value.dtype.name == "STRING"
    if isinstance(cell, str | os.PathLike) and not words:
        read = read_input(cell)
        if isinstance(read, dict):
            raise InputError(f"{printable(os.fspath(cell))}: holds several arrays; give one column for each")
        return read
    return np.asarray(cell, object) if words else _numbers(cell)


def _numbers(cell: Any) -> np.ndarray:
    """An array, also from lists in lists as Arrow hands them out."""

    def listed(part: Any) -> Any:
        return [listed(item) for item in part] if isinstance(part, np.ndarray | list | tuple) else part

    try:
        plain = isinstance(cell, np.ndarray) and cell.dtype.kind != "O"
        return np.asarray(cell if plain else listed(cell))
    except (TypeError, ValueError):
        raise InputError("the row's input is no array of numbers: it is ragged") from None


def _decoded(data: bytes) -> Picture:
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise InputError("the row's picture has no bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{image.width} x {image.height} is more than {MAX_PIXELS // 10**6} million pixels")
            return Picture(pixels_of(image))
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError("the row's bytes are no PNG, JPEG, WebP or BMP picture; encode it as PNG") from None
    except Exception as error:  # decoders of damaged files raise nearly everything
        raise InputError(f"the row's picture cannot be decoded ({printable(str(error))}); encode it again") from error


def _with_samples(array: np.ndarray, value: ir.Value) -> np.ndarray:
    shape = dims(value)
    return array[None] if shape is not None and array.ndim == len(shape) - 1 else array
