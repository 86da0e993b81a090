"""The example's server: 200 requests at once are answered as the explainer answers one after the other."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image
from served_nets import CNN, COMPOSITE, EXAMPLE, FIXED, OPEN_BATCH, ROOT, converted, digit, small

import onnx_lrp as lrp

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")

REQUESTS = 200
LIMITS = httpx.Limits(max_connections=REQUESTS)
DIGITS = ROOT / "models" / "digits"


@pytest.fixture(scope="module", params=[True, False], ids=["target given", "target optional"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("served") / "mnist.onnx"
    onnx.save(converted(request.param), path)
    server = uvicorn.Server(uvicorn.Config(load_app().serve(str(path)), port=0, ws="none", log_level="error"))
    thread = Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=60, trust_env=False, limits=LIMITS) as client:
        yield client
    server.should_exit = True
    thread.join()


def load_app() -> Any:
    spec = importlib.util.spec_from_file_location("served_app", EXAMPLE / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unpacked(answer: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(answer["relevance"]), "<f4").reshape(answer["shape"])


def test_many_requests_at_once(client: Any) -> None:
    rng = np.random.default_rng(0)
    digits = np.concatenate([digit(str(i)) for i in range(10)])
    x = np.clip(digits[np.arange(REQUESTS) % 10] + rng.normal(0, 0.2, (REQUESTS, 1, 28, 28)), 0, 1).astype(np.float32)
    targets = [None if i % 3 else int(rng.integers(10)) for i in range(REQUESTS)]
    explainer = lrp.Explainer(CNN, COMPOSITE, backend="numpy")
    asked = [-1 if target is None else target for target in targets]
    best = explainer(x)
    wanted = [best.target[i] if t < 0 else t for i, t in enumerate(asked)]
    expected = explainer(x, wanted)

    def ask(i: int) -> dict[str, Any]:
        body = {"input": x[i].tolist(), **({} if targets[i] is None else {"target": targets[i]})}
        answer = client.post("/explain?relevance=base64", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    with ThreadPoolExecutor(REQUESTS) as pool:
        answers = list(pool.map(ask, range(REQUESTS)))
    for i, answer in enumerate(answers):
        assert answer["prediction"] == best.target[i]
        assert answer["target"] == wanted[i]
        scale = float(np.abs(expected.relevance[i]).max())
        np.testing.assert_allclose(unpacked(answer), expected.relevance[i], rtol=1e-4, atol=1e-5 * scale)
        odds = np.exp(best.output[i] - best.output[i].max())
        assert answer["probability"] == pytest.approx(float(odds.max() / odds.sum()), rel=1e-4)


def test_a_picture(client: Any) -> None:
    explained = lrp.Explainer(CNN, COMPOSITE, backend="numpy", preprocessing="zero-one")(str(DIGITS / "3.png"))
    post = {"content": (DIGITS / "3.png").read_bytes(), "headers": {"content-type": "image/png"}}
    listed, packed, drawn = (
        client.post(f"/explain?relevance={form}", **post).json() for form in ("list", "base64", "png")
    )
    assert listed["prediction"] == listed["target"] == 3
    assert listed["probability"] == pytest.approx(float(explained.probability[0]), rel=1e-4)
    np.testing.assert_array_equal(np.float32(listed["relevance"]), unpacked(packed))
    np.testing.assert_allclose(unpacked(packed), explained.relevance[0], rtol=1e-3, atol=1e-5)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn["relevance"]))).convert("RGB")).astype(int)
    assert image.shape == (28, 28, 3)
    row, column = np.unravel_index(unpacked(packed)[0].argmax(), (28, 28))
    assert tuple(image[row, column]) == (255, 0, 0)


@pytest.mark.parametrize("target", [1, 8])
def test_another_class(client: Any, target: int) -> None:
    expected = lrp.explain(CNN, digit(), target=target, composite=COMPOSITE, backend="numpy").relevance
    answer = client.post(f"/explain?relevance=base64&target={target}", content=(DIGITS / "3.png").read_bytes()).json()
    assert (answer["prediction"], answer["target"]) == (3, target)
    np.testing.assert_allclose(unpacked(answer), expected[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", json.dumps({"input": [1, 2]}).encode(), b"[1]", b'{"target": 1}', b"{",
     json.dumps({"input": [float("nan")] * 784}).encode(), json.dumps({"input": [0] * 784, "target": 10**30}).encode(),
     json.dumps({"input": [0] * 784, "target": [1, 2]}).encode()],
)  # fmt: skip
def test_what_is_no_input(client: Any, content: bytes) -> None:
    for kind in ("application/json", "image/png"):
        answer = client.post("/explain", content=content, headers={"content-type": kind})
        assert answer.status_code == 422, answer.text
        assert "[1, 28, 28]" in answer.text


def picture(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def flipped(at: int) -> bytes:
    data = bytearray((DIGITS / "3.png").read_bytes())
    data[at] ^= 16
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("image/png", flipped(36)), ("image/png", flipped(40)), ("image/png", (DIGITS / "3.png").read_bytes()[:60]),
     ("image/png", picture(Image.new("L", (28, 28)), "EPS")), ("application/json", b"[" * 100_000),
     ("application/json", b"\xff"), ("application/json", b"null")],
)  # fmt: skip
def test_what_cannot_be_read(client: Any, kind: str, content: bytes) -> None:
    answer = client.post("/explain", content=content, headers={"content-type": kind})
    assert answer.status_code == 422, answer.text
    assert "give a picture" in answer.text


def test_whatever_a_reader_raises_is_the_request_s_fault(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's readers raise SyntaxError, RuntimeError, struct.error and more, which depends on its version."""

    def stumbles(*_: Any, **__: Any) -> None:
        raise SyntaxError("broken PNG file (chunk b'\\x89PNG')")

    monkeypatch.setattr(Image, "open", stumbles)
    assert client.post("/explain", content=b"", headers={"content-type": "image/png"}).status_code == 422


