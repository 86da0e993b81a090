"""Names of classes: read from a file, shipped (ImageNet's), and looked up by what somebody typed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from ..errors import InputError, TargetError
from ..text import printable
from .lines import read_lines

IMAGENET = "imagenet"  # what the names that ship are called
MOST_NEAR = 3  # near misses that are shown
LabelSource = str | os.PathLike[str] | Sequence[str] | None


def read_labels(given: LabelSource) -> tuple[str, ...]:
    """The names in the order of the classes, fit for a terminal; none if nothing is given.

    Args:
        given: ``"imagenet"`` (the 1000 classes of ILSVRC 2012), a text file with one name per line, or the names.

    Raises:
        InputError: not a text file that can be read, or not names.
    """
    if given is None:
        return ()
    if isinstance(given, str | os.PathLike):
        if given == IMAGENET:
            return _imagenet()
        return tuple(map(printable, read_lines(given, "class names")))
    if not all(isinstance(name, str) for name in given):
        raise InputError("labels are names: give 'imagenet', a file with one name per line, or a list of strings")
    return tuple(map(printable, given))


def index_of(text: str, labels: Sequence[str], what: str = "target") -> int:
    """The class of this name.

    Args:
        text: as it was typed.
        labels: all names; empty if they are not known.
        what: what is named, for messages.

    Raises:
        TargetError: no class has it, or several do.
    """
    if not labels:
        raise TargetError(f"{what} {printable(text)!r} is no index; to name a class, give all names (labels=...)")
    places = [i for i, name in enumerate(labels) if name == text]
    if len(places) == 1:
        return places[0]
    if places:
        raise TargetError(f"classes {', '.join(map(str, places))} share the label {printable(text)!r}; give an index")
    close = near(text, labels)
    more = f", or one of {', '.join(map(repr, close))}" if close else ""
    raise TargetError(f"no class has the label {printable(text)!r}; give an index{more}")


def near(text: str, names: Sequence[str]) -> list[str]:
    """The names that may have been meant, at most three: those that hold the text, then those spelled alike."""
    wanted = text.casefold().strip()
    lowered = {name.casefold(): name for name in names}
    inside = [lowered[name] for name in lowered if len(wanted) > 2 and wanted in name]
    alike = [lowered[name] for name in get_close_matches(wanted, lowered, MOST_NEAR)]
    return list(dict.fromkeys([*alike, *sorted(inside, key=len)]))[:MOST_NEAR]


@cache
def _imagenet() -> tuple[str, ...]:
    return tuple(read_lines(Path(__file__).with_name("imagenet_labels.txt"), "class names"))
