"""What an explanation holds, and how it is kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .propagation.ledger import Conservation, LedgerEntry, by_kind
from .writing import write_file

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_KEY = 1000  # characters of a tensor's name in a file


@dataclass(frozen=True)
class Explanation:
    """Relevance of a batch.

    Attributes:
        inputs: relevance by input name, each of its input's shape.
        output: the explained tensor (logits), shape (samples, ...).
        target: flat index of the explained element per sample, int64 of shape (samples,).
        layers: relevance by tensor name, for the layers that were asked for.
        conservation: sums at the target and at the inputs, per sample.
        ledger: the account of every node, from the output down, if it was asked for.
        doubts: finds the :attr:`warnings` when somebody asks for them.
    """

    inputs: dict[str, np.ndarray]
    output: np.ndarray
    target: np.ndarray
    layers: dict[str, np.ndarray]
    conservation: Conservation
    ledger: tuple[LedgerEntry, ...] = ()
    doubts: Callable[[], tuple[str, ...]] = field(default=tuple, repr=False, compare=False)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What gives reason to doubt it, one line each, with a remedy: found when it is first read, which may explain
        one sample once more, to say where relevance got lost.
        """
        return self.doubts()

    def __getstate__(self) -> dict[str, Any]:
        """The explanation travels without the explainer, its warnings with it."""
        return {**self.__dict__, "doubts": partial(tuple, self.warnings)}

    @property
    def relevance(self) -> np.ndarray | dict[str, np.ndarray]:
        """Relevance of the input; a dict by name if there are several."""
        return next(iter(self.inputs.values())) if len(self.inputs) == 1 else self.inputs

    @property
    def absorbed(self) -> dict[str, float]:
        """What did not reach the inputs, by what kept it, over all samples; empty without a ledger."""
        return by_kind(self.ledger)

    def heatmap(self, sample: int = 0, input: str | None = None, percentile: float = 100.0) -> Image:
        """A picture of one sample's relevance, channels summed: red for, blue against, white neutral.

        Colours are full where |R| reaches the given percentile of the picture.

        Raises:
            InputError: the input has no spatial shape.
        """
        from .pictures.heatmap import heatmap
        from .pictures.preprocessing import spatial

        name = input if input is not None else next(iter(self.inputs))
        relevance = self.inputs[name]
        layout = (None, *relevance.shape[1:])  # the first axis counts samples
        return heatmap(spatial(relevance[sample], layout), percentile=percentile)

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Write everything as a compressed .npz, at once or not at all.

        Keys are ``relevance::INPUT``, ``layer::TENSOR``, ``output``, ``target``, ``sum::target`` and ``sum::inputs``;
        a name of more than 1,000 characters is shortened, and its checksum put behind.

        Raises:
            OutputError: the file exists and ``force`` is not set, or it cannot be written.
        """
        arrays = {f"relevance::{_key(n)}": r for n, r in self.inputs.items()}
        arrays |= {f"layer::{_key(n)}": r for n, r in self.layers.items()}
        arrays |= {"output": self.output, "target": self.target}
        arrays |= {"sum::target": self.conservation.target, "sum::inputs": self.conservation.inputs}

        def writer(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

        write_file(Path(path), writer, force)


def _key(name: str) -> str:
    """A tensor name as a member name of a zip file, which has 2^16 bytes at most: very long ones end in a checksum."""
    if len(name) > LONGEST_KEY:
        name = f"{name[:LONGEST_KEY]}…{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return name.replace("/", "|").replace("\\", "|")
