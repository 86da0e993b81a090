"""From a picture to a model's input and back: size, colour channels, axis order, and x = (pixel * scale - mean) / std.

An ONNX file does not say how its training prepared pictures, so this is chosen by name (`PREPROCESSINGS`) or by
numbers. The axis order and the size are read from the model's input shape (`Layout`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..text import nearest
from .layout import DeclaredShape, Layout

Channels = Literal["rgb", "bgr", "grey"]
Fit = Literal["crop", "stretch"]
PictureSize = tuple[int, int] | Literal["native"]  # height and width, or the picture's own
SIZE_KEYS = ("imgsz", "image_size", "input_size")  # what exporters call it in a model's metadata
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its pictures: x = (pixel * scale - mean) / std, with pixels from 0 to 255.

    ``mean`` and ``std`` hold one number for all channels, or one per channel in the order of ``channels``. How many
    channels there are is the model's to say; ``channels`` decides only where the model's shape leaves it open.
    ``fit`` "crop" keeps the proportions: the shorter side fits exactly and the longer one loses its ends equally.
    ``size`` counts where the model leaves height and width open; None refuses to guess.

    Raises:
        InputError: mean or std of another length, a zero scale or std, a number that is not finite, an unknown word.

    """

    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    channels: Channels = "rgb"
    fit: Fit = "crop"
    size: PictureSize | None = "native"

    def __post_init__(self) -> None:
        _check_word("channels", self.channels, get_args(Channels))
        _check_word("fit", self.fit, get_args(Fit))
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name, numbers in (("scale", (self.scale,)), ("mean", self.mean), ("std", self.std)):
            if len(numbers) not in ((1,) if self.channels == "grey" else (1, 3)):
                raise InputError(f"{name} has {len(numbers)} numbers; give one for all channels, or one per channel")
            if not all(math.isfinite(number) for number in numbers):
                raise InputError(f"{name} {numbers} is not finite; give plain numbers")
            if name != "mean" and 0 in numbers:
                raise InputError(f"{name} {numbers} must not be zero; leave it out or give 1")
        widest = (255 * abs(self.scale) + max(map(abs, self.mean))) / min(map(abs, self.std))
        if widest > float(np.finfo(np.float32).max):
            raise InputError("scale, mean and std together lead beyond float32; give smaller numbers")

    @classmethod
    def create(
        cls,
        name: str | Preprocessing = "raw",
        *,
        scale: float | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channels: str | None = None,
        fit: str | None = None,
    ) -> Preprocessing:
        """Take the preset ``name`` (see `PREPROCESSINGS`), or another one, and replace what is given explicitly.

        Raises:
            InputError: an unknown preset, or as for the class.

        """
        if isinstance(name, str):
            _check_word("preprocessing", name, tuple(PREPROCESSINGS))
        try:
            given = {
                "scale": None if scale is None else float(scale),
                "mean": None if mean is None else tuple(map(float, mean)),
                "std": None if std is None else tuple(map(float, std)),
            }
        except (TypeError, ValueError):
            raise InputError(f"scale {scale!r}, mean {mean!r} and std {std!r} must be numbers, e.g. (0.5,)") from None
        changes: dict[str, Any] = {**given, "channels": channels, "fit": fit}
        base = PREPROCESSINGS[name] if isinstance(name, str) else name
        return replace(base, **{key: value for key, value in changes.items() if value is not None})

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Preprocessing:
        """From its fields as JSON keeps them, with lists for tuples.

        Raises:
            InputError: a field that there is none of, or as for the class.

        """
        try:
            fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
            return cls(**fields)
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"no preprocessing: {error}") from None

    def apply(self, picture: NDArray[Any], shape: DeclaredShape) -> NDArray[np.float32]:
        """Turn a picture (H, W), (H, W, 1) or (H, W, 3), 0 to 255, into one float32 input of the model.

        The result has the rank of ``shape``, with a batch axis of 1 where it has one.

        Raises:
            InputError: not a picture, or a shape that no picture fits.

        """
        layout = Layout.of(shape)
        pixels = self.resized(picture, shape)
        if self.channels == "bgr":
            pixels = pixels[..., ::-1]
        return layout.pack(self._normalised(pixels))

    def resized(self, picture: NDArray[Any], shape: DeclaredShape) -> NDArray[np.float32]:
        """Return what the model gets to see of a picture, float32 (H, W, 1) or (H, W, 3) in RGB, from 0 to 255.

        Raises:
            InputError: as for `apply`.

        """
        layout = Layout.of(shape)
        count = self._count(layout, shape)
        pixels = _recoloured(_checked(picture), count)
        height, width = layout.height or self._open(pixels, 0), layout.width or self._open(pixels, 1)
        return _scaled(pixels, height, width, self.fit)

    def _open(self, pixels: NDArray[Any], axis: int) -> int:
        """The size along an axis that the model leaves open."""
        if self.size is None:
            raise InputError(
                "the model leaves the picture's size open: say which (--size 224, --size 480x640 for height and width, "
                "or --size native for the picture's own)"
            )
        return int(pixels.shape[axis]) if self.size == "native" else self.size[axis]

    def bounds(self, shape: DeclaredShape) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the lowest and the highest value an input can take, float32, broadcastable to the model's input.

        They are what black and white pixels become, per channel: the l and h of the z^B rule.

        Raises:
            InputError: a shape that no picture fits.

        """
        layout = Layout.of(shape)
        count, height, width = self._count(layout, shape), 1, 1
        if "F" in layout.axes:  # there, a value per channel has no axis of its own to be broadcast along
            height, width = layout.height or 1, layout.width or 1
        black, white = (layout.pack(self._normalised(np.full((height, width, count), p))) for p in (0.0, 255.0))
        return np.minimum(black, white), np.maximum(black, white)

    def display(self, x: NDArray[Any], shape: DeclaredShape | None = None) -> NDArray[np.uint8]:
        """Undo `apply` for showing: one input sample becomes uint8 (H, W, 3) RGB.

        ``shape`` is the model's input shape; without it the axis order is read from ``x`` alone.

        Raises:
            InputError: not one sample of such a shape, or not one or three channels.

        """
        values = Layout.of(x.shape if shape is None else shape).unpack(x)
        if values.shape[2] not in (1, 3):
            raise InputError(f"an input with {values.shape[2]} channels cannot be shown as a picture")
        pixels = (values * self._per_channel(self.std, values) + self._per_channel(self.mean, values)) / self.scale
        pixels = np.clip(np.nan_to_num(pixels), 0, 255).round().astype(np.uint8)
        if self.channels == "bgr":
            pixels = pixels[..., ::-1]
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))

    def _normalised(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        # float64 inside: every float32 result is then the nearest one, and never beyond what `bounds` says.
        mean, std = self._per_channel(self.mean, pixels), self._per_channel(self.std, pixels)
        return ((pixels.astype(np.float64) * self.scale - mean) / std).astype(np.float32)

    def _per_channel(self, numbers: tuple[float, ...], pixels: NDArray[Any]) -> NDArray[np.float64]:
        if len(numbers) not in (1, pixels.shape[2]):
            raise InputError(f"{len(numbers)} means or stds for a model with 1 channel; give one, or use 'zero-one'")
        return np.array(numbers)

    def _count(self, layout: Layout, shape: DeclaredShape) -> int:
        count = layout.channels or (1 if self.channels == "grey" else 3)
        if "F" in layout.axes and not layout.height:
            raise InputError(f"no picture fits the input shape {tuple(shape)}: not a flattened square; give an .npy")
        if count not in (1, 3):
            raise InputError(f"no picture fits the input shape {tuple(shape)}: {count} channels; give an .npy")
        return count


def spatial(relevance: NDArray[Any], shape: DeclaredShape, size: tuple[int, int] | None = None) -> NDArray[Any]:
    """Sum one sample's relevance over its channels: (H, W), or (1, N) for a flat input.

    ``relevance`` has the axes of the model's input ``shape``, with or without the batch axis of 1. A flat input that
    stands for a picture of ``size`` (H, W) is folded to it.

    Raises:
        InputError: another rank, several samples, more than four axes, or a size that does not fit.

    """
    layout = Layout.of(shape)
    if "F" in layout.axes:
        flat = layout.single(relevance)
        size = size or (1, flat.size)
        if min(size) < 1 or flat.size % math.prod(size):
            raise InputError(f"{flat.size} values do not fold to {size[0]} x {size[1]}; leave the size out")
        channels_last = flat.reshape(-1, *size).transpose(1, 2, 0)
    else:
        channels_last = layout.unpack(relevance)
    summed: NDArray[Any] = channels_last.sum(axis=2)
    return summed


def _check_word(what: str, word: str, known: tuple[str, ...]) -> None:
    if word not in known:
        raise InputError(f"unknown {what} {word!r}{nearest(word, known)}; choose from {', '.join(known)}")


def _checked(picture: NDArray[Any]) -> NDArray[np.float32]:
    pixels = np.asarray(picture)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size or pixels.dtype.kind not in "biuf":
        raise InputError(
            f"a picture is a number array of (H, W, 1) or (H, W, 3), not {pixels.dtype} {np.shape(picture)}"
        )
    if not (pixels.min() >= 0 and pixels.max() <= 255):  # said this way round, NaN fails too
        raise InputError("the picture's pixels must all be from 0 to 255; scale them first")
    return pixels.astype(np.float32, copy=False)


def _recoloured(pixels: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    if pixels.shape[2] == count:
        return pixels
    if count == 3:
        return np.repeat(pixels, 3, axis=2)
    return (pixels @ np.array(LUMINANCE, np.float32))[..., None]


def named_size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    """The height and width that a model's metadata names, as ``[640, 640]`` or ``224``, if they do."""
    for key in SIZE_KEYS:
        found = [int(n) for n in re.findall(r"\d+", metadata.get(key, ""))][-2:]
        if found and min(found) > 0:
            return found[0], found[-1]
    return None


