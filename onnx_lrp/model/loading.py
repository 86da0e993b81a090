"""From a path, bytes or ModelProto to a checked ModelProto: nothing of the model runs here."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ..errors import LoadError
from ..text import brief
from .external import attach
from .wellformed import check_body, check_header, tensors


@dataclass(frozen=True)
class Packed:
    """A model that has been read before: one message with all its weights, and what it is called."""

    data: bytes
    name: str


Source = str | os.PathLike[str] | bytes | onnx.ModelProto | Packed

PIECE = 1 << 20  # bytes that are read at once
MAX_SIZE = 2**31

# What people hand over by mistake, by its first bytes
FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself", "fetch it with: git lfs pull"),
    (b"PK\x03\x04", "a zip archive, such as a PyTorch checkpoint", "export it with torch.onnx.export"),
    (b"\x80\x02", "a Python pickle", "export the model to ONNX"),
    (b"\x80\x03", "a Python pickle", "export the model to ONNX"),
    (b"\x80\x04", "a Python pickle", "export the model to ONNX"),
    (b"\x80\x05", "a Python pickle", "export the model to ONNX"),
    (b"\x89HDF", "an HDF5 file, such as a Keras model", "export it with tf2onnx or keras' model.export"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"<", "a web page or XML", "download the file itself"),
    (b"{", "JSON text", "export the model to ONNX"),
)

# The same in memory, by package and class
DATA = "that is data: the model comes first, then x"
EXPORTS = {
    "torch.Module": "export it: torch.onnx.export(model, (x,), 'model.onnx'), and give 'model.onnx'",
    "keras.Model": "export it: model.export('model.onnx', format='onnx'), and give 'model.onnx'",
    "tensorflow.Module": "export it with tf2onnx.convert, and give the file that it writes",
    "sklearn.BaseEstimator": "export it with skl2onnx.to_onnx, and give the file that you save",
    "torch.Tensor": DATA,
    "numpy.ndarray": DATA,
}


@dataclass(frozen=True)
class Loaded:
    """A model whose weights are all inside the message, and what to call it in messages."""

    proto: onnx.ModelProto
    source: str
    sha256: str


def load(source: Source) -> Loaded:
    """Read and check a model.

    Args:
        source: a path, the file's bytes, or a ``ModelProto`` (which is copied, never changed).

    Raises:
        LoadError: not readable as ONNX, or external data that is missing or outside the model's folder.
        InvalidModelError: ONNX, but malformed.
    """
    proto, name, folder, digest = _read(source)
    if not proto.graph.node and not proto.graph.output:
        raise LoadError(f"{name}: not an ONNX model: it has no graph; export it again")
    check_header(proto, name)
    attach(tensors(proto), folder, name)
    check_body(proto, name)
    return Loaded(proto, name, digest)


def pack(source: Source) -> Packed:
    """A model with all its weights as one message, so that it can go to another process or machine.

    Raises:
        LoadError: it cannot be read any more, or is larger than a message can be.
    """
    if isinstance(source, Packed):
        return source
    loaded = load(source)
    try:
        return Packed(loaded.proto.SerializeToString(), loaded.source)
    except ValueError:
        raise LoadError(
            f"{loaded.source}: larger than 2 GiB with its weights, too large for a message; make an Explainer in each "
            "process"
        ) from None


def _read(source: Source) -> tuple[onnx.ModelProto, str, Path | None, str]:
    if isinstance(source, onnx.ModelProto):
        proto = onnx.ModelProto()
        proto.CopyFrom(source)
        return proto, "<ModelProto>", None, _digest(proto.SerializeToString(deterministic=True))
    if isinstance(source, bytes):
        return _parse(source, "<bytes>"), "<bytes>", None, _digest(source)
    if isinstance(source, Packed):
        return _parse(source.data, source.name), source.name, None, _digest(source.data)
    if not isinstance(source, str | os.PathLike):
        raise LoadError(_no_model(source))
    path = Path(source)
    name = brief(str(path))
    data = _file(path, name)
    return _parse(data, name), name, path.parent, _digest(data)


def _no_model(given: object) -> str:
    """What to do with something else than a model."""
    kinds = {f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(given).__mro__}
    what = f"a model is a path, bytes or an onnx.ModelProto, not {type(given).__name__}"
    if "onnxruntime.InferenceSession" in kinds:
        path = getattr(given, "_model_path", None)
        return f"{what}; give the path of the file that the session was made of{f': {brief(path)!r}' if path else ''}"
    exports = (remedy for kind, remedy in EXPORTS.items() if kind in kinds)
    return f"{what}; {next(exports, 'give the path of an .onnx file')}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits; of a large one piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _file(path: Path, name: str) -> bytes:
    if not os.path.exists(path):  # unlike Path.exists, it takes any name
        raise LoadError(f"{name}: no such file")
    if not os.path.isfile(path):
        raise LoadError(f"{name}: is not a file; give the path of an .onnx file")
    if path.stat().st_size > MAX_SIZE:
        raise LoadError(f"{name}: larger than 2 GiB; store the weights as external data")
    try:
        return path.read_bytes()
    except OSError as error:
        raise LoadError(f"{name}: cannot be read: {error.strerror}") from None


def _parse(data: bytes, name: str) -> onnx.ModelProto:
    if not data:
        raise LoadError(f"{name}: the file is empty; export or fetch it again")
    for magic, what, remedy in FOREIGN:
        if data.startswith(magic):
            raise LoadError(f"{name}: not an ONNX file but {what}; {remedy}")
    try:
        proto = onnx.ModelProto()
        proto.ParseFromString(data)
    except DecodeError:
        text = data[:256].isascii() and b"\0" not in data[:256]
        what = "text" if text else "damaged or cut off (or no ONNX file at all)"
        raise LoadError(f"{name}: not a readable ONNX file: it is {what}; export or fetch it again") from None
    return proto
