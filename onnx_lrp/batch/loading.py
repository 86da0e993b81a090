"""From what an item holds to what the model is fed for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..explanation.fingerprint import array_sha256, rows_sha256
from ..inputs import check_inputs, checked
from ..model.graph import dims, is_fixed
from ..pictures.intake import pictures, prepared_picture
from ..pictures.layout import counts_samples
from ..pictures.preprocessing import Preprocessing
from ..pictures.reading import Picture, read_bytes
from ..text import printable
from .items import Item, Payload
from .numbers import in_type_of

NAMELESS = ("", "arr_0")  # what the only array of a sample is called where nobody named it


@dataclass(frozen=True)
class Prepped:
    """One input, ready to be fed: arrays by the name of the model's input, and the SHA-256 of what the item holds.

    The numbers of a table's row are hashed in the type in which the model takes them, so that it does not matter how
    they are written.

    Where the model has an axis of samples, so have the arrays, of length 1.
    """

    feeds: dict[str, np.ndarray]
    sha256: str

    @property
    def shape(self) -> tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]:
        """What has to agree among the samples of a batch."""
        return tuple([(a.shape, a.dtype) for a in self.feeds.values()])

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return sum([a.nbytes for a in self.feeds.values()])


@dataclass(frozen=True)
class Loader:
    """Makes samples for one model.

    Attributes:
        inputs: what the model has to be fed.
        preprocessing: how pictures become inputs.
        source: what to call the model in messages.
    """

    inputs: Sequence[ir.Value]
    preprocessing: Preprocessing
    source: str

    @cached_property
    def batched(self) -> bool:
        """Whether the first axis of every input counts samples, as far as one can tell, but for constants."""
        return all(is_fixed(value) or counts_samples(dims(value)) for value in self.inputs)

    @cached_property
    def constants(self) -> frozenset[str]:
        """The inputs that are constants of the question: all samples of a batch have the same."""
        return frozenset(value.name or "" for value in self.inputs if is_fixed(value))

    @cached_property
    def fixed(self) -> int | None:
        """How many samples the model takes, no more and no less, if it says so."""
        first = [(dims(value) or [None])[0] for value in self.inputs if not is_fixed(value)]
        sizes = {size for size in first if isinstance(size, int)}
        return sizes.pop() if self.batched and len(sizes) == 1 else None

    def load(self, item: Item, payload: Payload) -> Prepped:
        """One sample.

        Raises:
            InputError: it cannot be read, or does not fit the model.
        """
        if isinstance(payload.data, bytes):
            digest = hashlib.sha256(payload.data).hexdigest()
            return Prepped(self.fed(read_bytes(payload.data, payload.ending, item.name)), digest)
        arrays = payload.data if payload.typed else self._in_its_type(payload.data)
        return Prepped(self.fed(arrays), digest_of(arrays))

    def _in_its_type(self, row: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """A table's row as the model's only input takes it; one for several inputs is refused as any array."""
        return {name: in_type_of(numbers, self.inputs[0]) for name, numbers in row.items()}

    @cached_property
    def _declared(self) -> list[tuple[str, int | None, ir.Value]]:
        """Name and rank of every input; a run reads them very often."""
        shapes = {value.name or "": dims(value) for value in self.inputs}
        return [(v.name or "", None if (s := shapes[v.name or ""]) is None else len(s), v) for v in self.inputs]

    def fed(self, content: Picture | np.ndarray | Mapping[str, Picture | np.ndarray]) -> dict[str, np.ndarray]:
        """What the model is fed for one sample, with an axis of samples, of length 1, where the model has one.

        Args:
            content: a picture, or an array without an axis of samples; for a model with several inputs, by their names.

        Raises:
            InputError: there is nothing for an input, or a picture that does not fit it.
        """
        named = self._by_name(content)
        missing = [name for name, _, _ in self._declared if name not in named]
        if missing:
            there = ", ".join(repr(printable(str(name))) for name in named)
            remedy = f"call the array so: numpy.savez('x.npz', **{{{missing[0]!r}: x}})"
            raise InputError(f"holds nothing for the model's input {missing[0]!r}, only {there}; {remedy}")
        return {name: self._array(named[name], rank, value) for name, rank, value in self._declared}

    def _by_name(
        self, content: Picture | np.ndarray | Mapping[str, Picture | np.ndarray]
    ) -> Mapping[str, Picture | np.ndarray]:
        if isinstance(content, dict) and not (len(content) == 1 and next(iter(content)) in NAMELESS):
            return content
        if len(self.inputs) > 1:
            raise InputError(
                f"is one array, but the model has {len(self.inputs)} inputs; give an .npz with all of them"
            )
        one: Any = next(iter(content.values())) if isinstance(content, dict) else content
        return {self._declared[0][0]: one}

    def _array(self, data: Picture | np.ndarray, rank: int | None, value: ir.Value) -> np.ndarray:
        """A picture prepared; an array with the axis of samples, where the model has one."""
        if isinstance(data, Picture) or data.dtype.kind != "f":
            found = pictures(data, value)
            if len(found) > 1:
                raise _several(len(found))
            if found:
                return prepared_picture(found[0], value, self.preprocessing)
        array = np.asarray(data)
        if not self.batched or is_fixed(value):
            return array
        if rank is None or array.ndim == rank - 1:
            return array[None]
        if array.ndim != rank:  # it could not even be joined with others
            return checked(array, value, self.source)
        if len(array) != 1:
            raise _several(len(array))
        return array

    def as_it_is(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """What the model is fed of many samples, if that is just their numbers; else None.

        Args:
            arrays: as :meth:`ArraysSource.arrays` gives them.
        """
        if self.constants:
            return None
        only = len(arrays) == len(self._declared) == 1
        fed = {}
        for name, rank, _ in self._declared:
            found = next(iter(arrays.values())) if only else arrays.get(name)
            if found is None or found.dtype.kind != "f" or not self.batched or rank not in (None, found.ndim):
                return None
            fed[name] = found
        return fed

    def digests(self, arrays: Mapping[str, np.ndarray]) -> list[str]:
        """SHA-256 of each sample."""
        if len(arrays) == 1:
            return rows_sha256(next(iter(arrays.values())))
        count = len(next(iter(arrays.values())))
        return [digest_of({name: array[i] for name, array in arrays.items()}) for i in range(count)]

    def check(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A batch, or one sample, against what the model declares; the number of samples may be another one.

        Raises:
            InputError: it does not fit.
        """
        return check_inputs(dict(feeds), self.inputs, self.source)


def _several(count: int) -> InputError:
    return InputError(f"holds {count} samples; give files of one sample each, or one array with a row for each")


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of a sample's arrays, in hexadecimal digits: of a single one, as of any array."""
    if len(arrays) == 1:
        return array_sha256(next(iter(arrays.values())))
    lines = [f"{name} {array_sha256(arrays[name])}\n" for name in sorted(arrays)]
    return hashlib.sha256("".join(lines).encode("utf-8", "backslashreplace")).hexdigest()
