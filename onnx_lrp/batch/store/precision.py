"""Maps as they are stored: 16 or 8 bits and a scale per row, or 32 bits; ``map = stored * scale``."""

from __future__ import annotations

from typing import Any

import numpy as np

STORED: dict[str, np.dtype[Any]] = {kind: np.dtype(kind) for kind in ("float16", "float32", "int8")}
_LEAST, _MOST = -126, 126  # exponents of scales: as float32, these and their inverses are normal numbers
_LEVELS = 127  # of int8, either side of 0


def stored_maps(maps: np.ndarray, precision: str) -> tuple[np.ndarray, np.ndarray | None]:
    """What is stored of float32 maps of shape (rows, ...), and the scales, float32 of shape (rows,) or None.

    Of float16, the scale is a power of two that brings the largest |R| of the row to [0.5, 1): relevance of 1e-7 would
    lose its digits otherwise. Of int8, it is the largest |R| over 127. Relevance below 1e-35 is cut. A row that is not
    finite becomes NaN (of int8, its scale does).
    """
    if precision == "float32":
        return np.ascontiguousarray(maps, np.float32), None
    stored = np.empty(maps.shape, STORED[precision])
    scales = np.empty(len(maps), np.float32)
    for i in range(len(maps)):  # row by row, so that what is worked on stays in the cache
        relevance = maps[i : i + 1]
        peak = max(float(relevance.max()), -float(relevance.min())) if relevance.size else 0.0
        if not np.isfinite(peak):
            scales[i], stored[i] = np.nan, 0 if precision == "int8" else np.nan
            continue
        scales[i] = _scale(peak, precision)
        scaled = relevance * (np.float32(1) / scales[i])
        stored[i : i + 1] = np.rint(scaled) if precision == "int8" else _halved(scaled)
    return stored, scales


def restored_maps(stored: np.ndarray, scales: np.ndarray | None) -> np.ndarray:
    """The maps, float32; the scales have the first axes of the stored maps, as far as they have axes."""
    if scales is None:
        return stored.astype(np.float32, copy=False)
    return np.asarray(stored * scales.reshape(scales.shape + (1,) * (stored.ndim - scales.ndim)))


def _scale(peak: float, precision: str) -> float:
    exponent = int(np.frexp(peak)[1]) if peak else 0
    exponent = min(max(exponent, _LEAST), _MOST)
    if precision == "float16":
        return float(2.0**exponent)
    return max(peak, 2.0 ** (_LEAST + 8)) / _LEVELS if peak else 1.0


def _halved(values: np.ndarray) -> np.ndarray:
    """``values.astype(float16)`` bit for bit, of finite float32 values that fit, in less than half the time."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    size = bits & np.uint32(0x7FFFFFFF)
    half = size >> np.uint32(13)
    half &= np.uint32(1)  # half to even
    half += size
    half += np.uint32((0xFFF - (112 << 23)) % 2**32)  # 112: between the exponents of both
    half >>= np.uint32(13)
    # Below the least normal number of float16, whose steps are those of float32 beside 0.5
    small = (size.view(np.float32) + np.float32(0.5)).view(np.uint32) - np.uint32(0x3F000000)
    np.copyto(half, small, where=size < np.uint32(113 << 23))
    half |= (bits >> np.uint32(16)) & np.uint32(0x8000)
    return half.astype(np.uint16).view(np.float16)
