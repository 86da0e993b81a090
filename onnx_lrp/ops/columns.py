"""Columns of tables as scikit-learn's exporter reads them: categories, numbers or words, and missing values."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Route
from .routes import Pick, SelectMap

TABLES = "ai.onnx.ml"
UNKNOWN = -1.0  # the number of a word that no encoder knows


class Vocabulary:
    """Numbers for words, since backends compute with numbers only: one for each word that an encoder knows."""

    def __init__(self) -> None:
        self._numbers: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, words: Sequence[str]) -> np.ndarray:
        """The words' numbers, new ones if they have none."""
        with self._lock:
            return np.array([self._numbers.setdefault(word, float(len(self._numbers))) for word in words])

    def numbers(self, words: np.ndarray) -> np.ndarray:
        """The number of each word, float64; that of unknown ones is negative."""
        flat = [self._numbers.get(str(word), UNKNOWN) for word in words.reshape(-1)]
        return np.array(flat, np.float64).reshape(words.shape)


VOCABULARY = Vocabulary()


@dataclass(frozen=True, eq=False)
class CategoriesMap:
    """1 at the place of the category, in a new last axis, and 0 elsewhere."""

    categories: np.ndarray

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The vectors."""
        column = xp.reshape(xp.truncate(operands.value(0)), (*operands.shape(0), 1))
        return [xp.where(xp.abs(column - xp.asarray(self.categories)) < 0.5, 1.0, 0.0)]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """The sum over a vector."""
        return [xp.sum(relevance[0], [len(operands.shape(0))])]


@dataclass(frozen=True, eq=False)
class ImputeMap:
    """The value, or a constant where it is missing."""

    fills: np.ndarray
    missing: float

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The values, none missing."""
        return [xp.where(self._is_missing(xp, operands), xp.asarray(self.fills), operands.value(0))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance of the values; what is missing has none, the constant absorbs it."""
        return [xp.where(self._is_missing(xp, operands), 0.0, relevance[0])]

    def _is_missing(self, xp: Backend, operands: Operands) -> Array:
        x = operands.value(0)
        if np.isnan(self.missing):  # which is neither below 0 nor above -1
            return xp.where(x < 0.0, 0.0, xp.where(x > -1.0, 0.0, 1.0)) > 0.5
        return xp.abs(x - self.missing) < 1e-6 * max(abs(self.missing), 1.0)


@register("OneHotEncoder", domain=TABLES)
def one_hot_encoder(
    node: Site, cats_int64s: Sequence[int] | None = None, cats_strings: Sequence[str] | None = None, zeros: int = 1
) -> Route:
    """A category's one-hot vector."""
    if cats_strings:
        return Route(CategoriesMap(VOCABULARY.add([str(word) for word in cats_strings])), copies=False)
    return Route(CategoriesMap(np.asarray(cats_int64s or (), np.float64)), copies=False)


@register("ArrayFeatureExtractor", domain=TABLES)
def feature_extractor(node: Site) -> Route:
    """Constant columns of the last axis."""
    if node.variable != (0,):
        raise Unsupported("the indices depend on the data", "only constant ones can be explained")

    def picks(operands: Operands) -> list[list[Pick]]:
        return [[(len(operands.shape(0)) - 1, np.asarray(operands.constant(1), np.int64).reshape(-1))]]

    return Route(SelectMap(picks))


@register("Imputer", domain=TABLES)
def imputer(
    node: Site,
    imputed_value_floats: Sequence[float] | None = None,
    imputed_value_int64s: Sequence[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> Route:
    """Constants in place of missing values, one for all columns or one for each."""
    if not imputed_value_floats:
        raise Unsupported("fills integers in", "impute floats")
    fills = np.asarray(imputed_value_floats, np.float64)
    return Route(ImputeMap(fills, float(replaced_value_float)), reads=(0,), adds_negative=True, copies=False)
