"""From a path, bytes or ModelProto to a checked ModelProto: nothing of the model runs here."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message

from ..errors import InvalidModelError, LoadError
from ..text import printable
from .external import attach, nbytes


@dataclass(frozen=True)
class Packed:
    """A model that has been read before: one message with all its weights, and what it is called."""

    data: bytes
    name: str


Source = str | os.PathLike[str] | bytes | onnx.ModelProto | Packed

OLDEST_OPSET = 7
MAX_SIZE = 2**31
METADATA = "onnx_lrp"  # prefix of what a converted model says about itself

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
    _check_text(proto, name)
    _check_opset(proto, name)
    _check_functions(proto, name)
    _check_origin(proto, name)
    attach(tensors(proto), folder, name)
    for tensor in tensors(proto):
        _check_size(tensor, name)
    _check_structure(proto, name)
    _raise_ir_version(proto)
    _check_summands(proto, name)
    _check_schema(proto, name)
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
    name = printable(str(path))
    data = _file(path, name)
    return _parse(data, name), name, path.parent, _digest(data)


def _no_model(given: object) -> str:
    """What to do with something else than a model."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(given).__mro__}
    what = f"a model is a path, bytes or an onnx.ModelProto, not {type(given).__name__}"
    if "torch" in kinds:
        return f"{what}; export it: torch.onnx.export(model, (x,), 'model.onnx'), and give 'model.onnx'"
    if "onnxruntime" in kinds:
        return f"{what}; give the path of the file that the session was made of"
    return f"{what}; give the path of an .onnx file"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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


def graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """The main graph, the functions, and every subgraph, outermost first."""
    stack: list[onnx.GraphProto | onnx.FunctionProto] = [proto.graph, *proto.functions]
    while stack:
        graph = stack.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                stack.extend([attribute.g] if attribute.HasField("g") else attribute.graphs)


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every dense tensor: initializers and attributes, subgraphs and functions included."""
    for graph in graphs(proto):
        yield from getattr(graph, "initializer", ())
        for node in graph.node:
            for attribute in node.attribute:
                yield from [attribute.t] if attribute.HasField("t") else attribute.tensors


def _check_origin(proto: onnx.ModelProto, name: str) -> None:
    made = {prop.key: prop.value for prop in proto.metadata_props}
    if f"{METADATA}.composite" in made:
        version, composite = (made.get(f"{METADATA}.{key}", "?").partition("\n")[0] for key in ("version", "composite"))
        raise InvalidModelError(
            f"{name}: explains itself already (converted by onnx_lrp {printable(version)}, {printable(composite)}); "
            "run it, or give the model that it was made from"
        )


def _check_opset(proto: onnx.ModelProto, name: str) -> None:
    versions = [o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if not versions:
        raise InvalidModelError(f"{name}: imports no opset of the standard domain; export it again")
    if not OLDEST_OPSET <= versions[0] <= newest:
        remedy = "convert it with onnx.version_converter" if versions[0] < OLDEST_OPSET else "upgrade the package onnx"
        raise InvalidModelError(f"{name}: opset {versions[0]} is outside {OLDEST_OPSET} to {newest}; {remedy}")


def _check_functions(proto: onnx.ModelProto, name: str) -> None:
    """A function called like a standard op: some runtimes call it, some run the op, so there are two answers."""
    for function in proto.functions:
        if function.domain in ("", "ai.onnx") and onnx.defs.has(function.name):
            raise InvalidModelError(
                f"{name}: its function {printable(function.name)!r} redefines an op of the standard, so that runtimes "
                "disagree on what it computes; give it another name or a domain of its own"
            )


def _check_text(message: Message, name: str) -> None:
    """Names must be UTF-8: where they are not, protobuf hands over bytes, and nothing can be named.

    Attributes should be, too; but exporters put bytes into those of ops that the check refuses by name.
    """
    if isinstance(message, onnx.AttributeProto):
        if message.HasField("s"):
            message.s = _legible(message.s)
        message.strings[:] = map(_legible, message.strings)
    for field, value in message.ListFields():
        if field.type in (field.TYPE_STRING, field.TYPE_MESSAGE):
            for item in [value] if isinstance(value, str | bytes | Message) else value:
                if isinstance(item, Message):
                    _check_text(item, name)
                elif isinstance(item, bytes):
                    _check_utf8(item, f"{name}: {field.name}")


def _legible(data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode()


def _check_utf8(data: bytes, where: str) -> None:
    try:
        data.decode()
    except UnicodeDecodeError:
        shown = printable(data.decode("utf-8", "replace"))
        raise InvalidModelError(f"{where} {shown!r} is not UTF-8; the file is damaged") from None


def _check_size(tensor: onnx.TensorProto, name: str) -> None:
    """The data must be as long as the dims say: reading past it, or allocating for it, is how small files do harm."""
    where = f"{name}: weight {printable(tensor.name)!r}"
    if tensor.data_type == onnx.TensorProto.STRING:
        return
    wanted = nbytes(tensor, where)
    if tensor.HasField("raw_data"):
        have = len(tensor.raw_data)
    else:  # typed fields hold one number per element, complex ones two
        fields = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
        count = sum(len(getattr(tensor, f)) for f in fields)
        elements = 1
        for n in tensor.dims:
            elements *= n
        have = wanted if count >= -(-elements // 8) and count <= 2 * elements else count
    if have != wanted:
        raise InvalidModelError(
            f"{where}: its shape {list(tensor.dims)} needs {wanted} bytes of raw data, it has {have}"
        )


def _check_structure(proto: onnx.ModelProto, name: str) -> None:
    """Each tensor is made once (SSA) and each one read is made somewhere."""
    graph = proto.graph
    if graph.sparse_initializer:
        raise InvalidModelError(f"{name}: has sparse initializers, which are not supported; store dense ones")
    if not graph.output:
        raise InvalidModelError(f"{name}: has no outputs, so there is nothing to explain; export it again")
    twice = [i for i, count in Counter(value.name for value in graph.input).items() if count > 1]
    if twice:
        raise InvalidModelError(f"{name}: has two inputs called {printable(twice[0])!r}")
    made = {i.name for i in graph.initializer} | {i.name for i in graph.input}
    for node in graph.node:
        for output in filter(None, node.output):
            if output in made:
                raise InvalidModelError(f"{name}: tensor {printable(output)!r} is made twice (not in SSA form)")
            made.add(output)
    for node in graph.node:
        for read in filter(None, node.input):
            if read not in made:
                who = printable(node.name) or node.op_type
                raise InvalidModelError(
                    f"{name}: node {who!r} ({printable(node.op_type)}) reads {printable(read)!r}, which nothing makes"
                )
    for output in graph.output:
        if output.name not in made:
            raise InvalidModelError(f"{name}: output {printable(output.name)!r} is made by no node")


def _shaped(values: Iterable[onnx.ValueInfoProto]) -> bool:
    return all(value.type.tensor_type.HasField("shape") for value in values)


def _raise_ir_version(proto: onnx.ModelProto) -> None:
    """Up to IR 3 initializers had to be inputs, too; quantisers and optimizers add others, and runtimes take them."""
    inputs = {value.name for value in proto.graph.input}
    if proto.ir_version < 4 and any(tensor.name not in inputs for tensor in proto.graph.initializer):
        proto.ir_version = 4


VARIADIC = ("Concat", "Max", "Mean", "Min", "Sum")


def _check_summands(proto: onnx.ModelProto, name: str) -> None:
    """Ops with any number of inputs have no optional ones: the checker does not see to it, and onnxruntime crashes."""
    for graph in graphs(proto):
        for node in graph.node:
            if node.op_type in VARIADIC and "" in node.input:
                who = printable(node.name) or printable(node.op_type)
                raise InvalidModelError(f"{name}: node {who!r} ({printable(node.op_type)}) lacks one of its inputs")


def _check_schema(proto: onnx.ModelProto, name: str) -> None:
    """What onnx's own checker finds, but for what has better messages later on, or runtimes do without.

    It stops at the first fault; if that is one that runtimes do without, the nodes are looked at one by one.
    """
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        if not _is_forgiven(str(error), proto):
            raise InvalidModelError(f"{name}: malformed model: {_first_line(error)}") from None
        _check_nodes(proto, name)
    except ValueError as error:  # models over 2 GiB cannot be serialized for the checker
        raise InvalidModelError(f"{name}: {printable(str(error), 300)}") from None


def _check_nodes(proto: onnx.ModelProto, name: str) -> None:
    context = onnx.checker.C.CheckerContext()
    context.ir_version = proto.ir_version
    context.opset_imports = {item.domain: item.version for item in proto.opset_import}
    for node in proto.graph.node:
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            if not _is_forgiven(str(error), proto):
                raise InvalidModelError(f"{name}: malformed model: {_first_line(error)}") from None


def _is_forgiven(message: str, proto: onnx.ModelProto) -> bool:
    """Whether a fault is none: unknown ops are listed by the check; nodes are sorted, and a cycle is found there."""
    shapeless = "Field 'shape' of 'type' is required" in message and _shaped(proto.graph.input)  # an output's
    return shapeless or "No Op registered for" in message or "topologically sorted" in message


def _first_line(error: Exception) -> str:
    return printable(str(error).splitlines()[0] if str(error) else "unknown", 300)
