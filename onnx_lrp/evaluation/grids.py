"""Which axes of an input span a space, and linear interpolation over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..composites import CONVOLUTION
from ..model.graph import dims
from ..model.prepared import Prepared
from ..pictures.layout import Layout

CHANNEL_COUNTS = (1, 3)


@dataclass(frozen=True)
class Grid:
    """Axes of a batch: those that span a space, and the one of the channels; None if there is none."""

    space: tuple[int, ...]
    channels: int | None

    @classmethod
    def of(cls, prepared: Prepared, shape: Sequence[int]) -> Grid | None:
        """The axes of a batch of this shape; None if a sample is a row of features.

        How many axes span the space say the model's convolutions; without them, four axes are taken for pictures.
        Channels stand first, unless a 1 or a 3 stands at the end only.
        """
        count, rank = _dimensions(prepared), len(shape)
        if count is None:
            if rank == 3:
                axes = Layout.of((None, *shape[1:])).axes
                return cls((1, 2), None) if axes == "NHW" else None
            count = 2 if rank == 4 else None
        if count is None or rank not in (count + 1, count + 2):
            return None
        if rank == count + 1:
            return cls(tuple(range(1, rank)), None)
        last = shape[-1] in CHANNEL_COUNTS and shape[1] not in CHANNEL_COUNTS
        return cls(tuple(range(1, rank - 1)), rank - 1) if last else cls(tuple(range(2, rank)), 1)

    def spread(self, maps: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Maps (n, ...space) over an input of this shape: resized linearly, the same for every channel."""
        for axis, place in enumerate(self.space, 1):
            maps = resized(maps, axis, shape[place])
        if self.channels is not None:
            maps = np.expand_dims(maps, self.channels)
        return np.array(np.broadcast_to(maps, shape))


def resized(a: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Linear interpolation along one axis between the centres of its cells; beyond the outer ones it is constant."""
    old = a.shape[axis]
    place = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    low = np.floor(place).astype(np.int64)
    share = (place - low).reshape(-1, *(1,) * (a.ndim - 1 - axis))
    below, above = np.take(a, low, axis), np.take(a, np.minimum(low + 1, old - 1), axis)
    return np.asarray(below * (1 - share) + above * share)


def _dimensions(prepared: Prepared) -> int | None:
    """Of the space that the first convolution slides over."""
    for node in prepared.verdict.roles:
        value = node.inputs[0] if node.op_type in CONVOLUTION else None
        if value is not None and (shape := dims(value)) is not None:
            return len(shape) - 2
    return None
