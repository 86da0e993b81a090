"""What KServe needs: a Triton repository to put into a storage, the InferenceService that serves it, and a request."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

import onnx

from ..errors import InputError
from ..text import printable
from .signature import Port, Signature, signature_of
from .triton import MOST_BATCHED, request_shape, triton_files, triton_type

REPOSITORY, SERVICE_FILE = "models", "inferenceservice.yaml"
REQUEST_FILE, RAW_REQUEST_FILE = "request.json", "request.bin"
STORAGE = "pvc://CLAIM/models"
# Kubernetes' 63, less what KServe and Knative put behind a name: NAME-predictor-default-00001
LONGEST_SERVICE = 63 - len("-predictor-default-00001")
V2_TYPES = {"STRING": "BYTES"}  # what the protocol calls otherwise than Triton's configuration
SERVICE = """\
# {repository}/ goes where storageUri points; then: kubectl apply -f {file}
# {ask}
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {service}
spec:
  predictor:
    minReplicas: 1
    model:
      modelFormat:
        name: triton
      runtime: kserve-tritonserver
      protocolVersion: v2
      storageUri: {uri}
      resources:
        requests:
          cpu: "1"
          memory: {memory}Gi
        limits:
          cpu: "2"
          memory: {memory}Gi
"""


def kserve_files(
    model: onnx.ModelProto,
    name: str,
    labels: Sequence[str] = (),
    max_batch: int = MOST_BATCHED,
    storage_uri: str = STORAGE,
) -> dict[str, bytes]:
    """The files that serve a model with KServe's Triton runtime.

    Args:
        model: as for :func:`triton_files`.
        name: as for :func:`triton_files`.
        labels: names of the classes; empty if they are not known.
        max_batch: the most samples of a batch, if the first axis is open.
        storage_uri: where the folder ``models`` will lie: ``s3://BUCKET/FOLDER``, ``gs://...``, ``pvc://CLAIM/FOLDER``.

    Returns:
        Contents by path: the repository in ``models``, beside it the service and a request.

    Raises:
        ConversionError, InputError: as for :func:`triton_files`, or the address is none.
    """
    if not (re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", storage_uri) and storage_uri.isprintable()):
        raise InputError(f"{printable(storage_uri)!r} is no address of a storage; write it as s3://BUCKET/FOLDER")
    files = triton_files(model, name, labels, max_batch)
    ask, request = _request(signature_of(model), name)
    memory = 1 + math.ceil(4 * sum(map(len, files.values())) / 2**30)
    service = SERVICE.format(
        repository=REPOSITORY, file=SERVICE_FILE, service=_quoted(service_name(name)), uri=_quoted(storage_uri),
        memory=memory, ask=ask,
    )  # fmt: skip
    return {
        **{f"{REPOSITORY}/{path}": content for path, content in files.items()},
        SERVICE_FILE: service.encode(),
        **request,
    }


def service_name(name: str) -> str:
    """A name as Kubernetes takes it for a service: lower case letters, digits and ``-``, a letter first, at most 39."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    label = label if label[:1].isalpha() else f"model-{label}"
    return label[:LONGEST_SERVICE].strip("-")


def _quoted(text: str) -> str:
    """For YAML, which reads ``on`` and ``0123`` as something else, and takes no halves of characters as JSON does."""
    return json.dumps(text, ensure_ascii=False)


def v2_request(signature: Signature) -> dict[str, object]:
    """A request of the V2 protocol, as JSON: one sample of zeros, explained for its largest output.

    JSON has no float16 there: such an input is bytes behind the JSON, such an output comes back as bytes.
    """
    return {
        "inputs": [_tensor(port, signature) for port in _required(signature)],
        "outputs": [
            {"name": port.name, **({"parameters": {"binary_data": True}} if _is_half(port) else {})}
            for port in signature.outputs
        ],
    }


def _request(signature: Signature, name: str) -> tuple[str, dict[str, bytes]]:
    """The command that sends the request, and the file that it sends."""
    request = json.dumps(v2_request(signature)).encode()
    raw = bytes(sum(_raw_size(port, signature) for port in _required(signature) if _is_half(port)))
    file, content, how = REQUEST_FILE, request + b"\n", "--json"
    if raw:
        file, content = RAW_REQUEST_FILE, request + raw
        how = f'-H "Inference-Header-Content-Length: {len(request)}" --data-binary'
    return f'curl -s -H "Host: $HOST" {how} @{file} http://$INGRESS/v2/models/{name}/infer', {file: content}


def _required(signature: Signature) -> list[Port]:
    return [port for port in signature.inputs if not port.optional]


def _tensor(port: Port, signature: Signature) -> dict[str, object]:
    kind, shape = triton_type(port), request_shape(port, signature.batched)
    about = {"name": port.name, "shape": shape, "datatype": V2_TYPES.get(kind, kind)}
    if _is_half(port):
        return {**about, "parameters": {"binary_data_size": _raw_size(port, signature)}}
    least = -1 if port.name in signature.controls else 0
    value: object = "" if kind == "STRING" else False if kind == "BOOL" else least
    return {**about, "data": [value] * math.prod(shape)}


def _is_half(port: Port) -> bool:
    return triton_type(port) == "FP16"


def _raw_size(port: Port, signature: Signature) -> int:
    return 2 * math.prod(request_shape(port, signature.batched))
