"""Indices cut in two: what is read, and what NumPy finds in that, are together what NumPy finds in all of it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from onnx_lrp.batch.indexing import cut_index

SHAPE = (10, 4, 5, 3)
ALL = np.arange(np.prod(SHAPE)).reshape(SHAPE)
ROWS = np.random.default_rng(0).permutation(50)[:10]
STORED = np.full((50, *SHAPE[1:]), -1)
STORED[ROWS] = ALL


def an_index(rng: random.Random) -> Any:
    """With parts of all kinds; a few are wrong."""
    key: list[Any] = []
    sizes = list(SHAPE[: rng.randint(0, 4)])
    while sizes:
        size = sizes.pop(0)
        place = lambda size=size: rng.randint(-size, size - 1)  # noqa: E731
        bound = lambda size=size: rng.choice([None, rng.randint(-size - 2, size + 2)])  # noqa: E731
        kinds = {
            "slice": lambda: slice(bound(), bound(), rng.choice([None, 1, 2, 3, -1, -2, -7])),
            "int": place, "number": lambda: np.int32(place()), "array": lambda: np.array(place()),
            "list": lambda: [place() for _ in range(rng.choice([0, 1, 2, 2, 2]))],
            "table": lambda: np.array([[place(), place()]] * rng.choice([1, 3])),
            "mask": lambda size=size: np.array([rng.random() < 0.5 for _ in range(size)]),
            "beyond": lambda size=size: rng.choice([size, -size - 1]) if rng.random() < 0.1 else place(),
        }  # fmt: skip
        if sizes and rng.random() < 0.1:
            both = (size, sizes.pop(0))
            key.append(np.array([rng.random() < 0.3 for _ in range(both[0] * both[1])]).reshape(both))
        else:
            key.append(kinds[rng.choice([*kinds, "slice", "slice"])]())
    for extra, share in ((None, 0.2), (True, 0.1)):
        if rng.random() < share:
            key.insert(rng.randint(0, len(key)), extra)
    if rng.random() < 0.4:
        front = rng.randint(0, len(key)) if rng.random() < 0.3 else 0
        key.insert(front, ...)
    return tuple(key)


def found(key: Any) -> np.ndarray | str:
    try:
        rows, at, within = cut_index(key, ROWS, SHAPE)
    except IndexError as error:
        return str(error)
    assert len(set(rows.tolist())) == len(rows)
    return np.asarray(STORED[rows][(slice(None), *at)][within])


@pytest.mark.parametrize("seed", range(4))
def test_any_index(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1000):
        key = an_index(rng)
        try:
            wanted: np.ndarray | str = np.asarray(ALL[key])
        except IndexError as error:
            wanted = str(error)
        own = found(key)
        if isinstance(own, str) and not isinstance(wanted, str) and not wanted.size:
            continue  # of an empty result, NumPy looks at no place
        np.testing.assert_array_equal(own, wanted, strict=True, err_msg=repr(key))
