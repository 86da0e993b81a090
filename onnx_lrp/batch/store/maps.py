"""The maps of a run as one Zarr group: a row per input, and one file per array for every block."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...staging import temporary
from ...text import nearest, printable
from ...writing import shown
from ..folder import Folder
from ..found import Found
from ..order import Order
from .files import writing_to, zarr_module
from .layout import make_group
from .precision import restored_maps, stored_maps
from .shards import Shards, WhichRows

_PARTIAL = ".partial"  # how zarr calls what it has not yet written to its end
_ANEW = "give the same command again to have all of it written anew"
_DAMAGES = (OSError, ValueError, KeyError, TypeError)  # zarr's own errors of a group are of these


@dataclass(frozen=True)
class Maps:
    """The Zarr group ``maps.zarr``: ``maps/INPUT``, ``scale/INPUT`` (``map = stored * scale``) and ``scores``.

    It is opened when it is needed, so that it can be pickled.
    """

    path: Path

    @classmethod
    def create(
        cls, folder: Folder, order: Order, rows: int, shapes: Mapping[str, tuple[int, ...]],
        scores: tuple[int, ...] | None = None,
    ) -> Maps:  # fmt: skip
        """Make the empty arrays, or take those that are there; what a killed process left half written goes.

        Args:
            folder: of the run.
            order: its ``save``, ``precision`` and ``block`` count.
            rows: of all arrays.
            shapes: of a map without its row, by the name of the model's input.
            scores: shape of the explained tensor without its row.

        Raises:
            InputError: zarr is missing or too old.
            OutputError: they cannot be written.
        """
        maps = cls(folder.maps)
        if folder.maps.exists():
            maps.tidy()
            return maps
        made = temporary(folder.path, ".zarr")  # renamed when whole, so that it is never half a group
        with writing_to(folder.maps):
            try:
                make_group(made, order, rows, shapes, scores)
                os.replace(made, folder.maps)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        return maps

    def __reduce__(self) -> tuple[type[Maps], tuple[Path]]:
        return type(self), (self.path,)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the model's inputs that have maps."""
        return tuple(self._names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of all maps of an input, (rows, ...).

        Raises:
            InputError: it has none.
        """
        return tuple(self._array(name).array.shape)

    def write(self, found: Found) -> None:
        """Store a block: whole files, whatever is there of it.

        Raises:
            OutputError: they cannot be written.
        """
        rows = slice(found.block.start, found.block.stop)
        with writing_to(self.path):
            for name in self.inputs:
                maps = found.maps.get(name)
                if maps is None:  # every row failed
                    maps = np.full((len(found.block), *self.shape(name)[1:]), np.nan, np.float32)
                stored, scales = stored_maps(maps, self._group.attrs["precision"])
                self._arrays[f"maps/{self._names[name]}"].write(rows, stored)
                if scales is not None:
                    self._arrays[f"scale/{self._names[name]}"].write(rows, scales)
            if found.scores is not None and "scores" in self._arrays:
                self._arrays["scores"].write(rows, np.asarray(found.scores, np.float32))

    def read(self, rows: WhichRows, name: str | None = None, at: tuple[Any, ...] = ()) -> np.ndarray:
        """Maps as float32, NaN where there is an error.

        Args:
            rows: which; they are done.
            name: of the model's input; the first by default.
            at: indices or slices into a map, if not all of it is wanted.

        Raises:
            InputError: there is no such input, or a file of them is missing or damaged.
        """
        name = self.inputs[0] if name is None else name
        array, scale = self._array(name), self._arrays.get(f"scale/{self._names[name]}")
        return restored_maps(array.read(rows, at), None if scale is None else scale.read(rows))

    def scores(self, rows: WhichRows) -> np.ndarray:
        """The explained tensor, float32 (rows, ...), NaN where there is an error; of a run that saved it.

        Raises:
            InputError: a file of it is missing or damaged.
        """
        if "scores" not in self._arrays:
            raise self._damaged("scores")
        return self._arrays["scores"].read(rows)

    def lost(self, numbers: Collection[int]) -> dict[int, Path]:
        """Of blocks that are done, those of which a file is missing or empty, each with the first such.

        Raises:
            InputError: what describes the arrays is missing or damaged.
        """
        if not self.path.exists():
            return dict.fromkeys(numbers, self.path)
        found: dict[int, Path] = {}
        for shards in self._arrays.values():
            for number, path in shards.lost(numbers):
                found.setdefault(number, path)
        return found

    def tidy(self) -> None:
        """Remove what a killed process left half written; nobody may be writing meanwhile."""
        for path in [path for path in self.path.rglob(f"*{_PARTIAL}") if path.is_file()]:
            path.unlink(missing_ok=True)

    @cached_property
    def _group(self) -> Any:
        zarr = zarr_module()
        try:
            group = zarr.open_group(self.path, mode="r+")
            group.attrs["inputs"], group.attrs["precision"]
        except _DAMAGES:
            remedy = f"remove it, and {_ANEW}" if self.path.exists() else _ANEW
            raise InputError(f"{shown(self.path)}: holds no maps; {remedy}") from None
        return group

    @cached_property
    def _names(self) -> dict[str, str]:
        return {true: safe for safe, true in self._group.attrs["inputs"].items()}

    @cached_property
    def _arrays(self) -> dict[str, Shards]:
        kinds = ("maps",) if self._group.attrs["precision"] == "float32" else ("maps", "scale")
        wanted = [f"{kind}/{safe}" for kind in kinds for safe in self._names.values()]
        found = {name: self._shards(name) for name in wanted}
        return {**found, "scores": self._shards("scores")} if (self.path / "scores").is_dir() else found

    def _shards(self, name: str) -> Shards:
        try:
            array = self._group[name]
            # Else all values are compared with the fill value, which takes half of all the time
            return Shards(array.with_config({"write_empty_chunks": True}), self.path / name)
        except (*_DAMAGES, AttributeError):  # the last of a group in place of an array
            raise self._damaged(name) from None

    def _damaged(self, name: str) -> InputError:
        return InputError(f"{shown(self.path)}: its array {name} is missing or damaged; remove it, and {_ANEW}")

    def _array(self, name: str) -> Shards:
        if name not in self._names:
            known = ", ".join(map(printable, self.inputs))
            raise InputError(f"no maps of input {printable(name)!r}; there are {known}{nearest(name, self.inputs)}")
        return self._arrays[f"maps/{self._names[name]}"]