@pytest.mark.parametrize("value", [3e38, -3e38])
def test_an_answer_that_is_not_finite(client: Any, value: float) -> None:
    answer = client.post("/explain", json={"input": [value] * 784})
    assert answer.status_code == 422
    assert "not finite" in answer.text


def test_pictures_are_read_as_the_library_reads_them(client: Any, tmp_path: Path) -> None:
    """16 bits of grey, what is transparent, and what a camera turned."""
    three = Image.open(DIGITS / "3.png").convert("L")
    deep = Image.fromarray(np.asarray(three).astype(np.uint16) * 257)
    clear = Image.merge("LA", (three, three))
    turned = three.rotate(90).getexif()
    turned[0x0112] = 6  # is to be turned right
    explainer = lrp.Explainer(CNN, COMPOSITE, backend="numpy", preprocessing="zero-one")
    for name, image, more in (("deep", deep, {}), ("clear", clear, {}), ("turned", three.rotate(90), {"exif": turned})):
        path = tmp_path / f"{name}.png"
        image.save(path, **more)
        answer = client.post("/explain?relevance=base64", content=path.read_bytes()).json()
        expected = explainer(str(path))
        assert answer["prediction"] == expected.target[0], name
        np.testing.assert_allclose(unpacked(answer), expected.relevance[0], rtol=1e-3, atol=1e-5, err_msg=name)


def test_another_model(tmp_path: Path) -> None:
    """Its output has another name and axes of one element; one that does not fit is refused before any request."""
    text = OPEN_BATCH.replace("float[N, 3] x", "float[N, 1, 1, 3] x").replace("float[N, 4] y", "float[N, 4, 1, 1] y")
    text = text.replace("y = MatMul(x, w)", "f = Flatten(x) v = MatMul(f, w) s = Constant <value_ints = [-1, 4, 1, 1]> "
                        "() y = Reshape(v, s)")  # fmt: skip
    onnx.save(lrp.convert(small(text), "epsilon", target_input=True), tmp_path / "net.onnx")
    answer = load_app().Served(str(tmp_path / "net.onnx")).explain(np.ones((1, 1, 3)), np.int64(-1), "list")
    assert (answer["prediction"], answer["shape"]) == (3, [1, 1, 3])
    onnx.save(lrp.convert(small(FIXED), "epsilon", target_input=True), tmp_path / "two.onnx")
    with pytest.raises(Exception, match="x"):
        load_app().serve(str(tmp_path / "two.onnx"))


@pytest.mark.parametrize("target", [10, -2, 2**62])
def test_no_such_target(client: Any, target: int) -> None:
    answer = client.post(f"/explain?target={target}", content=Path(DIGITS / "3.png").read_bytes())
    assert answer.status_code == 422
    assert "no output" in answer.text


def test_too_much(client: Any) -> None:
    """Refused by its length, before it is sent."""
    connection = HTTPConnection(client.base_url.host, client.base_url.port)
    connection.putrequest("POST", "/explain")
    connection.putheader("content-length", str(1 << 40))
    connection.endheaders()
    with contextlib.closing(connection):
        assert connection.getresponse().status == 413


def test_more_than_was_said(client: Any) -> None:
    """In chunks, behind a length that is small."""
    connection = HTTPConnection(client.base_url.host, client.base_url.port)
    connection.putrequest("POST", "/explain")
    connection.putheader("content-length", "5")
    connection.putheader("transfer-encoding", "chunked")
    connection.endheaders()
    with contextlib.closing(connection):
        with contextlib.suppress(OSError):  # it may hang up before it has got all
            for _ in range(33):
                connection.send(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
            connection.send(b"0\r\n\r\n")
        assert connection.getresponse().status == 413
