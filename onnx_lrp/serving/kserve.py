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
from .triton import MOST_BATCHED, is_control, request_shape, triton_files, triton_type

REPOSITORY, SERVICE_FILE, REQUEST_FILE = "models", "inferenceservice.yaml", "request.json"
STORAGE = "pvc://CLAIM/models"
# Kubernetes' 63, less what KServe and Knative put behind a name: NAME-predictor-default-00001
LONGEST_SERVICE = 63 - len("-predictor-default-00001")
V2_TYPES = {"STRING": "BYTES"}  # what the protocol calls otherwise than Triton's configuration
SERVICE = """\
# {repository}/ goes where storageUri points; then: kubectl apply -f {file}
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
    memory = 1 + math.ceil(4 * sum(map(len, files.values())) / 2**30)
    service = SERVICE.format(
        repository=REPOSITORY, file=SERVICE_FILE, service=_quoted(service_name(name)), uri=_quoted(storage_uri),
        memory=memory,
    )  # fmt: skip
    request = json.dumps(v2_request(signature_of(model)))
    return {
        **{f"{REPOSITORY}/{path}": content for path, content in files.items()},
        SERVICE_FILE: service.encode(),
        REQUEST_FILE: f"{request}\n".encode(),
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
    """The body of a request of the V2 protocol: one sample of zeros, explained for its largest output."""
    required = [port for port in signature.inputs if not port.optional]
    return {
        "inputs": [_tensor(port, signature.batched) for port in required],
        "outputs": [{"name": port.name} for port in signature.outputs],
    }


def _tensor(port: Port, batched: bool) -> dict[str, object]:
    kind, shape = triton_type(port), request_shape(port, batched)
    value: object = "" if kind == "STRING" else False if kind == "BOOL" else -1 if is_control(port) else 0
    data = [value] * math.prod(shape)
    return {"name": port.name, "shape": shape, "datatype": V2_TYPES.get(kind, kind), "data": data}
