"""Whether a message makes sense as a model: names, sizes, structure and schema, all in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import onnx
from google.protobuf.message import Message

from ..errors import InvalidModelError
from ..text import printable
from .external import nbytes

OLDEST_OPSET = 7
METADATA = "onnx_lrp"  # prefix of what a converted model says about itself
VARIADIC = ("Concat", "Max", "Mean", "Min", "Sum")


def check_header(proto: onnx.ModelProto, name: str) -> None:
    """What can be said before any weight is read.

    Raises:
        InvalidModelError: names that are no text, an opset or a function that cannot be, or a converted model.
    """
    _check_text(proto, name)
    _check_opset(proto, name)
    _check_functions(proto, name)
    _check_origin(proto, name)


def check_body(proto: onnx.ModelProto, name: str) -> None:
    """The rest, with all weights inside the message; an old IR version is raised where others would insist on it.

    Raises:
        InvalidModelError: weights of another size than they say, nodes or attributes that make no sense.
    """
    for tensor in tensors(proto):
        _check_size(tensor, name)
    _check_structure(proto, name)
    _raise_ir_version(proto)
    _check_summands(proto, name)
    _check_schema(proto, name)


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
