"""Bounds of z^B from how pictures are prepared, or as they are given."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..pictures.preprocessing import Preprocessing
from .naming import known_name, parameters_of
from .toml import SUFFIX


def from_preprocessing(composite: str, preprocessing: Preprocessing) -> str:
    """The composite with the bounds per channel, where it takes some and has none: black and white pixels."""
    channels = max(len(preprocessing.mean), len(preprocessing.std))
    low, high = (b.reshape(-1).tolist() for b in preprocessing.bounds((None, channels, None, None)))
    return with_bounds(composite, low, high)


def with_bounds(composite: str, low: Sequence[float] | None, high: Sequence[float] | None) -> str:
    """The composite with these bounds, where it takes some and has none."""
    name, _, settings = composite.partition(":")
    if composite.endswith(SUFFIX):
        return composite
    if "low" not in parameters_of(known_name(name.strip())) or re.search(r"\b(low|high)\s*=", settings):
        return composite
    bounds = [f"{key}={'/'.join(map(str, b))}" for key, b in (("low", low), ("high", high)) if b is not None]
    return f"{name}:{','.join(filter(None, (settings, *bounds)))}"
