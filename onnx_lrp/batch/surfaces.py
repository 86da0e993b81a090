"""Relevance as maps: of pictures with their channels summed, of everything else as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

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
        value.name or "": maps_of(value, np.broadcast_to(blank, feeds[value.name or ""].shape), whole).shape[1:]
        for value in explaining
    }


def maps_of(value: ir.Value, relevance: np.ndarray, whole: bool) -> np.ndarray:
    """The maps of a batch, float32 (samples, ...): one sample, where the input has no axis of samples.

    Args:
        value: an input of the model.
        relevance: its relevance.
        whole: keep the channels of pictures apart.
    """
    axes = Layout.of(dims(value) or relevance.shape).axes if 1 <= relevance.ndim <= 4 else "N"
    rows = relevance if axes.startswith("N") else relevance[None]
    at = axes.removeprefix("N").find("C")
    summed = rows if whole or at < 0 else rows.sum(axis=at + 1, dtype=np.float32)
    return np.asarray(summed, np.float32)
