"""KServe: the service as YAML reads it, and a request of the V2 protocol that fits the model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from served_nets import CNN, OPEN_BATCH, converted, small

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.errors import InputError
from onnx_lrp.serving.kserve import kserve_files, service_name
from onnx_lrp.serving.triton import triton_files


def service(files: dict[str, bytes]) -> Any:
    return pytest.importorskip("yaml").safe_load(files["inferenceservice.yaml"])


def test_the_service() -> None:
    files = kserve_files(converted(), "mnist_cnn", storage_uri="s3://bucket/a: b#c".replace(" ", "%20"))
    read = service(files)
    assert (read["apiVersion"], read["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    assert read["metadata"]["name"] == "mnist-cnn"
    model = read["spec"]["predictor"]["model"]
    assert model["modelFormat"] == {"name": "triton"}
    assert (model["runtime"], model["protocolVersion"]) == ("kserve-tritonserver", "v2")
    assert model["storageUri"] == "s3://bucket/a:%20b#c"
    assert model["resources"]["requests"] == {"cpu": "1", "memory": "2Gi"}


def test_the_repository_is_triton_s() -> None:
    files = kserve_files(converted(), "mnist")
    inside = {path.removeprefix("models/"): data for path, data in files.items() if path.startswith("models/")}
    assert inside == triton_files(converted(), "mnist")
    assert set(files) - {f"models/{path}" for path in inside} == {"inferenceservice.yaml", "request.json"}


def test_the_request_is_answered() -> None:
    """As Triton reads it: the shapes in the request are the model's, but that a number per sample has an axis."""
    files = kserve_files(converted(), "mnist")
    request = json.loads(files["request.json"])
    kinds = {"FP32": np.float32, "INT64": np.int64}
    given = {tensor["name"]: tensor for tensor in request["inputs"]}
    assert given["target"] == {"name": "target", "shape": [1, 1], "datatype": "INT64", "data": [-1]}
    feeds = {
        name: np.array(tensor["data"], kinds[tensor["datatype"]]).reshape(tensor["shape"])
        for name, tensor in given.items()
    }
    feeds["target"] = feeds["target"].reshape(-1)  # reshape { shape: [] }
    session = ort.InferenceSession(files["models/mnist/1/model.onnx"], providers=["CPUExecutionProvider"])
    names = [output["name"] for output in request["outputs"]]
    logits, relevance = session.run(names, feeds)
    assert logits.shape == (1, 10)
    assert relevance.shape == (1, 1, 28, 28)


HALF = OPEN_BATCH.replace("float[", "float16[")


def test_halves_are_bytes_behind_the_request() -> None:
    """Triton refuses float16 in JSON, in both directions; the header says where the JSON ends."""
    files = kserve_files(lrp.convert(small(HALF), "epsilon", target_input=True), "half")
    (command,) = re.findall(r"# (curl .*)", files["inferenceservice.yaml"].decode())
    end = int(re.findall(r"Inference-Header-Content-Length: (\d+)", command)[0])
    assert "--data-binary @request.bin http://$INGRESS/v2/models/half/infer" in command
    assert "request.json" not in files
    request, raw = json.loads(files["request.bin"][:end]), files["request.bin"][end:]
    assert request["inputs"] == [
        {"name": "x", "shape": [1, 3], "datatype": "FP16", "parameters": {"binary_data_size": 6}},
        {"name": "target", "shape": [1, 1], "datatype": "INT64", "data": [-1]},
    ]
    assert raw == np.zeros(3, np.float16).tobytes()
    assert request["outputs"] == [{"name": "y", "parameters": {"binary_data": True}}, {"name": "relevance"}]


def test_how_the_request_is_sent_is_said() -> None:
    said = kserve_files(converted(), "mnist")["inferenceservice.yaml"].decode().splitlines()[1]
    assert said == '# curl -s -H "Host: $HOST" --json @request.json http://$INGRESS/v2/models/mnist/infer'


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mnist_cnn", "mnist-cnn"), ("A.B__c-", "a-b-c"), ("x" * 80, "x" * 39), ("7", "model-7"), ("_", "model"),
     ("2024-model", "model-2024-model"), (f"{'x' * 38}.y", "x" * 38)],
)  # fmt: skip
def test_names_as_kubernetes_takes_them(name: str, expected: str) -> None:
    assert service_name(name) == expected


@pytest.mark.parametrize("name", ["on", "true", "null", "0123", "1e3", "2024-model", "no", "y"])
def test_names_stay_names_in_yaml(name: str) -> None:
    """They are quoted: YAML has other readings of some words and numbers; and Kubernetes wants a letter first."""
    files = kserve_files(converted(), name, storage_uri="s3://on/\u00e9\U0001f600")
    read = service(files)
    assert read["metadata"]["name"] == service_name(name)
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", service_name(name))
    assert read["spec"]["predictor"]["model"]["storageUri"] == "s3://on/\u00e9\U0001f600"


@pytest.mark.parametrize("uri", ["bucket/models", "s3://a b", 's3://a\n"x', "", "s3://a\udcff", "s3://a\x9b"])
def test_no_address(uri: str) -> None:
    with pytest.raises(InputError, match="no address"):
        kserve_files(converted(), "mnist", storage_uri=uri)


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", CNN, "out", "--for", "kserve", "--preprocess", "zero-one"]) == 0
    printed, remarks = capsys.readouterr()
    assert "inferenceservice.yaml" in printed
    assert "--storage-uri" in remarks
    assert Path("out/models/mnist_cnn/config.pbtxt").is_file()
    assert main(["convert", CNN, "out", "--for", "kserve", "--storage-uri", "gs://b/m", "--force"]) == 0
    assert "gs://b/m" in Path("out/inferenceservice.yaml").read_text()
    assert "--storage-uri" not in capsys.readouterr().err
