"""Check what a user feeds against what the model declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .errors import InputError
from .model.graph import HOLES, dims, is_fixed
from .text import printable

INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "BOOL")


def check_inputs(x: Any, declared: Sequence[ir.Value], source: str) -> dict[str, np.ndarray]:
    """The user's data by input name.

    Args:
        x: an array for a model with one input, a list in the model's order, or a dict by input name.
        declared: the model's inputs.
        source: what to call the model in messages.

    Raises:
        InputError: missing or extra input, wrong name, rank, shape or dtype, an empty batch, NaN or Inf.
    """
    given = given_by_name(x, [value.name or "" for value in declared], source)
    feeds = {v.name or "": checked(given[v.name or ""], v, source) for v in declared}
    free = [value for value in declared if not is_fixed(value)]
    together = {v.name or "": a for v in free if (a := feeds[v.name or ""]).ndim}
    if len(set(map(len, together.values()))) > 1 and all(_batched(v) for v in free):
        sizes = ", ".join(f"{printable(n)}: {len(a)}" for n, a in together.items())
        raise InputError(f"{source}: inputs have different batch sizes ({sizes}); they must agree")
    return feeds


def _batched(value: ir.Value) -> bool:
    shape = dims(value)
    return bool(shape) and not isinstance(shape[0], int)  # type: ignore[index]


def given_by_name(x: Any, names: Sequence[str], source: str) -> dict[str, Any]:
    """What was given for each input, unchecked.

    Args:
        x: as for :func:`check_inputs`.
        names: of the model's inputs.
        source: what to call the model in messages.

    Raises:
        InputError: missing or extra input, wrong name.
    """
    if isinstance(x, Mapping):
        given = {str(k): v for k, v in x.items()}
    elif isinstance(x, list | tuple) and (len(names) > 1 or (len(x) == 1 and hasattr(x[0], "shape"))):
        if len(x) != len(names):
            raise InputError(f"{source}: {len(x)} inputs given, the model has {len(names)}: {_list(names)}")
        given = dict(zip(names, x))
    elif len(names) == 1:
        given = {names[0]: x}
    else:
        raise InputError(f"{source}: the model has {len(names)} inputs; give a dict with {_list(names)}")
    missing, extra = [n for n in names if n not in given], [n for n in given if n not in names]
    if missing or extra:
        what = [f"missing input {_list(missing)}"] * bool(missing) + [f"unknown input {_list(extra)}"] * bool(extra)
        raise InputError(f"{source}: {' and '.join(what)}; the model's inputs are {_list(names)}")
    return given


def _list(names: Sequence[str]) -> str:
    return ", ".join(repr(printable(n)) for n in names)


def checked(data: Any, value: ir.Value, source: str) -> np.ndarray:
    """One input's data.

    Raises:
        InputError: it does not fit what the model declares.
    """
    where = f"{source}: input {printable(value.name or '')!r}"
    array = _array(data, where)
    _check_dtype(array, value, where)
    _check_shape(array, value, where)
    numbers = np.nan_to_num(array, nan=0.0) if array.dtype.kind == "f" and HOLES in value.meta else array
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        raise InputError(f"{where} holds NaN or Inf values; LRP needs finite numbers, so mend or leave out this input")
    return array


def _array(data: Any, where: str) -> np.ndarray:
    if hasattr(data, "detach"):  # a torch tensor
        data = data.detach().cpu().numpy()
    try:
        array = np.asarray(data)
    except ValueError:
        raise InputError(f"{where} is ragged; give an array") from None
    if array.dtype.kind in "OU" and all(isinstance(word, str) for word in array.reshape(-1)):
        return array.astype(object)  # as onnxruntime takes words
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where} has dtype {array.dtype}; give numbers, for example float32")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _check_dtype(array: np.ndarray, value: ir.Value, where: str) -> None:
    wanted = value.dtype.name if value.dtype is not None else "FLOAT"
    if wanted.startswith("COMPLEX"):
        raise InputError(f"{where} is declared as {wanted.lower()}: a complex tensor cannot carry relevance")
    if (wanted == "STRING") != (array.dtype.kind == "O"):
        given = "a dtype of words" if array.dtype.kind == "O" else f"dtype {array.dtype}"
        raise InputError(f"{where} has {given}, the model declares {wanted.lower()}; give an array of {_kind(wanted)}")
    if wanted == "STRING":
        return
    if (array.dtype.kind == "f") == (wanted in INTEGERS):
        remedy = "astype(np.int64)" if wanted in INTEGERS else "astype(np.float32), scaled as the model expects"
        raise InputError(f"{where} has dtype {array.dtype}, the model declares {wanted.lower()}; use .{remedy}")


def _kind(wanted: str) -> str:
    return "words, for example dtype=object" if wanted == "STRING" else "numbers, for example float32"


def _check_shape(array: np.ndarray, value: ir.Value, where: str) -> None:
    shape = dims(value)
    if 0 in array.shape:
        raise InputError(f"{where} is empty, its shape is {array.shape}; give at least one sample")
    if shape is None:
        return
    shown = "(" + ", ".join(printable(str(d)) if d is not None else "?" for d in shape) + ")"
    if array.ndim != len(shape):
        said = f"{where} has rank {array.ndim}, shape {array.shape}, the model declares the shape {shown}"
        raise InputError(f"{said}; {_reshaped(array.shape, shape)}")
    if not _is_of(array.shape, shape):
        said = f"{where} has shape {array.shape}, the model declares the shape {shown}"
        raise InputError(f"{said}; {_reshaped(array.shape, shape)}")


def _is_of(given: Sequence[int], shape: Sequence[int | str | None]) -> bool:
    return len(given) == len(shape) and all(not isinstance(d, int) or d == n for d, n in zip(shape, given))


def _reshaped(given: tuple[int, ...], shape: Sequence[int | str | None]) -> str:
    """What makes an array one of the declared shape, if that is a matter of its axes."""
    if _is_of((1, *given), shape):
        return "add an axis of samples: x[None]"
    if len(given) and given[0] == 1 and _is_of(given[1:], shape):
        return "take the axis of samples away: x[0]"
    for order in ((0, 3, 1, 2), (0, 2, 3, 1), (0, 2, 1)):
        if len(given) == len(order) and _is_of([given[axis] for axis in order], shape):
            return f"put its axes in this order: x.transpose{order}"
    return "give an array of this shape"
