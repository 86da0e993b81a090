"""How the maps of a run are laid out in Zarr: names, types, shards and chunks of its arrays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..order import Order
from .files import zarr_module
from .precision import STORED

CHUNK_BYTES = 1 << 20  # what is read at least of a shard: smaller ones cost more time per map than they save
# Of Zstandard. The digits of float relevance do not compress: level 1 takes six times as long to save 10 %; zeros go at
# any level. What int8 keeps is half as large at level 1
_LEVEL = {"f": -1, "i": 1}
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def zarr_names(names: Sequence[str]) -> dict[str, str]:
    """Names of arrays for names of a model's inputs: those that are no safe path get a hash."""
    lower = [name.lower() for name in names]
    return {
        name: name if _PLAIN.fullmatch(name) and lower.count(name.lower()) == 1 else _safe(name)  # as file systems do
        for name in names
    }


def _safe(name: str) -> str:
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name).strip("._-")[:40] or "input"
    return f"{stem}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def make_group(
    path: Path, order: Order, rows: int, shapes: Mapping[str, tuple[int, ...]], scores: tuple[int, ...] | None
) -> None:
    """Make the group at a new path, with empty arrays; see :meth:`onnx_lrp.batch.store.maps.Maps.create`."""
    names = zarr_names(list(shapes)) if "maps" in order.save else {}
    group = zarr_module().open_group(path, mode="w-")
    group.attrs.update({"inputs": {safe: true for true, safe in names.items()}, "precision": order.precision})
    for true, safe in names.items():
        about = {"input": true}
        _add(group, f"maps/{safe}", (rows, *shapes[true]), STORED[order.precision], order.block, about)
        if order.precision != "float32":
            _add(group, f"scale/{safe}", (rows,), np.dtype(np.float32), order.block, about)
    if scores is not None and "scores" in order.save:
        _add(group, "scores", (rows, *scores), np.dtype(np.float32), order.block, {})


def _add(
    group: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], block: int, about: dict[str, str]
) -> None:
    short = name.rpartition("/")[2]
    group.create_array(
        name, shape=shape, dtype=dtype, attributes=about, fill_value=0 if dtype.kind == "i" else np.nan,
        chunks=(_rows_of_chunk(block, prod(shape[1:]) * dtype.itemsize), *(max(1, n) for n in shape[1:])),
        shards=(block, *(max(1, n) for n in shape[1:])),
        compressors=zarr_module().codecs.ZstdCodec(level=_LEVEL[dtype.kind], checksum=True), filters=None,
        dimension_names=("row", *(f"{short}_{i}" for i in range(1, len(shape)))),
        chunk_key_encoding={"name": "default", "separator": "."},  # a file per block, not a folder for each of its axes
    )  # fmt: skip


def _rows_of_chunk(block: int, size: int) -> int:
    most = max(1, CHUNK_BYTES // max(1, size))
    return max(rows for rows in range(1, min(block, most) + 1) if block % rows == 0)
