"""``--target`` and ``--against`` as they were typed: indices, slices, labels, or a file with a mask or weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TargetError
from ..pictures.labels import index_of
from ..pictures.reading import read_input
from ..targets import Region
from ..text import printable
from ..writing import shown


def meant(target: Any, labels: Sequence[str] | None) -> Any:
    """The target; of a label the class's index. ``labels`` is None where a command takes none.

    Raises:
        TargetError: no such label, or two classes share it; a file that holds no array.
        InputError: a file that cannot be read.
    """
    if not isinstance(target, str):
        return target
    if target.lower().endswith(".npy"):
        content = read_input(Path(target))
        if not isinstance(content, np.ndarray):
            raise TargetError(f"{shown(target)}: a region is one array, a mask or weights, saved as .npy")
        return Region(content)
    return _labelled("target", target, labels)


def meant_against(text: str | None, labels: Sequence[str] | None) -> list[int] | None:
    """The classes of ``--against``, with commas between them; a label may hold commas itself.

    Raises:
        TargetError: no such label, or two classes share it.
    """
    if text is None:
        return None
    return [_class(part.strip(), labels) for part in ([text] if text in (labels or ()) else text.split(","))]


def _class(text: str, labels: Sequence[str] | None) -> int:
    try:
        return int(text)
    except ValueError:
        return _labelled("against", text, labels)


def _labelled(what: str, text: str, labels: Sequence[str] | None) -> int:
    if labels:
        return index_of(text, labels, what)
    remedy = "give the class's number" if labels is None else "to name a class, give all names (--labels FILE)"
    raise TargetError(f"{what} {printable(text)!r} is no index; {remedy}")
