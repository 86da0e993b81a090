"""A target that is more than one element: a slice, a mask, a weighting, or a measure of the whole tensor."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any

import numpy as np

from ..errors import TargetError
from .indices import Target

Where = int | slice | EllipsisType | tuple[Any, ...] | np.ndarray
Weighing = Callable[[np.ndarray], np.ndarray]  # one sample's output -> weights of its shape


class Region:
    """Explains Σ w z: z is one sample's output, w weights of its shape. Relevance starts with w ⊙ z (or w, for the seed
    ``"one"``), so that the sum over the region is explained.

    For example, of a segmentation (classes, height, width)::

        Region((3, slice(None), slice(None)))   # all of class 3
        Region.predicted(3)                     # class 3 where it is the largest
        Region(mask)                            # a boolean array, the elements that count
        Region(weights)                         # numbers of the output's shape

    Args:
        where: an index expression into one sample's output (ints, slices, ``...``), a boolean mask, or weights.
    """

    def __init__(self, where: Where) -> None:
        if isinstance(where, np.ndarray) and where.dtype.kind not in "bfiu":
            raise TargetError(f"a region is a slice, a mask or weights, not an array of {where.dtype}")
        self._name = _shown(where)
        self._weigh: Weighing = _Weights(where) if isinstance(where, np.ndarray) else _Slice(where)

    @classmethod
    def _of(cls, name: str, weigh: Weighing) -> Region:
        region = cls.__new__(cls)
        region._name, region._weigh = name, weigh
        return region

    @classmethod
    def predicted(cls, index: int, axis: int = 0) -> Region:
        """One class where it is the largest: the area that a segmentation gives it.

        Args:
            index: the class.
            axis: where the classes are in one sample's output.
        """
        return cls._of(f"predicted({index})", _Predicted(index, axis))

    @classmethod
    def best(cls, index: int, axis: int = -1) -> Region:
        """One class where its score is the highest: that of the best box of a detector.

        Args:
            index: the class.
            axis: where the classes are in one sample's output.
        """
        return cls._of(f"best({index})", _Best(index, axis))

    @classmethod
    def toward(cls, vector: Any, measure: str = "cosine") -> Region:
        """How near an embedding is to a vector. Where the measure is not linear, its linearisation at z is explained:
        relevance starts with z ⊙ the gradient.

        Args:
            vector: of the output's size.
            measure: ``"dot"``, ``"cosine"``, or ``"distance"`` (minus the Euclidean one).
        """
        if measure not in NEARNESS:
            raise TargetError(f"unknown measure {measure!r}; choose one of {', '.join(NEARNESS)}")
        return cls._of(f"toward({measure})", _Toward(np.asarray(vector, np.float64), measure))

    def weights(self, logits: np.ndarray) -> np.ndarray:
        """w for outputs (samples, ...): the same shape, float64.

        Raises:
            TargetError: the region does not fit the output, or is empty.
        """
        found = np.stack([self._fitted(sample) for sample in np.asarray(logits, np.float64)])
        if not found.reshape(len(found), -1).any(1).all():
            raise TargetError(f"the region {self} is empty: no element of the output is in it")
        return found

    def _fitted(self, sample: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(np.broadcast_to(self._weigh(sample), sample.shape), np.float64)
        except (IndexError, ValueError):
            raise TargetError(f"the region {self} does not fit an output of shape {sample.shape}") from None

    def __str__(self) -> str:
        return self._name


class _Slice:
    def __init__(self, where: Any) -> None:
        self.where = where

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        parts = self.where if isinstance(self.where, tuple) else (self.where,)
        kept = [part for part in parts if part is not Ellipsis]
        for part, n in zip(kept, sample.shape):
            if isinstance(part, slice) and any(b is not None and not -n <= b <= n for b in (part.start, part.stop)):
                raise IndexError("out of range")
        w = np.zeros(sample.shape)
        w[self.where] = 1.0
        return w


class _Weights:
    def __init__(self, weights: np.ndarray) -> None:
        self.given = weights.astype(np.float64)

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        if not np.isfinite(self.given).all():
            raise ValueError("not finite")
        return self.given.reshape(sample.shape) if self.given.size == sample.size else self.given


class _Predicted:
    def __init__(self, index: int, axis: int) -> None:
        self.index, self.axis = index, axis

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        own = np.arange(sample.shape[self.axis]) == range(sample.shape[self.axis])[self.index]
        shape = [1] * sample.ndim
        shape[self.axis] = -1
        winner = sample.argmax(self.axis) == range(sample.shape[self.axis])[self.index]
        return np.asarray(own.reshape(shape) * np.expand_dims(winner, self.axis))


class _Best(_Predicted):
    def __call__(self, sample: np.ndarray) -> np.ndarray:
        scores = np.moveaxis(sample, self.axis, 0)[self.index]
        w = np.zeros(np.moveaxis(sample, self.axis, 0).shape)
        w[self.index].reshape(-1)[scores.argmax()] = 1.0
        return np.moveaxis(w, 0, self.axis)


NEARNESS = ("cosine", "distance", "dot")


class _Toward:
    def __init__(self, vector: np.ndarray, measure: str) -> None:
        self.vector, self.measure = vector, measure

    def __call__(self, sample: np.ndarray) -> np.ndarray:
        """The gradient of the measure."""
        z, v = sample, self.vector.reshape(sample.shape)
        if self.measure == "dot":
            return v
        if self.measure == "distance":
            return np.asarray(v - z) / max(float(np.linalg.norm(v - z)), 1e-30)
        size = max(float(np.linalg.norm(z)), 1e-30)
        direction = v / max(float(np.linalg.norm(v)), 1e-30)
        return np.asarray((direction - float((direction * z).sum()) * z / size**2) / size)


AnyTarget = Target | Region | slice | tuple[Any, ...]


def as_region(target: AnyTarget) -> Region | None:
    """The region that a target is, if it is one: also a tuple with slices in it."""
    if isinstance(target, Region):
        return target
    parts = target if isinstance(target, tuple) else (target,)
    return Region(target) if any(isinstance(part, slice | EllipsisType) for part in parts) else None  # type: ignore[arg-type]


def _shown(where: Any) -> str:
    if isinstance(where, np.ndarray):
        return f"{'mask' if where.dtype.kind == 'b' else 'weights'} of shape {where.shape}"
    parts = where if isinstance(where, tuple) else (where,)
    return ",".join(_part(part) for part in parts)


def _part(part: Any) -> str:
    if part is Ellipsis:
        return "..."
    if not isinstance(part, slice):
        return str(part)
    ends = ["" if n is None else str(n) for n in (part.start, part.stop)]
    return ":".join(ends) + (f":{part.step}" if part.step is not None else "")
