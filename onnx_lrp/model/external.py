"""External data: weights in files beside the model, read only from inside the model's own folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from ..errors import LoadError

MOST_BYTES = 2**31  # bytes of weights: the largest model that fits one protobuf message


def attach(tensors: Iterator[onnx.TensorProto], folder: Path | None, source: str) -> None:
    """Read every external tensor's bytes into the message itself.

    Raises:
        LoadError: a file is missing, too short, not a regular file, or outside the model's folder.
    """
    read, files = 0, {}
    for tensor in tensors:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        where = f"{source}: weight {tensor.name!r}"
        if folder is None:
            raise LoadError(f"{where} lies in another file; pass the model's path instead of its bytes")
        path, offset, length = _entry(tensor, folder, where)
        read += length
        files[path] = path.stat().st_size
        if read > min(
            MOST_BYTES, 2 * sum(files.values())
        ):  # many tensors over the same few bytes: a small file that explodes
            raise LoadError(
                f"{where}: external data adds up to over {read >> 20} MiB, more than its files or 2 GiB hold"
            )
        with path.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def files_of(model: Path) -> Iterator[Path]:
    """A model's file and those of its external data, as far as they can be read."""
    yield model
    try:
        proto = onnx.load(model, load_external_data=False)
    except Exception:  # whoever explains it says why
        return
    locations = {e.value for t in proto.graph.initializer for e in t.external_data if e.key == "location"}
    yield from (model.parent / location for location in locations)


def _entry(tensor: onnx.TensorProto, folder: Path, where: str) -> tuple[Path, int, int]:
    """Checked path, offset and length of one tensor."""
    entry = {e.key: e.value for e in tensor.external_data}
    path = _inside(entry.get("location", ""), folder, where)
    size, wanted = path.stat().st_size, nbytes(tensor, where)
    try:
        offset, length = int(entry.get("offset", 0)), int(entry.get("length", wanted))
    except ValueError:
        raise LoadError(f"{where}: offset or length of its external data is not a number") from None
    if offset < 0 or length != wanted or offset + length > size:
        raise LoadError(f"{where}: needs {wanted} bytes at {offset}, but {path.name!r} has {size}; fetch it again")
    return path, offset, length


def _inside(location: str, folder: Path, where: str) -> Path:
    """The regular file at ``location`` inside ``folder``; links and ways out are refused."""
    path, real = folder / location, Path(os.path.realpath(folder / location))
    if not location or "\\" in location or not real.is_relative_to(os.path.realpath(folder)) or path.is_symlink():
        raise LoadError(f"{where}: its external data {location!r} is not a plain file inside the model's folder")
    if not real.exists():
        raise LoadError(f"{where}: its external data {location!r} is missing; put that file beside the model")
    if not real.is_file() or real.stat().st_nlink > 1:
        raise LoadError(f"{where}: its external data {location!r} is not a plain file of its own")
    return real


def nbytes(tensor: onnx.TensorProto, where: str) -> int:
    """Bytes that the declared dims and type need.

    Raises:
        LoadError: a negative size, an unknown type, or more than 2 GiB.
    """
    count = 1
    for n in tensor.dims:
        if n < 0:
            raise LoadError(f"{where}: has a negative dimension, {list(tensor.dims)}")
        count *= n
    bits = _bits(tensor.data_type)
    if bits is None:
        raise LoadError(f"{where}: has the element type {tensor.data_type}, which holds no numbers")
    size = -(-count * bits // 8)
    if size > MOST_BYTES:
        raise LoadError(f"{where}: its shape {list(tensor.dims)} needs {size >> 30} GiB; the limit is 2 GiB")
    return size


def _bits(data_type: int) -> int | None:
    import onnx_ir

    try:
        bits: Any = onnx_ir.DataType(data_type).bitwidth
    except (TypeError, ValueError):
        return None
    return int(bits)
