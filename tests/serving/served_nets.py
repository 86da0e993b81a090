"""Models that are served in the tests, and what is common to the tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
from PIL import Image

import onnx_lrp as lrp

ROOT = Path(__file__).resolve().parents[2]
CNN = str(ROOT / "models" / "mnist_cnn.onnx")
COMPOSITE = "default:low=0,high=1"
EXAMPLE = ROOT / "examples" / "serve"


@cache
def converted(target_input: bool = True) -> onnx.ModelProto:
    """mnist_cnn that explains itself."""
    return lrp.convert(CNN, COMPOSITE, target_input=target_input)


def digit(name: str = "3") -> np.ndarray:
    """A digit as the model's input."""
    image = Image.open(ROOT / "models" / "digits" / f"{name}.png").convert("L")
    return (np.asarray(image, np.float32) / np.float32(255)).reshape(1, 1, 28, 28)


def small(text: str) -> onnx.ModelProto:
    """A dense layer by its text, of opset 18, with weights of ones."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
    onnx.checker.check_model(model)
    return model


FIXED = """g (float[2, 3] x) => (float[2, 4] y)
<float[3, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}> { y = MatMul(x, w) }"""
OPEN_BATCH = FIXED.replace("float[2,", "float[N,")
