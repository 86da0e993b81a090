"""Targets and seeds."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_lrp import TargetError
from onnx_lrp.targets import resolve, seed_relevance

LOGITS = np.array([[1.0, 5.0, 2.0], [7.0, 0.0, 3.0]])
MAPS = np.arange(24.0).reshape(2, 3, 2, 2)


@pytest.mark.parametrize(
    ("target", "logits", "expected"),
    [
        (None, LOGITS, [1, 0]),
        (2, LOGITS, [2, 2]),
        (np.int32(2), LOGITS, [2, 2]),
        ([2, 0], LOGITS, [2, 0]),
        (np.array([2, 0]), LOGITS, [2, 0]),
        ((2,), LOGITS, [2, 2]),
        ((1, 0, 1), MAPS, [5, 5]),
        ([(1, 0, 1), (2, 1, 1)], MAPS, [5, 11]),
        (11, MAPS, [11, 11]),
    ],
)
def test_resolve(target: object, logits: np.ndarray, expected: list[int]) -> None:
    assert resolve(target, logits).tolist() == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "logits"),
    [(3, LOGITS), (-1, LOGITS), (1.5, LOGITS), ("cat", LOGITS), ([0, 1, 2], LOGITS), ([[0, 1], [2]], LOGITS),
     ((3, 0, 0), MAPS), ((0, 0), MAPS), (True, LOGITS), ([0, 99], LOGITS)],
)  # fmt: skip
def test_resolve_refuses(target: object, logits: np.ndarray) -> None:
    with pytest.raises(TargetError):
        resolve(target, logits)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "logits", "said"),
    [
        ([0] * 400 + [9] * 600, np.zeros((1000, 3)), "target 9 is out of range: the output has 3 elements, 0 to 2"),
        (np.int64(-4), LOGITS, "target -4 is out of range: the output has 3 elements, 0 to 2"),
        ([(0, 1, 1), (1, 2, 0)], MAPS, r"target \[1, 2, 0\] is out of range for an output of shape \(3, 2, 2\)"),
        ([5] * 1000, LOGITS, r"target \[5, .{76} fits neither one output"),
        ([0.5] * 1000, LOGITS, r"one per sample, not \[0.5, .{74}$"),
        ([[0]] * 500 + [[0, 1]], LOGITS, r"the same length, not \[\[0\], .{74}$"),
    ],
)
def test_of_many_targets_a_wrong_one_is_named(target: object, logits: np.ndarray, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        resolve(target, logits)  # type: ignore[arg-type]


def test_seeds() -> None:
    index = np.array([1, 2])
    assert seed_relevance("logit", index, LOGITS).tolist() == [[0, 5, 0], [0, 0, 3]]
    assert seed_relevance("one", index, LOGITS).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert seed_relevance(LOGITS + 1, index, LOGITS).tolist() == (LOGITS + 1).tolist()


@pytest.mark.parametrize("seed", ["two", np.ones(3), np.full((2, 3), np.nan), np.array([["a"] * 3] * 2)])
def test_seeds_refused(seed: object) -> None:
    with pytest.raises(TargetError):
        seed_relevance(seed, np.array([0, 0]), LOGITS)  # type: ignore[arg-type]
