"""Some of very many inputs: those that the model gets wrong, those of one class, or so many at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import InputError, require_whole
from ..pictures.labels import near
from ..text import nearest, printable
from .arrow import load_pyarrow
from .blocks import Block, blocks_of
from .folder import Folder
from .inventory import Inventory

WRONG, OF_CLASS = "wrong", "class="
LISTED_AT_ONCE = 10_000
_MOST_DIGITS = 18  # of an index


@dataclass(frozen=True)
class Selection:
    """Which of the inputs are explained.

    Attributes:
        only: ``"wrong"`` (another class than the label is predicted), ``"class=NAME"`` (this one is); None for all. It
            takes a first pass. Inputs that cannot be read stay in: their row says why.
        sample: at most so many of them, at random; None for all.
        random_seed: of the sample.
    """

    only: str | None = None
    sample: int | None = None
    random_seed: int = 0

    def __post_init__(self) -> None:
        if self.only is not None and self.only != WRONG and not self.only.startswith(OF_CLASS):
            raise InputError(
                f"--only is wrong or class=NAME, not {printable(self.only)!r}{nearest(self.only, [WRONG, OF_CLASS])}"
            )
        if self.sample is not None:
            require_whole(self.sample, "--sample", 1)
        require_whole(self.random_seed, "--random-seed", 0)

    @property
    def all(self) -> bool:
        """Whether nothing is left out."""
        return self.only is None and self.sample is None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; a seed that decides nothing is left out."""
        return {**asdict(self), "random_seed": None if self.sample is None else self.random_seed}

    def check(self, inventory: Inventory, labels: Sequence[str], count: int) -> None:
        """Raise before the first pass if the choice cannot be made.

        Args:
            inventory: of all inputs.
            labels: of the classes.
            count: of the elements of the model's answer.

        Raises:
            InputError: an input without a label, a label that no class has, or no such class.
        """
        if self.only is not None and self.only.startswith(OF_CLASS):
            classes_called(self.only.removeprefix(OF_CLASS), labels, "--only class", count)
        seen = set[str | None]()
        for item in _items(inventory) if self.only == WRONG else ():
            if item.error is not None:  # its row will say so
                continue
            if item.label is None:
                raise InputError(
                    f"{printable(item.name)}: has no label; --only wrong needs one of every input (--label)"
                )
            if item.label not in seen:
                classes_called(item.label, labels, f"{printable(item.name)}: label", count)
                seen.add(item.label)

    def rows(self, inventory: Inventory, folder: Folder, labels: Sequence[str]) -> list[int]:
        """The rows to explain, in their order.

        Args:
            inventory: of all inputs.
            folder: of the run, with the predictions of all of them if the choice takes a first pass.
            labels: of the classes.

        Raises:
            InputError: there are none.
        """
        found = range(len(inventory)) if self.only is None else list(self._fitting(inventory, folder, labels))
        if not found:
            raise InputError(f"--only {printable(self.only or '')}: none of {len(inventory):,} inputs is so")
        if self.sample is None or self.sample >= len(found):
            return list(found)
        drawn = np.random.default_rng(self.random_seed).choice(len(found), self.sample, replace=False)
        return [found[i] for i in np.sort(drawn).tolist()]

    def _fitting(self, inventory: Inventory, folder: Folder, labels: Sequence[str]) -> Iterator[int]:
        wanted = None if self.only == WRONG else self.only.removeprefix(OF_CLASS)  # type: ignore[union-attr]
        known: dict[str, frozenset[int]] = {}
        for rows, predictions in _predictions(folder):
            names = [wanted] * len(rows)
            if wanted is None:
                names = [item.label for item in inventory.block(Block(0, rows[0], rows[-1] + 1))]
            for row, prediction, name in zip(rows, predictions, names):
                if prediction is None:  # of what cannot be read there may be no label, either
                    yield row
                    continue
                assert name is not None, "checked before"
                if name not in known:
                    known[name] = classes_called(name, labels, "label")
                if (prediction in known[name]) != (wanted is None):
                    yield row


def classes_called(text: str, labels: Sequence[str], what: str, count: int | None = None) -> frozenset[int]:
    """The indices of the classes that a label means: those of this name (two may share it), else it is an index.

    Args:
        text: as it was given.
        labels: of all classes; empty if they have none.
        what: what is named, for messages.
        count: of all classes, if it is known.

    Raises:
        InputError: neither, or an index that no class has.
    """
    found = frozenset(i for i, label in enumerate(labels) if label == text)
    if found:
        return found
    index = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
    if index is not None and not labels and count is not None and index >= count:
        has = f"the output has {count} element{'s' * (count > 1)}, 0 to {count - 1}"
        raise InputError(f"{what} {index} is no class: {has}; give one of these, or all names (--labels)")
    if index is not None and (not labels or index < len(labels)):
        return frozenset((index,))
    close = near(text, labels)
    remedy = f"did you mean {' or '.join(map(repr, close))}?" if close else "give the names of the classes (--labels)"
    raise InputError(f"{what} {printable(text)!r} is neither the name of a class nor its index; {remedy}")


def _items(inventory: Inventory) -> Iterator[Any]:
    for block in blocks_of(len(inventory), LISTED_AT_ONCE):
        yield from inventory.block(block)


def _predictions(folder: Folder) -> Iterator[tuple[list[int], list[int | None]]]:
    """Rows, and what was predicted of each; None where it failed."""
    pa = load_pyarrow()
    for path in sorted(folder.predictions.glob("[0-9]*.parquet")):
        table = pa.parquet.ParquetFile(path).read(["row", "prediction"], use_threads=False)
        yield table.column("row").to_pylist(), table.column("prediction").to_pylist()
