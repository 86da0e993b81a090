"""What lies in the folder of a run, read when it is asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InputError
from ..text import printable
from ..writing import shown
from .arrow import load_pyarrow
from .folder import Folder
from .store.index import index_table
from .store.maps import Maps

_KEYS = ("model", "composite", "count", "order")


@dataclass(frozen=True)
class BatchFolder:
    """A run's folder and its manifest; index and maps are opened once.

    Attributes:
        folder: where it lies.
        manifest: what ``batch.json`` holds.
    """

    folder: Folder
    manifest: dict[str, Any]

    def __reduce__(self) -> tuple[type[BatchFolder], tuple[Folder, dict[str, Any]]]:
        return type(self), (self.folder, self.manifest)

    @property
    def composite(self) -> str:
        """What the composite is called, as it is printed."""
        return printable(str(self.manifest["composite"]))

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the classes; empty if they have none."""
        return tuple(self.manifest.get("labels") or ())

    @cached_property
    def classes(self) -> int:
        """How many flat indices a prediction may have, as far as it is known: where sizes differ, some have more."""
        seen = load_pyarrow().compute.max(self.table["prediction"]).as_py()
        output = math.prod(map(int, self.manifest["order"].get("output", ())))
        return max(output, len(self.labels), 0 if seen is None else int(seen) + 1)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of a map's elements; empty if they have none."""
        return tuple(self.manifest.get("features") or ())

    @property
    def saved(self) -> tuple[str, ...]:
        """What the run keeps beside the index."""
        return tuple(self.manifest["order"].get("save", ()))

    @property
    def block(self) -> int:
        """How many rows lie together."""
        return int(self.manifest["order"].get("block", 16))

    @cached_property
    def table(self) -> Any:
        """The rows that were done when it was first asked for, a :class:`pyarrow.Table`."""
        return index_table(self.folder)

    @cached_property
    def positions(self) -> np.ndarray:
        """Of all rows of the table, int64."""
        return np.arange(len(self.table))

    @cached_property
    def rows(self) -> np.ndarray:
        """What the column ``row`` holds, int64."""
        return np.asarray(self.table["row"].to_numpy(), np.int64)

    @cached_property
    def maps(self) -> Maps:
        """The Zarr group.

        Raises:
            InputError: the run keeps none, or zarr is missing.
        """
        if not set(self.saved) & {"maps", "scores"}:
            raise InputError(f"{shown(self.folder.path)}: this run kept no maps; run it with maps saved")
        return Maps(self.folder.maps)

    def map_name(self, name: str | None) -> str:
        """Of the model's input: the given one, or the first.

        Raises:
            InputError: there is none.
        """
        known = self.maps.inputs
        if not known:
            raise InputError(f"{shown(self.folder.path)}: this run kept no maps; run it with maps saved")
        name = known[0] if name is None else name
        self.maps.shape(name)
        return name


def read_manifest(folder: Folder) -> dict[str, Any]:
    """What ``batch.json`` says.

    Raises:
        InputError: this is not the folder of a run, or the run did not get so far.
    """
    where = shown(folder.path)
    try:
        manifest = json.loads(folder.manifest.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise InputError(f"{shown(folder.manifest)}: is no JSON; give the folder of a batch run") from None
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a NUL is a ValueError
        raise InputError(f"{where}: no batch run lies there (no batch.json); give the folder that one wrote") from None
    except OSError as error:
        raise InputError(f"{shown(folder.manifest)}: cannot be read: {printable(error.strerror or '')}") from None
    missing = [key for key in _KEYS if not isinstance(manifest, dict) or key not in manifest]
    if not isinstance(manifest, dict) or missing:
        raise InputError(f"{shown(folder.manifest)}: says nothing of {', '.join(missing)}; give a batch run's folder")
    return manifest


def in_blocks(rows: np.ndarray, block: int) -> Iterator[np.ndarray]:
    """Rows, in their order, cut where one begins that lies in another block than the last."""
    cuts = np.flatnonzero(np.diff(rows // block)) + 1
    yield from (part for part in np.split(rows, cuts) if len(part))


def positions_where(table: Any, column: str, value: Any) -> np.ndarray:
    """Where a column has this value (None: any value), int64."""
    compute = load_pyarrow().compute
    found = table[column].is_valid() if value is None else compute.fill_null(compute.equal(table[column], value), False)
    return np.flatnonzero(found.to_numpy())
