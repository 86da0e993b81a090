"""Rows of a run with their maps, each read when it is asked for: one by one, as an array, for Torch and for xarray."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..text import printable
from .indexing import cut_index
from .reading import BatchFolder


@dataclass(frozen=True, repr=False)
class BatchRow:
    """One input of a run and what was found.

    Every column of the index is an attribute, ``row.prediction`` say, None if there is nothing; ``values`` has all.
    """

    values: dict[str, Any]
    run: BatchFolder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked for before there are values, when it is unpickled
            raise AttributeError(name)
        if name not in self.values:
            raise AttributeError(f"a row has no {name!r}; it has map, scores and {', '.join(self.values)}")
        return self.values[name]

    @property
    def map(self) -> np.ndarray | dict[str, np.ndarray]:
        """Relevance of the input, float32, NaN if there is an error; a dict by name of a model with several inputs.

        Raises:
            InputError: the run kept no maps, or a file of them is missing or damaged.
        """
        self.run.map_name(None)
        found = {name: self.run.maps.read([self.values["row"]], name)[0] for name in self.run.maps.inputs}
        return next(iter(found.values())) if len(found) == 1 else found

    @property
    def scores(self) -> np.ndarray | None:
        """The explained tensor, float32, NaN if there is an error; None if the run did not keep it.

        Raises:
            InputError: a file of it is missing or damaged.
        """
        return self.run.maps.scores([self.values["row"]])[0] if "scores" in self.run.saved else None

    def __repr__(self) -> str:
        v = self.values
        start = f"row {v['row']}: {printable(v['input'] or '')}"
        if v["error"] is not None:
            return f"{start}: {printable(v['error'])}"
        label = f" ({printable(v['predicted'])})" if v["predicted"] else ""
        share = f" with probability {v['probability']:.3g}" if v["probability"] is not None else ""
        return f"{start}: predicted {v['prediction']}{label}{share}"


class LazyMaps:
    """Maps of some rows as an array of shape (rows, ...): float32, of which only what is indexed is read.

    An index means what it means to NumPy, and gives a NumPy array: ``maps[3]``, ``maps[[1, 5]]``, ``maps[..., 0, 4]``.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, run: BatchFolder, rows: np.ndarray, name: str | None = None) -> None:
        self._run, self._rows, self._name = run, rows, run.map_name(name)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all of them."""
        return (len(self._rows), *self._run.maps.shape(self._name)[1:])

    @property
    def ndim(self) -> int:
        """How many axes they have, that of rows counted."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, at, within = cut_index(key, self._rows, self.shape)
        return np.asarray(self._run.maps.read(rows, self._name, at)[within])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def __repr__(self) -> str:
        return f"LazyMaps of {printable(self._name)!r}, float32 {self.shape}"


class MapRows:
    """A dataset for :class:`torch.utils.data.DataLoader`: of each row its map, a tensor, and its columns, a dict.

    What is null is -1, NaN or an empty string, and lists are left out, so that rows can be collated.
    """

    def __init__(self, run: BatchFolder, positions: np.ndarray, name: str | None = None) -> None:
        self._run, self._positions, self._name = run, positions, run.map_name(name)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, i: int) -> tuple[Any, dict[str, Any]]:
        torch = _torch()
        position = int(self._positions[operator.index(i)])
        one = self._run.table.slice(position, 1)
        row = {f.name: _filled(one[f.name][0].as_py(), str(f.type)) for f in one.schema if f.type.num_fields == 0}
        return torch.from_numpy(self._run.maps.read([row["row"]], self._name)[0]), row


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise InputError("this needs PyTorch; install it with: pip install 'onnx_lrp[torch]'") from None
    return torch


def as_dataset(run: BatchFolder, positions: np.ndarray) -> Any:
    """An :class:`xarray.Dataset`: ``map`` (``map_INPUT`` of several), read when it is used; the index as coordinates.

    Raises:
        InputError: xarray is not installed, or the run kept no maps.
    """
    try:
        import xarray
    except ImportError:
        raise InputError("a dataset takes the package xarray: pip install xarray") from None
    run.map_name(None)
    table, names = run.table.take(positions), run.maps.inputs
    rows = table["row"].to_numpy()
    variables = {}
    for name in names:
        array = LazyMaps(run, rows, name)
        dims = ("row", *(f"{name}_{i}" for i in range(1, array.ndim)))
        variables["map" if len(names) == 1 else f"map_{name}"] = xarray.Variable(dims, _lazily(array))
    flat = [f.name for f in table.schema if f.type.num_fields == 0]
    coordinates = {name: ("row", table[name].to_numpy(zero_copy_only=False)) for name in flat}
    about = {"model": str(run.manifest["model"].get("name", "")), "composite": run.composite}
    return xarray.Dataset(variables, coordinates, about)


def _lazily(array: LazyMaps) -> Any:
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Backend(BackendArray):
        shape, dtype = array.shape, array.dtype

        def __getitem__(self, key: Any) -> Any:
            way = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(key, self.shape, way, self._read)

        def _read(self, key: tuple[Any, ...]) -> np.ndarray:
            found = np.asarray(array[key[0]])
            axis = 0 if np.ndim(found) < len(self.shape) else 1
            for one in key[1:]:
                found = found[(slice(None),) * axis + (one,)]
                axis += not isinstance(one, (int, np.integer))
            return found

    return indexing.LazilyIndexedArray(Backend())


def _filled(value: Any, kind: str) -> Any:
    return {"int64": -1, "double": float("nan"), "string": ""}[kind] if value is None else value
