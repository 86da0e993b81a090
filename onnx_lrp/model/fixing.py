"""Inputs that are constants of the question: an adjacency, a mask, a sampling rate. They get no relevance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import onnx_ir as ir

from ..errors import InputError, names_of
from ..inputs import checked
from ..text import printable
from .graph import FIXED

Fixed = str | Iterable[str] | Mapping[str, Any]


def by_name(fixed: Fixed) -> dict[str, Any]:
    """The value of each fixed input, None where it will be fed.

    Raises:
        InputError: what is given is neither names nor a mapping from names.
    """
    names = names_of(fixed, "fixed inputs", InputError)
    return {name: fixed[name] if isinstance(fixed, Mapping) else None for name in names}


def fix(model: ir.Model, fixed: Mapping[str, Any], source: str) -> list[str]:
    """Mark the inputs that are fed as fixed, and make constants of those whose value is given. Returns notes.

    Raises:
        InputError: no such input, a value that does not fit it, or no input is left to explain.
    """
    inputs = {value.name or "": value for value in model.graph.inputs if value.const_value is None}
    for name, array in fixed.items():
        if name not in inputs:
            raise InputError(
                f"{source}: no input {printable(name)!r} to hold fixed; it has {', '.join(map(printable, inputs))}"
            )
        if array is None:
            inputs[name].meta[FIXED] = "asked"
        else:
            _make_constant(model, inputs[name], array, source)
    if fixed and set(fixed) == set(inputs):
        raise InputError(f"{source}: every input is held fixed, none is left to explain")
    return [f"input {printable(name)!r} is held fixed: it gets no relevance" for name in fixed]


def _make_constant(model: ir.Model, value: ir.Value, array: Any, source: str) -> None:
    known = checked(array, value, source)
    dtype = known.dtype if value.dtype is None else value.dtype.numpy()
    value.const_value = ir.Tensor(known.astype(dtype), name=value.name)
    value.shape = ir.Shape(known.shape)
    model.graph.inputs.remove(value)
    model.graph.register_initializer(value)
