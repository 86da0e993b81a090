"""What kind of thing an input is: pictures, rows of features, or token ids; and what of it counts as one piece."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from ..pictures.layout import Layout

Kind = Literal["pictures", "rows", "tokens"]
PER_SIDE = 16  # regions, at most, where their size is not given


@dataclass(frozen=True)
class Form:
    """A batch of pictures, with their axes NCHW, NHWC or NHW; of rows of features; or of token ids."""

    kind: Kind
    axes: str = ""

    @classmethod
    def of(cls, declared: Sequence[int | str | None] | None, x: np.ndarray) -> Form:
        """Tell by the declared shape, or else by the data's: integers of rank 2 are ids, rank 3 or 4 are pictures.

        Raises:
            InputError: the model takes one sample at a time, without an axis that counts them.
        """
        shape = list(x.shape) if declared is None else list(declared)
        if x.ndim == 2:
            return cls("tokens" if x.dtype.kind in "iu" else "rows")
        if x.ndim > 4:
            return cls("rows")
        layout = Layout.of(shape)
        if not layout.batched:
            raise InputError(
                f"the input's shape {x.shape} has no axis that counts samples; evaluate takes batches, "
                "so export the model with a batch axis in front"
            )
        return cls("pictures", layout.axes)

    def planes(self, x: np.ndarray) -> np.ndarray:
        """Pictures as a view of shape (n, C, H, W)."""
        if self.axes == "NHW":
            return x[:, None]
        return x.transpose(0, 3, 1, 2) if self.axes == "NHWC" else x

    def restored(self, planes: np.ndarray) -> np.ndarray:
        """Back from :meth:`planes`."""
        if self.axes == "NHW":
            return planes[:, 0]
        return planes.transpose(0, 2, 3, 1) if self.axes == "NHWC" else planes


@dataclass(frozen=True)
class Pieces:
    """What is imputed together: square regions of a picture, through all channels; else one feature or token.

    Attributes:
        labels: which piece each element of a sample belongs to, int64 of a sample's shape.
        count: how many pieces there are.
        side: of a square region, in pixels; 1 where there is no picture.
    """

    labels: np.ndarray
    count: int
    side: int = 1

    @classmethod
    def of(cls, form: Form, sample: tuple[int, ...], side: int | None = None) -> Pieces:
        """Cut a sample's shape into pieces.

        Args:
            form: what a sample is.
            sample: its shape, without the axis of samples.
            side: of a square region in pixels; by default the smallest that makes at most 16 × 16 regions.

        Raises:
            InputError: a side below 1 or above the picture's.
        """
        if form.kind != "pictures":
            if side not in (None, 1):
                raise InputError(f"region={side}: only pictures have regions; leave it out")
            size = math.prod(sample)
            return cls(np.arange(size).reshape(sample), size)
        height, width = form.planes(np.empty((1, *sample), bool)).shape[2:]
        k = -(-max(height, width) // PER_SIDE) if side is None else side
        if not 1 <= k <= max(height, width):
            raise InputError(
                f"region={k}: a picture of {height}x{width} has regions of 1 to {max(height, width)} pixels"
            )
        rows, columns = np.arange(height) // k, np.arange(width) // k
        plane = rows[:, None] * (columns[-1] + 1) + columns
        shaped = {"NCHW": plane[None], "NHWC": plane[..., None]}.get(form.axes, plane)
        return cls(np.broadcast_to(shaped, sample), int(plane[-1, -1]) + 1, k)

    def sums(self, relevance: np.ndarray) -> np.ndarray:
        """Relevance (n, ...) of each piece, float64 (n, count)."""
        n = len(relevance)
        places = np.arange(n)[:, None] * self.count + self.labels.reshape(1, -1)
        flat = relevance.reshape(n, -1).astype(np.float64)
        return np.bincount(places.ravel(), flat.ravel(), n * self.count).reshape(n, self.count)

    def mask(self, chosen: np.ndarray) -> np.ndarray:
        """True in every element of the chosen pieces: bool (n, count) to bool (n, ...)."""
        return chosen[:, self.labels]
