"""The classes that come with labelled samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError


def no_pair() -> InputError:
    """Why an item cannot say its target."""
    return InputError("pairs='target' takes pairs (sample, class); give such, or leave pairs out")


def classes_of(label: Any, count: int) -> tuple[Any, ...]:
    """The class of each sample: its index, or its name.

    Args:
        label: what came with the samples: an index or a name, or an array or a list with one for each.
        count: how many samples there are.

    Raises:
        InputError: it is something else.
    """
    if hasattr(label, "detach"):
        label = label.detach().cpu().numpy()
    try:
        found = np.atleast_1d(np.asarray(label)).reshape(-1).tolist()
    except ValueError:  # ragged
        found = [None]
    if not all(isinstance(one, int | str) and not isinstance(one, bool) for one in found):
        raise InputError(f"a pair's second part must be a class, its index or its name, not {_shown(label)}")
    if len(found) != count:
        raise InputError(f"{count} sample{'s' * (count > 1)} came with {len(found)} classes; give one for each")
    return tuple(found)


def _shown(label: Any) -> str:
    if isinstance(label, np.ndarray):
        return f"an array of {label.dtype}, shape {label.shape}"
    return f"a {type(label).__name__}"
