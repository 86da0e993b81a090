"""Methods that need no gradient: occlusion, and random numbers to be no worse than."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from ..errors import InputError
from ..model.prepared import Prepared
from .averaging import own_generator
from .grids import Grid
from .predictor import MOST_NUMBERS, Predict, is_float, single_input

PATCHES = 8  # sides of a patch that fit into the input's

Patch = tuple[slice, ...]  # of a sample


def occlusion(prepared: Prepared, predict: Predict) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """By how much the logit falls where a patch is replaced by the mean (Zeiler & Fergus 2014, section 4.2).

    A patch has an eighth of the input's side, and the next one begins half a patch further; it is replaced by each
    channel's mean over the sample. An element gets the mean fall of the patches that cover it. If a sample is a row of
    features, each of them is a patch, and is replaced by its mean over the inputs given.

    Args:
        prepared: the model.
        predict: its logits.

    Raises:
        InputError: from the function: the inputs are ids, or one row of features, which have no mean.
    """

    def attribute(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        inputs = np.asarray(inputs)
        grid = Grid.of(prepared, inputs.shape)
        fills = _means(inputs, grid, prepared)
        whole = predict(inputs)
        found = [
            _falls(x, fill, list(_patches(inputs.shape, grid)), int(target), z[int(target)], predict)
            for x, fill, target, z in zip(inputs, fills, np.asarray(targets), whole)
        ]
        return np.stack(found)

    return attribute


def random_attribution(seed: int = 0) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Normal numbers, which depend on the sample, its target and the seed."""

    def one(x: np.ndarray, target: int) -> np.ndarray:
        return own_generator(x, seed + 2**16 * target).normal(size=x.shape)

    return lambda inputs, targets: np.stack([one(x, int(t)) for x, t in zip(np.asarray(inputs), np.asarray(targets))])


def _means(inputs: np.ndarray, grid: Grid | None, prepared: Prepared) -> np.ndarray:
    """What stands in for the elements of each sample, of the inputs' shape and dtype."""
    if grid is not None:
        means = inputs.mean(grid.space, keepdims=True, dtype=np.float64)
    elif not is_float(single_input(prepared)):
        raise InputError(f"{prepared.source}: occlusion replaces by the mean, and ids have none")
    elif len(inputs) < 2:
        raise InputError(
            f"{prepared.source}: occlusion replaces a feature by its mean over the inputs; give more than one"
        )
    else:
        means = inputs.mean(0, keepdims=True, dtype=np.float64)
    rounded = means if inputs.dtype.kind == "f" else np.rint(means)
    return np.broadcast_to(rounded, inputs.shape).astype(inputs.dtype)


def _patches(shape: tuple[int, ...], grid: Grid | None) -> Iterator[Patch]:
    """The patches of a sample of a batch of this shape, which cover it."""
    if grid is None:
        yield from (tuple(slice(i, i + 1) for i in place) for place in np.ndindex(*shape[1:]))
        return
    sides = [max(1, round(shape[axis] / PATCHES)) for axis in grid.space]
    starts = [
        sorted({*range(0, shape[axis] - side, max(1, side // 2)), shape[axis] - side})
        for axis, side in zip(grid.space, sides)
    ]
    for corner in product(*starts):
        patch = [slice(None)] * (len(shape) - 1)
        for axis, start, side in zip(grid.space, corner, sides):
            patch[axis - 1] = slice(start, start + side)
        yield tuple(patch)


def _falls(
    x: np.ndarray, fill: np.ndarray, patches: list[Patch], target: int, whole: float, predict: Predict
) -> np.ndarray:
    """The mean fall over the patches that cover an element, float64 of one sample's shape."""
    total, covers = np.zeros(x.shape), np.zeros(x.shape)
    size = max(1, MOST_NUMBERS // x.size)
    for start in range(0, len(patches), size):
        part = patches[start : start + size]
        copies = np.repeat(x[None], len(part), 0)
        for copy, patch in zip(copies, part):
            copy[patch] = fill[patch]
        for z, patch in zip(predict(copies)[:, target], part):
            total[patch] += whole - z
            covers[patch] += 1
    return total / covers
