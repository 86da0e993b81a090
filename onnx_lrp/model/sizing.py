"""Sizes of open axes, as the user gives them: what depends on them is known from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ..errors import InputError
from ..text import printable
from .graph import dims

Shapes = Mapping[str, Sequence[int | None]]


def size_inputs(model: ir.Model, shapes: Shapes, source: str) -> None:
    """Give the model's inputs these shapes; None leaves an axis as open as it is.

    Raises:
        InputError: no such input, or a shape that is not its own.
    """
    inputs = {value.name or "": value for value in model.graph.inputs if value.const_value is None}
    for name, sizes in shapes.items():
        if name not in inputs:
            raise InputError(f"{source}: no input {printable(name)!r}; it has {', '.join(map(printable, inputs))}")
        own = dims(inputs[name])
        if own is not None and not fits(own, sizes):
            raise InputError(
                f"{source}: input {printable(name)!r} declares the shape {own}; {list(sizes)} does not fit"
            )
        open_axes = own if own is not None else [None] * len(sizes)
        inputs[name].shape = ir.Shape([n if n is not None else d for n, d in zip(sizes, open_axes)])


def fits(own: Sequence[int | str | None], sizes: Sequence[int | None]) -> bool:
    """Whether sizes are those of a declared shape, as far as either says it."""
    return len(own) == len(sizes) and all(d == n or not isinstance(d, int) for d, n in zip(own, sizes))