def _scaled(pixels: NDArray[np.float32], height: int, width: int, fit: Fit) -> NDArray[np.float32]:
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    box = _centre(pixels.shape[0], pixels.shape[1], height, width) if fit == "crop" else None
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., c])) for c in range(pixels.shape[2])]
    scaled = [plane.resize((width, height), Image.Resampling.BILINEAR, box=box) for plane in planes]
    return np.stack([np.asarray(plane, np.float32) for plane in scaled], axis=2)


def _centre(height: int, width: int, to_height: int, to_width: int) -> tuple[float, float, float, float]:
    """Return (left, top, right, bottom) of the largest centred box with the target's proportions.

    Scaling the box alone gives what scaling everything and then cropping gives, without the in-between picture, which
    would be gigantic for a picture of 1 x 1000000 pixels.
    """
    scale = max(to_height / height, to_width / width)
    box_height, box_width = min(height, to_height / scale), min(width, to_width / scale)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, min(width, left + box_width), min(height, top + box_height)


PREPROCESSINGS: dict[str, Preprocessing] = {
    "raw": Preprocessing(),
    "zero-one": Preprocessing(1 / 255),
    "signed": Preprocessing(1 / 255, mean=(0.5,), std=(0.5,)),
    "imagenet": Preprocessing(1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "caffe": Preprocessing(mean=(104.0, 117.0, 123.0), channels="bgr"),
}
