"""What a run over many inputs found, to be looked at: by row, by name, by class."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..errors import InputError, require_whole
from ..text import nearest, printable
from ..writing import shown
from .choosing import class_at, feature_at, place_of, places_of
from .folder import Folder
from .mapped import BatchRow, LazyMaps, MapRows, as_dataset
from .reading import BatchFolder, in_blocks, positions_where, read_manifest
from .store.index import escaped


def open_batch(path: str | os.PathLike[str]) -> BatchResult:
    """What a run wrote to a folder; of one that is still under way, what is done by now.

    Args:
        path: the folder that ``onnx-lrp batch -o`` was given.

    Raises:
        InputError: no run lies there.
    """
    folder = Folder(Path(path))
    return BatchResult(BatchFolder(folder, read_manifest(folder)))


class BatchResult:
    """Rows of a run, in order: those that are done, or some chosen of them. Maps are read when they are asked for.

    ``result[3]`` is a row, ``result["cat.png"]`` that of an input, ``result[:10]`` and what chooses rows are a
    :class:`BatchResult` again. What is done after the first look is found by opening the folder again.
    """

    def __init__(self, run: BatchFolder, positions: np.ndarray | None = None) -> None:
        self._run, self._chosen = run, positions

    def __len__(self) -> int:
        return len(self._run.table) if self._chosen is None else len(self._chosen)

    def __iter__(self) -> Iterator[BatchRow]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, which: int | str) -> BatchRow: ...
    @overload
    def __getitem__(self, which: slice) -> BatchResult: ...
    def __getitem__(self, which: int | str | slice) -> BatchRow | BatchResult:
        """A row by its place or by its input's name (the file name is enough if no other has it), or several.

        Raises:
            InputError: there is no such input, or there are several.
            IndexError: there are not so many rows.
        """
        if isinstance(which, slice):
            return self._view(self._positions[which])
        i = place_of(self.index, which) if isinstance(which, str) else range(len(self))[operator.index(which)]
        return BatchRow(self._run.table.slice(int(self._positions[i]), 1).to_pylist()[0], self._run)

    def __contains__(self, which: Any) -> bool:
        """Whether it is the place of a row or what one input alone is called, so that indexing finds it; or a row."""
        if isinstance(which, BatchRow):
            return which.run == self._run and bool((self._rows == which.row).any())
        if isinstance(which, str):
            return len(places_of(self.index, which)) == 1
        return isinstance(which, int | np.integer) and -len(self) <= int(which) < len(self)

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run is: model, composite, order, as ``batch.json`` says."""
        return self._run.manifest

    @property
    def index(self) -> Any:
        """The rows without their maps, a :class:`pyarrow.Table`; ``.to_pandas()`` makes a frame of it."""
        return self._run.table if self._chosen is None else self._run.table.take(self._chosen)

    @property
    def errors(self) -> BatchResult:
        """The rows that have an error in place of an explanation."""
        return self._view(self._positions[positions_where(self.index, "error", None)])

    def of_class(self, class_: int | str) -> BatchResult:
        """The rows that the model predicts to be of a class, given by its index or its label.

        Raises:
            InputError: there is no such class.
        """
        known = self._run.labels
        if not isinstance(class_, str):
            i = class_at(class_, self._run.classes)
            return self._view(self._positions[positions_where(self.index, "prediction", i)])
        found = positions_where(self.index, "predicted", escaped(class_))
        if not len(found) and class_ not in known:
            hint = nearest(class_, known) or "; give its index"
            raise InputError(f"no class is called {printable(class_)!r}{hint}")
        return self._view(self._positions[found])

    def maps(self, input: str | None = None) -> LazyMaps:
        """Their maps, float32 of shape (rows, ...), NaN where there is an error; only what is indexed is read.

        Args:
            input: of the model; the first by default.

        Raises:
            InputError: the run kept none, or there is no such input; once it is indexed, a file is missing or damaged.
        """
        return LazyMaps(self._run, self._rows, input)

    def numpy(self, input: str | None = None) -> np.ndarray:
        """All their maps at once, float32 of shape (rows, ...); for few rows, ``result[:100]`` say.

        Raises:
            InputError: as for :meth:`maps`.
        """
        return self.maps(input)[:]

    def mean_map(self, class_: int | str | None = None, input: str | None = None) -> np.ndarray:
        """The mean of their maps, float64, without the rows that have an error; read block by block.

        Args:
            class_: only rows predicted to be of it, see :meth:`of_class`.
            input: of the model; the first by default.

        Raises:
            InputError: there is no map to take the mean of, or as for :meth:`maps` and :meth:`of_class`.
        """
        chosen = self if class_ is None else self.of_class(class_)
        maps = chosen.maps(input)
        total, count = np.zeros(maps.shape[1:]), 0
        for rows in in_blocks(np.sort(chosen._rows), self._run.block):
            found = LazyMaps(self._run, rows, input)[:]
            found = found[np.isfinite(found.reshape(len(found), -1)).all(1)]
            total += found.sum(0, dtype=np.float64)
            count += len(found)
        if not count:
            of = "" if class_ is None else f" of class {printable(str(class_))}"
            raise InputError(f"no input{of} has a map, so there is no mean; choose others")
        return total / count

    def strongest(self, feature: int | str | tuple[int, ...], k: int = 10, input: str | None = None) -> BatchResult:
        """The ``k`` rows with the largest relevance at one place of the map, the strongest first.

        Args:
            feature: index into a map: a tuple, or a number that counts its elements row by row; or a feature's name.
            k: how many at most, from 1 on.
            input: of the model; the first by default.

        Raises:
            InputError: there is no such feature, ``k`` is no such count, or as for :meth:`maps`.
        """
        require_whole(operator.index(k), "k", 1)
        at = feature_at(feature, self._run.features, self.maps(input).shape[1:])
        order = np.argsort(self._rows, kind="stable")
        parts = in_blocks(self._rows[order], self._run.block)
        found = [LazyMaps(self._run, rows, input)[(slice(None), *at)] for rows in parts]
        values = np.concatenate([np.zeros(0, np.float32), *found])
        order, values = order[~np.isnan(values)], values[~np.isnan(values)]
        return self._view(self._positions[order[np.argsort(-values, kind="stable")[:k]]])

    def xarray(self) -> Any:
        """An :class:`xarray.Dataset` of ``map`` (``map_INPUT`` of several), read lazily; coordinates: the index.

        Raises:
            InputError: xarray is not installed, or the run kept no maps.
        """
        return as_dataset(self._run, self._positions)

    def torch(self, input: str | None = None) -> MapRows:
        """A dataset of (map, row) for a Torch ``DataLoader``.

        Raises:
            InputError: as for :meth:`maps`.
        """
        return MapRows(self._run, self._positions, input)

    def __repr__(self) -> str:
        about, order = self.manifest, self.manifest["order"]
        failed = len(self.errors)
        count = "?" if about["count"] is None else about["count"]  # while those to explain are being chosen
        rows = f"{count} inputs, {len(self._run.table)} done"
        rows = rows if self._chosen is None else f"{len(self)} of {count} inputs"
        saved = [f"maps ({order.get('precision')})" if kind == "maps" else kind for kind in self._run.saved]
        name = printable(str(about["model"].get("name", "?")))
        kept = f"; saved: {', '.join(saved)}" if saved else ""
        return (
            f"BatchResult({name} by {self._run.composite}: {rows}, {failed} failed{kept}; "
            f"in {shown(self._run.folder.path)})"
        )

    @property
    def _positions(self) -> np.ndarray:
        return self._run.positions if self._chosen is None else self._chosen

    @property
    def _rows(self) -> np.ndarray:
        return self._run.rows if self._chosen is None else self._run.rows[self._chosen]

    def _view(self, positions: np.ndarray) -> BatchResult:
        return BatchResult(self._run, positions)
