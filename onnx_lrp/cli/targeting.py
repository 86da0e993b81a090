"""``--target`` as it was typed: an index, slices, a label, or a file with a mask or weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TargetError
from ..pictures.reading import read_input
from ..targets import Region
from ..text import printable
from ..writing import shown


def meant(target: Any, labels: Sequence[str]) -> Any:
    """The target; of a label the class's index.

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
    places = [i for i, name in enumerate(labels) if name == target]
    if not labels:
        raise TargetError(f"target {printable(target)!r} is no index; to name a class, give all names (--labels FILE)")
    if len(places) != 1:
        several = f"classes {', '.join(map(str, places))} share" if places else "no class has"
        raise TargetError(f"{several} the label {printable(target)!r}; give an index")
    return places[0]
