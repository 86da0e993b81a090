"""Where a model's input keeps batch, channels, height and width: read from its declared shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

DeclaredShape = Sequence["int | str | None"]
_COLOURS = (1, 3)  # how many a picture has


@dataclass(frozen=True)
class Layout:
    """Where a model's input keeps batch, channels, height and width; None is a size that the model leaves open.

    ``axes`` is one of NCHW, NHWC, NHW (grey), CHW, HWC (both without a batch axis), NF and F (flattened, C before H
    before W). Channels stand where a 1 or a 3 stands; where both places have one, or none, ONNX's own NCHW is taken.
    """

    axes: str
    channels: int | None
    height: int | None
    width: int | None

    @classmethod
    def of(cls, shape: DeclaredShape) -> Layout:
        """Read a model's input shape: sizes as integers, open ones as None or a name.

        Raises:
            InputError: no axis at all, or more than four.

        """
        sizes = tuple(_size(size) for size in shape)
        axes = _axes(sizes)
        if "F" in axes:
            return cls(axes, *_unflattened(sizes[-1]))
        known = dict(zip(axes, sizes))
        return cls(axes, known.get("C", 1), known["H"], known["W"])

    @property
    def batched(self) -> bool:
        """Whether the first axis counts samples."""
        return self.axes.startswith("N")

    def axes_of(self, shape: Sequence[int]) -> str:
        """How bytes of a shape are pictures for such an input: HW, HWC or CHW, with N in front of several; "" if they
        are none.

        Colours stand where a 1 or a 3 stands; where both places have one, where the input has them. Three axes without
        colours are several grey pictures. An input that need not be one of pictures, as it has no axis of colours,
        gets only those with its own height and width, but for such with colours behind.
        """
        axes = "" if self.channels not in (None, *_COLOURS) else self._axes_of(shape)
        if "C" in self.axes or axes.endswith("C"):
            return axes
        sides = dict(zip(axes, shape))
        fits = None not in (self.height, self.width) and (sides.get("H"), sides.get("W")) == (self.height, self.width)
        return axes if fits else ""

    def _axes_of(self, shape: Sequence[int]) -> str:
        if len(shape) == 4:
            first, last = shape[1] in _COLOURS, shape[3] in _COLOURS
            if first and last and len(self.axes) == 4:
                return self.axes
            return "NHWC" if last else "NCHW" if first else ""
        if len(shape) == 3:
            if shape[2] in _COLOURS:
                return "HWC"
            return "CHW" if shape[0] in (1, self.channels or 3) else "NHW"
        return "HW" if len(shape) == 2 else ""

    def pack(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn (H, W, C) into one sample in this axis order, with a batch axis of 1 if the model has one."""
        if "F" in self.axes:
            sample = pixels.transpose(2, 0, 1).reshape(-1)
        elif "C" in self.axes:
            sample = pixels.transpose(["HWC".index(axis) for axis in self.axes.lstrip("N")])
        else:
            sample = pixels[..., 0]
        return np.ascontiguousarray(sample[None] if self.batched else sample)

    def single(self, sample: NDArray[Any]) -> NDArray[Any]:
        """Take off the batch axis of 1, if there is one.

        Raises:
            InputError: another rank than this layout's, or several samples.

        """
        axes = self.axes.lstrip("N")
        if self.batched and sample.ndim == len(self.axes) and len(sample) == 1:
            sample = sample[0]
        if sample.ndim != len(axes):
            raise InputError(
                f"an array of shape {sample.shape} is not one sample with the axes {axes}; give one sample"
            )
        return sample

    def unpack(self, sample: NDArray[Any]) -> NDArray[Any]:
        """Turn one sample, with or without its batch axis of 1, back into (H, W, C).

        Raises:
            InputError: as for `single`, or a flattened sample of which H and W are not known.

        """
        sample, axes = self.single(sample), self.axes.lstrip("N")
        if axes == "F":
            if not (self.channels and self.height and self.width) or sample.size % (self.height * self.width):
                raise InputError(f"{sample.size} values are not a flattened square picture; give the input as .npy")
            return sample.reshape(-1, self.height, self.width).transpose(1, 2, 0)
        return sample.transpose([axes.index(axis) for axis in "HWC"]) if "C" in axes else sample[..., None]


def counts_samples(shape: DeclaredShape | None) -> bool:
    """Whether an input's first axis counts samples, as far as one can tell; of an unknown shape, or one that no picture
    has, it is taken to.
    """
    if shape is None or not 1 <= len(shape) <= 4:
        return shape is None or len(shape) > 4
    return Layout.of(shape).batched


def _size(size: int | str | None) -> int | None:
    return int(size) if isinstance(size, (int, np.integer)) and size > 0 else None


def _axes(sizes: tuple[int | None, ...]) -> str:
    if len(sizes) == 4:
        return "NHWC" if sizes[3] in (1, 3) and sizes[1] not in (1, 3) else "NCHW"
    if len(sizes) == 3:
        if sizes[0] == 3:
            return "CHW"
        # An open or single first axis is a batch: of grey pictures, or of sequences with 1 or 3 features.
        return "HWC" if sizes[2] in (1, 3) and sizes[0] not in (1, None) else "NHW"
    if len(sizes) in (1, 2):
        return "NF"[-len(sizes) :]
    raise InputError(f"an input with {len(sizes)} axes is no picture; between one and four can be shown as one")


def _unflattened(features: int | None) -> tuple[int | None, int | None, int | None]:
    for channels in (1, 3):
        side = math.isqrt((features or 0) // channels)
        if features and side * side * channels == features:
            return channels, side, side
    return None, None, None
