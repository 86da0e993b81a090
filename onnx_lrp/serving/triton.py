"""A model repository for NVIDIA's Triton Inference Server: the model, its configuration, names of its classes.

Triton's ONNX backend refuses an optional input where it makes batches. So in a batched model ``target`` is given in
every request, one index for each sample and -1 for the largest output; then all requests are alike, and any of them
share a batch. Where the batch is fixed, ``target`` may be optional.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import onnx

from ..errors import ConversionError, InputError
from ..pictures.labels import read_labels
from ..text import printable
from .prototext import Bare, prototext
from .signature import Port, Signature, signature_of

# What its ONNX backend passes; bfloat16 is a type of Triton's, but none of that backend's
TRITON_TYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16", "float": "FP32", "double": "FP64",
    "string": "STRING",
}  # fmt: skip
LABELS_FILE = "labels.txt"
LONGEST_NAME = 200  # it is a folder's, too
MOST_BATCHED = 32


def triton_files(
    model: onnx.ModelProto, name: str, labels: Sequence[str] = (), max_batch: int = MOST_BATCHED
) -> dict[str, bytes]:
    """The files of a Triton model repository.

    Args:
        model: a converted model; with an open batch its ``target`` must be an input (``target_input=True``).
        name: what requests call it: at most 200 letters, digits, ``.``, ``_`` and ``-``, a letter or digit first.
        labels: names of the classes; empty if they are not known.
        max_batch: the most samples of a batch, if the first axis is open.

    Returns:
        Contents by path inside of the repository.

    Raises:
        ConversionError: the model cannot be served so.
        InputError: the name, the labels or ``max_batch`` do not fit.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII) or len(name) > LONGEST_NAME:
        raise InputError(
            f"{printable(name)!r} is no name for a served model; use letters, digits, '.', '_' and '-', "
            f"at most {LONGEST_NAME}, a letter or digit first"
        )
    if max_batch < 1:
        raise InputError(f"a batch has at least one sample, not {max_batch}")
    signature = signature_of(model)
    _require_alike(signature)
    files = {
        f"{name}/1/model.onnx": model.SerializeToString(deterministic=True),
        f"{name}/config.pbtxt": triton_config(signature, name, labels, max_batch).encode(),
    }
    if labels:
        # one line each: a line's end inside of a name would move all names behind it
        files[f"{name}/{LABELS_FILE}"] = "".join(f"{label}\n" for label in read_labels(labels)).encode()
    for port in signature.inputs:
        if port.name in signature.controls and not port.optional:
            shape = request_shape(port, signature.batched)
            files[f"{name}/warmup/{port.name}"] = np.full(shape, -1, np.int64).tobytes()
    return files


def triton_config(signature: Signature, name: str, labels: Sequence[str] = (), max_batch: int = MOST_BATCHED) -> str:
    """``config.pbtxt``.

    Raises:
        ConversionError: a type that Triton lacks.
        InputError: no output has as many classes as there are labels.
    """
    batched, named = signature.batched, named_output(signature, labels)
    if labels and not named:
        raise InputError(f"there are {len(labels)} labels, and no output has that many classes; give others (--labels)")
    inputs = [{**_field(port, batched), **({"optional": True} if port.optional else {})} for port in signature.inputs]
    outputs = [
        {**_field(port, batched), **({"label_filename": LABELS_FILE} if port.name == named else {})}
        for port in signature.outputs
    ]
    about = [
        {"key": f"onnx_lrp.{key}", "value": {"string_value": value.partition("\n")[0]}}
        for key, value in sorted(signature.about.items())
    ]
    return prototext({
        "name": name, "platform": "onnxruntime_onnx", "backend": "onnxruntime",
        "max_batch_size": max_batch if batched else 0, "input": inputs, "output": outputs,
        **({"dynamic_batching": {}} if batched else {}),
        "instance_group": [{"count": 1, "kind": Bare("KIND_AUTO")}],
        "model_warmup": [_warmup(signature)], "parameters": about,
    })  # fmt: skip


def triton_type(port: Port) -> str:
    """``FP32``.

    Raises:
        ConversionError: Triton's ONNX backend has no such type.
    """
    kind = port.kind.removeprefix("tensor(").removesuffix(")")
    if kind not in TRITON_TYPES:
        raise ConversionError(
            f"{printable(port.name)!r} holds {printable(kind)}, which Triton's ONNX backend cannot pass; "
            "export the model with another type"
        )
    return TRITON_TYPES[kind]


def request_shape(port: Port, batched: bool) -> tuple[int, ...]:
    """The shape in a request for one sample; what is a number per sample has an axis for it."""
    dims = _dims(port.sample(), batched)
    return (1, *dims) if batched else dims


def _require_alike(signature: Signature) -> None:
    """Refuse an optional input where batches could be made."""
    optional = [port.name for port in signature.inputs if port.optional]
    if optional and signature.open:
        raise ConversionError(
            f"Triton makes no batches with an optional input ({printable(optional[0])!r}); "
            "convert with target_input=True"
        )


def _dims(shape: tuple[int, ...], batched: bool) -> tuple[int, ...]:
    """As the configuration has them: without the batch, and never none."""
    return (shape[1:] if batched else shape) or (1,)


def _field(port: Port, batched: bool) -> dict[str, object]:
    reshaped: dict[str, object] = {"reshape": {"shape": []}} if batched and len(port.shape) == 1 else {}
    kind = Bare(f"TYPE_{triton_type(port)}")
    return {"name": port.name, "data_type": kind, "dims": _dims(port.shape, batched), **reshaped}


def _warmup(signature: Signature) -> dict[str, object]:
    """A first request with zeros, so that the first real one does not wait; it explains the largest output."""
    batched = signature.batched
    inputs = [
        {"key": port.name, "value": {
            "data_type": Bare(f"TYPE_{triton_type(port)}"), "dims": _dims(port.sample(), batched),
            **({"input_data_file": port.name} if port.name in signature.controls else {"zero_data": True}),
        }}
        for port in signature.inputs if not port.optional
    ]  # fmt: skip
    return {"name": "zeros", "batch_size": 1, "inputs": inputs}


def named_output(signature: Signature, labels: Sequence[str]) -> str:
    """The output whose elements have these names, the explained one before others; empty if there is none."""
    explained = signature.about.get("explains")
    ports = sorted(signature.outputs, key=lambda port: port.name != explained)
    own = [port for port in ports if not port.name.removeprefix("lrp_").startswith("relevance")]
    fits = [port.name for port in own if len(labels) in (math.prod(port.shape[1:]), *port.shape[-1:])]
    return fits[0] if fits else ""
