"""Serve a converted model: a picture or an array in, the prediction and its reasons out.

    MODEL=mnist.onnx uvicorn --app-dir examples/serve app:serve --factory

Nothing of onnx_lrp is needed here. A picture's bytes, or JSON {"input": [...], "target": 3}, go to POST /explain;
?relevance=list (default), base64 (float32, little endian) or png says how relevance comes back, ?target=3 what is
explained instead of the largest output.
"""

from __future__ import annotations

import base64
import io
import json
import os
from operator import index
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from PIL import Image, ImageOps

MOST_BYTES = 32 << 20
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")  # Pillow has others, and hands some to other programs
Form = Literal["list", "base64", "png"]


def seen(picture: bytes) -> Image.Image:
    """A picture as it is looked at: upright, on white, and 16 bits of grey as 8, where Pillow would clip."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(picture), formats=FORMATS))
    if image.mode.startswith("I"):
        return Image.fromarray(np.uint8(np.asarray(image, np.float32) / 257))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def prepared(picture: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels from 0 to 1; a model that was trained otherwise needs its own mean and deviation here."""
    channels, height, width = shape
    image = seen(picture).convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32).reshape(height, width, channels) / np.float32(255)
    return pixels.transpose(2, 0, 1)


def red_blue(relevance: np.ndarray) -> bytes:
    """A PNG: red speaks for the answer, blue against it."""
    total = relevance.reshape(-1, *relevance.shape[-2:]).sum(0, np.float64)  # a sum of float32 may overflow
    share = (total / max(np.abs(total).max(), np.finfo(np.float32).tiny))[..., None]
    white = 1 - np.abs(share)
    colours = np.concatenate([np.where(share > 0, 1, white), white, np.where(share < 0, 1, white)], 2)
    file = io.BytesIO()
    Image.fromarray(np.uint8(255 * colours)).save(file, "PNG")
    return file.getvalue()


class Served:
    """One session for all threads: onnxruntime's sessions may be run by many at once."""

    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3  # a target with a default is meant
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.outputs = [self.session.get_modelmeta().custom_metadata_map["onnx_lrp.explains"], "relevance"]
        self.input = self.session.get_inputs()[0]
        self.shape = tuple(self.input.shape[1:])
        self.run(np.zeros(self.shape, np.float32), np.int64(-1))  # a model that does not fit is refused now

    def run(self, x: np.ndarray, target: np.int64) -> list[np.ndarray]:
        """One sample's logits and relevance."""
        feeds = {self.input.name: x.reshape(1, *self.shape).astype(np.float32), "target": np.array([target])}
        return [output[0] for output in self.session.run(self.outputs, feeds)]

    def explain(self, x: np.ndarray, target: np.int64, form: Form) -> dict[str, Any]:
        """One sample's answer.

        Raises:
            InvalidArgument: no output has this index.
            FloatingPointError: the model overflows, and JSON has no infinity.
        """
        logits, relevance = self.run(x, target)
        if not (np.isfinite(logits).all() and np.isfinite(relevance).all()):
            raise FloatingPointError
        logits = logits.ravel()
        chances = np.exp(logits - logits.max())
        chances /= chances.sum()
        best = int(logits.argmax())
        shown = {"list": relevance.tolist, "base64": lambda: text(relevance.astype("<f4").tobytes()),
                 "png": lambda: text(red_blue(relevance))}  # fmt: skip
        return {
            "prediction": best, "probability": float(chances[best]), "target": best if target < 0 else int(target),
            "shape": list(relevance.shape), "relevance": shown[form](),
        }  # fmt: skip


def text(data: bytes) -> str:
    """Bytes in JSON."""
    return base64.b64encode(data).decode()


def read(body: bytes, kind: str, target: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.int64]:
    """The sample of a request, and what to explain."""
    if not kind.startswith("application/json"):
        return prepared(body, shape), np.int64(target)
    given = json.loads(body)
    x = np.asarray(given["input"], np.float32).reshape(shape)
    if not np.isfinite(x).all():
        raise ValueError("not finite")
    return x, np.int64(index(given.get("target", target)))


def serve(path: str | None = None) -> FastAPI:
    """The application; the model is the variable MODEL if no path is given."""
    served, app = Served(path or os.environ["MODEL"]), FastAPI(title="Answers with reasons")

    def answer(body: bytes, kind: str, target: int, form: Form) -> dict[str, Any]:
        try:
            x, chosen = read(body, kind, target, served.shape)
        except Exception:  # Pillow's and json's readers raise whatever they stumble over
            raise HTTPException(
                422, f'give a picture, or JSON {{"input": [...], "target": N}} of shape {list(served.shape)}'
            ) from None
        try:
            return served.explain(x, chosen, form)
        except InvalidArgument:
            raise HTTPException(422, f"target {chosen} is no output of the model") from None
        except FloatingPointError:
            raise HTTPException(422, "the model's answer is not finite; give smaller numbers") from None

    @app.post("/explain")
    async def explain(request: Request, relevance: Form = "list", target: int = -1) -> dict[str, Any]:
        if int(request.headers.get("content-length", MOST_BYTES + 1)) > MOST_BYTES:
            raise HTTPException(413, f"say a length of at most {MOST_BYTES} bytes")
        body = bytearray()
        async for part in request.stream():  # in chunks a body may be longer than it says
            body += part
            if len(body) > MOST_BYTES:
                raise HTTPException(413, f"give at most {MOST_BYTES} bytes")
        kind = request.headers.get("content-type", "")
        return await run_in_threadpool(answer, bytes(body), kind, target, relevance)

    return app
