"""Values that depend on shapes only, where the number of samples is open: what is known of them before a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..backends.onnx import OnnxBackend
from ..backends.symbols import BatchSize, Symbol, SymbolicShape
from ..errors import ConversionError
from ..text import printable


@dataclass(frozen=True)
class Repeated:
    """One sample's array, of which a run has as many along an axis as it has samples: a state that starts at zero."""

    one: np.ndarray
    axis: int

    @property
    def shape(self) -> SymbolicShape:
        """Of all samples."""
        at = self.axis
        return (*self.one.shape[:at], BatchSize(self.one.shape[at]), *self.one.shape[at + 1 :])

    def on(self, xp: OnnxBackend) -> Symbol:
        """The tensor of all samples."""
        before, behind = self.one.shape[: self.axis], self.one.shape[self.axis :]
        stack = xp.expand(xp.asarray(self.one.reshape(*before, 1, *behind)), (*before, BatchSize(), *behind))
        return xp.reshape(stack, self.shape)


class Derived(dict[str, np.ndarray]):
    """Values that depend on shapes only, and an error for those that depend on the number of samples otherwise.

    Args:
        one: the values for one sample.
        two: for two.
        source: what to call the model in messages.
    """

    def __init__(self, one: Mapping[str, np.ndarray], two: Mapping[str, np.ndarray], source: str) -> None:
        super().__init__({name: b for name, a in one.items() if (b := _in_samples(a, two[name])) is not None})
        self._open, self._source = set(one) - set(self), source
        self.repeated = {name: r for name in self._open if (r := _repeated(one[name], two[name])) is not None}

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in self._open

    def __missing__(self, name: str) -> np.ndarray:
        raise ConversionError(
            f"{self._source}: {printable(name)!r} depends on the number of samples in a way that cannot be compiled; "
            "fix that number (--shape NAME=1,...)"
        )


def _in_samples(one: np.ndarray, two: np.ndarray) -> np.ndarray | None:
    """A value that depends on sizes, in sizes that may grow with the samples; None if it depends on them otherwise."""
    if np.array_equal(one, two):
        return one
    if one.dtype.kind != "i" or one.shape != two.shape or not ((one == two) | (2 * one == two)).all():
        return None
    sizes = [int(a) if a == b else BatchSize(int(a)) for a, b in zip(one.flat, two.flat)]
    return np.array([*sizes, None], object)[:-1].reshape(one.shape)  # None keeps NumPy from looking into them


def _repeated(one: np.ndarray, two: np.ndarray) -> Repeated | None:
    """The axis along which two samples have what one has, twice."""
    grown = [axis for axis, (n, m) in enumerate(zip(one.shape, two.shape)) if n != m]
    if one.ndim != two.ndim or len(grown) != 1 or one.dtype.kind not in "fi":
        return None
    found = np.array_equal(np.concatenate([one, one], grown[0]), two)
    return Repeated(one, grown[0]) if found else None
