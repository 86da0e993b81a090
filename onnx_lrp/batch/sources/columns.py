"""What of a file with named columns or arrays is an input, and what says the label or the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError
from ...text import nearest, printable

_NAMED_AT_MOST = 12  # names that a message shows
_NAMELESS = "there is one array without a name: give named ones (a dict, or an .npz: numpy.savez('x.npz', x=x, y=y))"


@dataclass(frozen=True)
class Columns:
    """Names of columns of a table, arrays of .npz, or endings in an archive.

    Attributes:
        column: holds paths of files; in an archive, the ending of what is explained.
        label: the true class.
        target: what is explained.
        features: the inputs; empty: all that is neither label nor target.
    """

    column: str | None = None
    label: str | None = None
    target: str | None = None
    features: tuple[str, ...] = ()

    @property
    def named(self) -> list[str]:
        """All that somebody named."""
        return [name for name in (self.column, self.label, self.target, *self.features) if name is not None]

    @property
    def said(self) -> tuple[str | None, str | None]:
        """Label and target."""
        return self.label, self.target

    def check(self, there: Sequence[str], where: str, kind: str = "column") -> None:
        """Raise unless all that is named is there, once, and no input is named twice.

        Args:
            there: the names in the file.
            where: the file, as messages name it.
            kind: what the names are of.

        Raises:
            InputError: one is missing, or two are called alike; or an input is named twice.
        """
        double = _twice(self.features)
        if double is not None:
            raise InputError(f"{printable(double)!r} is named twice among the inputs; name it once (--features)")
        known, twice = set(there), _twice(there)
        if twice is not None:
            raise InputError(f"{where}: two {kind}s are called {printable(twice)!r}; give each its own name")
        for name in self.named:
            if name not in known:
                said = f"{where}: no {kind} {printable(name)!r}{nearest(name, there)}"
                raise InputError(f"{said}; {_NAMELESS if known == {''} else f'it has {names_in_words(there)}'}")

    def inputs(self, there: Sequence[str], where: str, kind: str = "column") -> list[str]:
        """The names of the inputs, in the file's order unless ``features`` says them.

        Raises:
            InputError: there are none.
        """
        found = list(self.features) or [name for name in there if name not in self.said]
        if not found:
            raise InputError(f"{where}: no {kind} is left to be explained; name other ones for label and target")
        return found


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def names_in_words(names: Sequence[str]) -> str:
    """The first few of them."""
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(printable(name) for name in names[:_NAMED_AT_MOST]) + more


def word_of(value: Any) -> str | None:
    """A label or target as it was given, from a cell: whole numbers without a point; None if it is empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, float):
        if value != value:
            return None
        value = int(value) if value.is_integer() else value
    return None if value is None or value == "" else str(value)
