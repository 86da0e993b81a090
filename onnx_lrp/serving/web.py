"""A converted model for onnxruntime-web, which runs in browsers and on phones: one file, of types that it passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx

from ..errors import ConversionError
from ..model.runtime import SessionOptions, make_session
from ..model.wellformed import graphs, tensors
from ..text import printable
from .signature import Signature, signature_of

NEWEST_WEB_IR, NEWEST_WEB_OPSET = 8, 21
# What a tensor of onnxruntime-web can hold
WEB_TYPES = {
    "FLOAT", "FLOAT16", "DOUBLE", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "BOOL",
    "STRING",
}  # fmt: skip
WEB_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}


def for_web(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, in a form that onnxruntime-web takes, the older versions, too.

    Args:
        model: a converted model, all of whose inputs must be given (``target_input=True``): JavaScript's onnxruntime
            leaves out those that have a default, without a word.

    Returns:
        A copy in IR version 8 at most, checked by ONNX's checker, and loaded by onnxruntime.

    Raises:
        ConversionError: it holds what onnxruntime-web lacks.
        InvalidModelError: onnxruntime refuses it.
    """
    signature = signature_of(model)
    found = next(_obstacles(model, signature), None)
    if found is not None:
        raise ConversionError(f"onnxruntime-web {found}")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = min(copy.ir_version, NEWEST_WEB_IR)
    _forget_newer_fields(copy)
    _check(copy)
    return copy


def web_notes(model: onnx.ModelProto) -> Iterator[str]:
    """What works, but is worth knowing: numbers of 16 bits, a new opset."""
    signature = signature_of(model)
    halves = [printable(port.name) for port in (*signature.inputs, *signature.outputs) if "float16" in port.kind]
    if halves:
        yield f"{', '.join(halves)}: float16, which JavaScript passes as Float16Array, or as Uint16Array"
    elif count := _types(model)["FLOAT16"]:
        yield f"{count} tensors inside are float16: half the download, but wasm computes them in float32, and slower"
    version = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if version > NEWEST_WEB_OPSET:
        yield f"opset {version} needs an onnxruntime-web that is as new; opset {NEWEST_WEB_OPSET} runs from 1.18 on"


def _obstacles(model: onnx.ModelProto, signature: Signature) -> Iterator[str]:
    """What onnxruntime-web cannot do with this model, as the rest of a sentence."""
    for port in signature.inputs:
        if port.optional:
            name = printable(port.name)
            yield f"cannot be given the optional input {name!r}; convert with target_input=True (--target-input)"
    for port in (*signature.inputs, *signature.outputs):
        kind = port.kind.removeprefix("tensor(").removesuffix(")")
        if kind.upper() not in WEB_TYPES:
            yield f"has no {printable(kind)}, which {printable(port.name)!r} holds; export the model with another type"
    for kind in _types(model):
        if kind not in WEB_TYPES:
            yield f"of every version has no {kind.lower()}, which a weight holds; export the model with float32 or int8"
    for domain in sorted({node.domain for graph in graphs(model) for node in graph.node} - WEB_DOMAINS):
        if domain not in {function.domain for function in model.functions}:
            yield f"has no ops of the domain {printable(domain)!r}; export the model without them"
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors(model)):
        yield "would need a second file with the weights; load them before (onnx.load_external_data_for_model)"


def _types(model: onnx.ModelProto) -> Counter[str]:
    """How many tensors inside are of each type, and how many nodes make it (Cast)."""
    casts = (
        attribute.i for graph in graphs(model) for node in graph.node if node.op_type == "Cast"
        for attribute in node.attribute if attribute.name == "to"
    )  # fmt: skip
    return Counter(map(onnx.TensorProto.DataType.Name, [*(tensor.data_type for tensor in tensors(model)), *casts]))


def _forget_newer_fields(model: onnx.ModelProto) -> None:
    """Notes on nodes, values and tensors came with IR version 10, and no runtime reads them."""
    for graph in graphs(model):
        for part in (graph, *graph.node, *graph.value_info, *getattr(graph, "initializer", ())):
            part.ClearField("metadata_props")


def _check(model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ConversionError(f"the model for the web is not valid ONNX: {printable(str(error), 300)}") from None
    make_session(model.SerializeToString(), SessionOptions(threads=1), "the model for the web")
