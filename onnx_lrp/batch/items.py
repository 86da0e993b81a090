"""What a run explains, input by input, wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..errors import InputError


@dataclass(frozen=True)
class Item:
    """One input of a run.

    Attributes:
        name: what it is called: a path, a member of an archive, ``FILE[row]``. Whatever is listed twice is explained
            twice under one name: it is the row that tells the inputs of a run apart. Bytes of a path that are no UTF-8
            are in it as :func:`os.fsdecode` gives them.
        place: where its source finds it (a row, an offset), if the name does not say.
        label: its true class as it was given, an index or a label, if it was.
        target: what of its answer is explained, as it was given; None: what the run explains.
        error: why it cannot be read, if listing it showed that.
    """

    name: str
    place: int = -1
    label: str | None = None
    target: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Payload:
    """What an item holds.

    Attributes:
        data: a file's bytes, or one sample's arrays by the name of the model's input (``""`` for the only one), without
            an axis of samples.
        ending: of bytes: what kind of file they are, ``".png"`` for example.
        typed: of arrays: whether the type of their numbers is their own. A table's numbers have none: they are float64,
            or objects where that would round a whole one, until the model's input says its type.
    """

    data: bytes | dict[str, np.ndarray]
    ending: str = ""
    typed: bool = True


class InputSource(Protocol):
    """Lists and reads the inputs of a run. It can be pickled: what travels is where they lie, not what they hold."""

    def items(self) -> Iterator[Item]:
        """All inputs in an order that is the same each time, without holding them.

        Raises:
            InputError: there is nothing there to be listed.
        """

    def read(self, items: Sequence[Item]) -> Iterator[Payload | InputError]:
        """What each of them holds, in their order, one at a time; why not, where it cannot be read.

        It is called from several threads at once.
        """


@runtime_checkable
class ArraysSource(InputSource, Protocol):
    """A source whose items are rows of arrays, which are faster read together."""

    def arrays(self, items: Sequence[Item]) -> dict[str, np.ndarray] | None:
        """All of them at once, (items, ...) by the name of the model's input (``""`` for the only one).

        None where they do not lie side by side, or cannot be read: then they are to be read one at a time.
        """
