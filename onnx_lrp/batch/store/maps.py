"""The maps of a run as one Zarr group: a row per input, and one file per array for every block."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
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

_PARTIAL = ".partial"  # how zarr calls what it has not yet written to its end
_Rows = slice | Sequence[int] | np.ndarray


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
        return tuple(self._array(name).shape)

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
                self._put(self._arrays[f"maps/{self._names[name]}"], rows, stored)
                if scales is not None:
                    self._put(self._arrays[f"scale/{self._names[name]}"], rows, scales)
            if found.scores is not None and "scores" in self._arrays:
                self._put(self._arrays["scores"], rows, np.asarray(found.scores, np.float32))

    def read(self, rows: _Rows, name: str | None = None, at: tuple[Any, ...] = ()) -> np.ndarray:
        """Maps as float32, NaN where there are none.

        Args:
            rows: which.
            name: of the model's input; the first by default.
            at: indices or slices into a map, if not all of it is wanted.

        Raises:
            InputError: there is no such input.
        """
        name = self.inputs[0] if name is None else name
        array, scale = self._array(name), self._arrays.get(f"scale/{self._names[name]}")
        return restored_maps(_taken(array, rows, at), None if scale is None else _taken(scale, rows, ()))

    def scores(self, rows: _Rows) -> np.ndarray | None:
        """The explained tensor, float32 (rows, ...), NaN where there is none; None if the run did not save it."""
        array = self._arrays.get("scores")
        return None if array is None else _taken(array, rows, ())

    def tidy(self) -> None:
        """Remove what a killed process left half written; nobody may be writing meanwhile."""
        for path in [path for path in self.path.rglob(f"*{_PARTIAL}") if path.is_file()]:
            path.unlink(missing_ok=True)

    @cached_property
    def _group(self) -> Any:
        zarr = zarr_module()
        try:
            return zarr.open_group(self.path, mode="r+")
        except (OSError, ValueError, KeyError):  # its own errors are of these
            raise InputError(f"{shown(self.path)}: holds no maps; give the folder of a batch run") from None

    @cached_property
    def _names(self) -> dict[str, str]:
        return {true: safe for safe, true in self._group.attrs["inputs"].items()}

    @cached_property
    def _arrays(self) -> dict[str, Any]:
        kinds = [kind for kind in ("maps", "scale") if kind in self._group]
        found = {f"{kind}/{safe}": array for kind in kinds for safe, array in self._group[kind].arrays()}
        found.update(self._group.arrays())
        for safe in self._names.values():
            if f"maps/{safe}" not in found:
                where = shown(self.path / "maps" / safe)
                raise InputError(f"{where}: is missing or damaged; delete the folder of the run, and start it anew")
        # Else all values are compared with the fill value, which takes half of all the time
        return {name: array.with_config({"write_empty_chunks": True}) for name, array in found.items()}

    def _array(self, name: str) -> Any:
        if name not in self._names:
            known = ", ".join(map(printable, self.inputs))
            raise InputError(f"no maps of input {printable(name)!r}; there are {known}{nearest(name, self.inputs)}")
        return self._arrays[f"maps/{self._names[name]}"]

    def _put(self, array: Any, rows: slice, values: np.ndarray) -> None:
        # zarr would read the shard that is there, and fail if it is half of one
        number = rows.start // (array.shards or array.chunks)[0]
        (self.path / array.path / f"c.{number}{'.0' * (array.ndim - 1)}").unlink(missing_ok=True)
        array[rows] = values


def _taken(array: Any, rows: _Rows, at: tuple[Any, ...]) -> np.ndarray:
    if isinstance(rows, slice):
        return np.asarray(array[(rows, *at)])
    rows = np.asarray(rows, np.int64)
    if len(rows) and (np.diff(rows) == 1).all():
        return np.asarray(array[(slice(int(rows[0]), int(rows[-1]) + 1), *at)])
    return np.asarray(array.oindex[(rows, *at, *[slice(None)] * (array.ndim - 1 - len(at)))])
