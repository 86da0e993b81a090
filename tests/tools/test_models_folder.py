"""The nets of models/ to judge explanations on: they load, are open in size, and know the pictures beside them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

import onnx_lrp as lrp

MODELS = Path(__file__).resolve().parents[2] / "models"
NETS = ("fashion_resnet", "mobile_net")


def pictures() -> np.ndarray:
    """One of each class, in their order, (10, 1, 28, 28)."""
    files = [MODELS / "fashion" / f"{label}.png" for label in range(10)]
    return np.stack([np.asarray(Image.open(file), np.float32) for file in files])[:, None] / 255


def session(name: str) -> ort.InferenceSession:
    return ort.InferenceSession(MODELS / f"{name}.onnx", providers=["CPUExecutionProvider"])


def nodes(name: str) -> list[onnx.NodeProto]:
    return list(onnx.load(MODELS / f"{name}.onnx").graph.node)


def test_the_pictures_are_dark():
    x = pictures()
    assert x.shape == (10, 1, 28, 28)
    assert x.min() == 0
    assert x.max() == 1
    assert (x == 0).mean() > 0.4


@pytest.mark.parametrize("name", NETS)
def test_it_knows_one_picture_of_each_class(name):
    (logits,) = session(name).run(None, {"input": pictures()})
    assert logits.argmax(1).tolist() == list(range(10))


@pytest.mark.parametrize("name", NETS)
def test_it_is_small_and_open_in_batch_height_and_width(name):
    assert (MODELS / f"{name}.onnx").stat().st_size <= 300_000
    found = session(name)
    (declared,) = found.get_inputs()
    assert declared.shape == ["batch", 1, "height", "width"]
    for shape in ((1, 1, 28, 28), (3, 1, 56, 56), (2, 1, 28, 84)):
        (logits,) = found.run(None, {"input": np.zeros(shape, np.float32)})
        assert logits.shape == (shape[0], 10)


@pytest.mark.parametrize("name", NETS)
def test_batch_normalization_is_kept(name):
    counted = Counter(node.op_type for node in nodes(name))
    assert counted["BatchNormalization"] >= counted["Conv"] - 1 > 0


def test_the_mobile_net_is_depthwise_and_ends_in_a_convolution():
    graph = onnx.load(MODELS / "mobile_net.onnx").graph
    groups = [a.i for node in graph.node if node.op_type == "Conv" for a in node.attribute if a.name == "group"]
    assert sum(group > 1 for group in groups) == 6
    assert [node.op_type for node in graph.node][-3:] == ["GlobalAveragePool", "Conv", "Flatten"]
    assert {"Gemm", "MatMul"}.isdisjoint(node.op_type for node in graph.node)


@pytest.mark.parametrize("name", NETS)
def test_a_mosaic_of_four_can_be_explained(name):
    a = pictures()[[1, 5, 8, 3]]
    mosaic = np.concatenate([np.concatenate([a[0], a[1]], 2), np.concatenate([a[2], a[3]], 2)], 1)[None]
    explanation = lrp.Explainer(MODELS / f"{name}.onnx", "epsilon_plus")(mosaic, 5)
    assert explanation.relevance.shape == (1, 1, 56, 56)
    assert np.abs(explanation.relevance).sum() > 0
