"""Relevance as maps: of pictures with their channels summed, of everything else as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from ..errors import NumericalError
from ..model.graph import dims
from ..pictures.layout import Layout


def map_shapes(
    explaining: Sequence[ir.Value], feeds: Mapping[str, np.ndarray], whole: bool
) -> dict[str, tuple[int, ...]]:
    """The shape of a map of one sample, by the name of every input that gets relevance.

    Args:
        explaining: these inputs.
        feeds: one sample, or several.
        whole: keep the channels of pictures apart.
    """
    blank = np.float32(0)
    return {
        value.name or "": _summed(value, np.broadcast_to(blank, feeds[value.name or ""].shape), whole).shape[1:]
        for value in explaining
    }


def maps_of(value: ir.Value, relevance: np.ndarray, whole: bool) -> np.ndarray:
    """The maps of a batch, float32 (samples, ...): one sample, where the input has no axis of samples.

    Args:
        value: an input of the model.
        relevance: its relevance.
        whole: keep the channels of pictures apart.

    Raises:
        NumericalError: they are too large for float32.
    """
    return as_kept(_summed(value, relevance, whole), "its relevance")


def as_kept(values: np.ndarray, what: str) -> np.ndarray:
    """The same as float32, in which maps and scores are kept.

    Args:
        values: finite.
        what: to call them in messages.

    Raises:
        NumericalError: they are too large for it.
    """
    with np.errstate(over="ignore"):
        kept = np.asarray(values, np.float32)
    if not np.isfinite(kept).all():
        raise NumericalError(f"{what} goes beyond 3.4e38, and so does not fit into float32; scale the input down")
    return kept


def _summed(value: ir.Value, relevance: np.ndarray, whole: bool) -> np.ndarray:
    axes = Layout.of(dims(value) or relevance.shape).axes if 1 <= relevance.ndim <= 4 else "N"
    rows = relevance if axes.startswith("N") else relevance[None]
    at = axes.removeprefix("N").find("C")
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is looked for later
        return rows if whole or at < 0 else np.asarray(rows.sum(axis=at + 1, dtype=np.float32))
