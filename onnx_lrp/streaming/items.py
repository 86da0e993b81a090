"""What an iterator gives, as samples: told by rank whether it is one, or a batch of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..inputs import given_by_name
from ..model.graph import dims, is_fixed
from ..pictures.intake import pictures, prepared_picture
from ..pictures.layout import Layout
from ..pictures.preprocessing import Preprocessing
from ..pictures.reading import PICTURES, Picture, read_input
from ..text import printable
from .labelled import classes_of, no_pair
from .rows import Rows

Pairs = Literal["input", "target"]


class ItemReader:
    """Makes samples of an item.

    Args:
        declared: the model's inputs.
        source: what to call the model in messages.
        preprocessing: gives how pictures become inputs.
        pairs: what the second part of a pair is: left out (``"input"``), or the class to explain (``"target"``).
        held: inputs that are constants of the question, though their declaration does not say so.
    """

    def __init__(
        self, declared: Sequence[ir.Value], source: str, preprocessing: Callable[[], Preprocessing], pairs: Pairs,
        held: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._declared, self._source = {value.name or "": value for value in declared}, source
        self._preprocessing, self._pairs = preprocessing, pairs
        self._words = any(value.dtype == ir.DataType.STRING for value in declared)
        self._free = [
            name for name, value in self._declared.items() if not (is_fixed(value) or name in held or dims(value) == [])
        ]

    @property
    def size(self) -> int | None:
        """How many samples the model always takes; None if it leaves that open."""
        first = [(dims(self._declared[name]) or [None])[0] for name in self._free]
        sizes = {size for size in first if isinstance(size, int)}
        return sizes.pop() if len(sizes) == 1 else None

    def __call__(self, item: Any) -> Rows:
        """The samples of an item.

        Raises:
            InputError: it does not fit the model, or is a file that cannot be read.
        """
        x, label = self._apart(item)
        parts = {name: self._part(data, name) for name, data in self._by_name(x).items()}
        free = [parts[name] for name in self._free]
        if len({(part.single, part.whole) for part in free}) > 1:
            raise InputError("some inputs are one sample, others a batch of them; give all with an axis of samples")
        if len(sizes := {part.count for part in free}) > 1:
            raise InputError(f"the inputs have different numbers of samples ({', '.join(map(str, sorted(sizes)))})")
        first = next((part.first for part in parts.values() if part.first is not None), None)
        count, single = free[0].count, free[0].single
        if not count:
            raise InputError("there are no samples in it; give at least one")
        classes = classes_of(label, count) if self._pairs == "target" else ()
        feeds = {name: a for part in parts.values() for name, a in part.feeds.items()}
        shared = {name: a for part in parts.values() for name, a in part.shared.items()}
        return Rows(feeds, count, single, free[0].whole, shared, classes, first)

    def _apart(self, item: Any) -> tuple[Any, Any]:
        """The data of an item, and what came with it."""
        listed = isinstance(item, list | tuple) and len(self._declared) == 1
        if listed and not (self._words and isinstance(item, list) and all(isinstance(a, str) for a in item)):
            if len(item) == 2 and not _is_picture(item[1]):
                return item[0], item[1]
            if len(item) != 1:
                raise InputError(
                    f"a {type(item).__name__} of {len(item)} is neither a sample, nor a pair of it and its class; give "
                    "samples one by one, or a batch as one array"
                )
            item = item[0]
        if self._pairs == "target":
            raise no_pair()
        return item, None

    def _by_name(self, x: Any) -> dict[str, Any]:
        """The data by input name."""
        if isinstance(x, str | os.PathLike) and not self._words:
            x = read_input(x)
            if isinstance(x, dict) and list(x) == ["arr_0"] and len(self._declared) == 1:
                x = x["arr_0"]  # as numpy.savez calls a nameless array
        if isinstance(x, Mapping) or len(self._declared) > 1:
            return given_by_name(x, list(self._declared), self._source)
        return dict.fromkeys(self._declared, x)

    def _part(self, data: Any, name: str) -> Rows:
        """One input's."""
        value = self._declared[name]
        if isinstance(data, str | os.PathLike) and value.dtype != ir.DataType.STRING:
            data = read_input(data)
        if pixels := pictures(data, value):
            return self._prepared(pixels, value, getattr(data, "ndim", 3) < 4 and len(pixels) == 1)
        array, shape = _array(data, name, value), dims(value)
        if name not in self._free:
            return Rows({}, 0, shared={name: np.array(array)})
        if shape is None or array.ndim == len(shape):
            return Rows({name: array}, len(array) if array.ndim else 1, whole=not array.ndim)
        if array.ndim == len(shape) - 1:
            return Rows({name: np.array(array)[None]}, 1, single=True)
        raise InputError(
            f"input {printable(name)!r} has rank {array.ndim}, shape {array.shape}; the model takes batches of rank "
            f"{len(shape)}, so give samples of rank {len(shape) - 1}, or batches"
        )

    def _prepared(self, pixels: list[np.ndarray], value: ir.Value, single: bool) -> Rows:
        """Pictures as inputs."""
        name, how = value.name or "", self._preprocessing()
        made = [prepared_picture(one, value, how) for one in pixels]
        if Layout.of(dims(value) or ()).batched:
            return Rows({name: np.concatenate(made)}, len(made), single, first=(name, pixels[0]))
        if not single:
            raise InputError("the model takes one picture at a time; give them one by one")
        return Rows({name: made[0]}, 1, whole=True, first=(name, pixels[0]))


def _is_picture(part: Any) -> bool:
    """Whether the second of two is no class, but one more picture."""
    named = isinstance(part, str | os.PathLike) and os.fspath(part).lower().endswith((*PICTURES, ".npy", ".npz"))
    return named or isinstance(part, Picture) or type(part).__module__.startswith("PIL.")


def _array(data: Any, name: str, value: ir.Value) -> np.ndarray:
    """A part of an item as an array, unchecked.

    Raises:
        InputError: it is none.
    """
    if hasattr(data, "detach"):  # a torch tensor
        data = data.detach().cpu().numpy()
    if value.dtype == ir.DataType.STRING and isinstance(data, str | list | tuple):
        return np.array(data, object)
    if isinstance(data, int | float) or hasattr(data, "__array__"):
        return np.asarray(data)
    raise InputError(
        f"input {printable(name)!r} is a {type(data).__name__}; give an array, a path or a picture, or a dict by input "
        "name"
    )
