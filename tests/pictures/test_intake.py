"""Pictures as Python users have them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
import torch
from PIL import Image

import onnx_lrp as lrp
from onnx_lrp.pictures.intake import axes_of_bytes
from onnx_lrp.pictures.layout import Layout
from onnx_lrp.pictures.preprocessing import PREPROCESSINGS
from tests.pictures.edges import NAMES, edges, stripes

RGB = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
WANTED = PREPROCESSINGS["caffe"].apply(RGB, ("N", 3, 8, 8))


def fed(x: object, model: onnx.ModelProto | None = None, preprocessing: str = "caffe") -> np.ndarray:
    """What the model gets to see."""
    found = lrp.Explainer(model or edges(), preprocessing=preprocessing)(x)
    assert found.context is not None
    return found.context.data["x"]


def test_one_picture_in_every_shape(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", WANTED)
    np.savez(tmp_path / "a.npz", WANTED)
    for x in (
        tmp_path / "a.png", str(tmp_path / "a.png"), [tmp_path / "a.png"], Image.open(tmp_path / "a.png"), RGB,
        RGB[None], [RGB], {"x": RGB}, torch.from_numpy(RGB), WANTED, torch.from_numpy(WANTED), tmp_path / "a.npy",
        tmp_path / "a.npz",
    ):  # fmt: skip
        assert np.array_equal(fed(x), WANTED)


def test_several_pictures() -> None:
    others = [RGB, RGB[:8], Image.fromarray(RGB[::-1])]
    rows = [PREPROCESSINGS["caffe"].apply(p, ("N", 3, 8, 8)) for p in (RGB, RGB[:8], RGB[::-1])]
    assert np.array_equal(fed(others), np.concatenate(rows))
    assert np.array_equal(fed(np.stack([RGB, RGB[::-1]])), np.concatenate([rows[0], rows[2]]))


def test_grey_pictures() -> None:
    grey = RGB[..., 0]
    wanted = PREPROCESSINGS["raw"].apply(grey, ("N", 1, 8, 8))
    for x in (grey, grey[..., None], Image.fromarray(grey), grey[None], grey[None, None]):
        assert np.array_equal(fed(x, edges(channels=1), "raw"), wanted)
    for count in (2, 3, 5):
        many = np.stack([grey] * count)
        for x in (many, many[:, None], many[..., None]):
            assert np.array_equal(fed(x, edges(channels=1), "raw"), np.repeat(wanted, count, 0))


def test_colours_may_come_first() -> None:
    first = RGB.transpose(2, 0, 1)
    for x in (first, first[None], torch.from_numpy(first), {"x": first[None]}, [first]):
        assert np.array_equal(fed(x), WANTED)
    assert np.array_equal(fed(np.stack([first] * 4)), np.repeat(WANTED, 4, 0))


@pytest.mark.parametrize(
    ("model", "shape", "axes"),
    [
        (("n", 1, 28, 28), (10, 28, 28), "NHW"),
        (("n", 1, 28, 28), (3, 28, 28), "NHW"),
        (("n", 1, 28, 28), (1, 28, 28), "CHW"),
        (("n", 3, 28, 28), (3, 28, 28), "CHW"),
        (("n", None, 28, 28), (3, 28, 28), "CHW"),
        (("n", 3, 28, 28), (5, 40, 40), "NHW"),
        (("n", 3, 28, 28), (2, 3, 40, 40), "NCHW"),
        (("n", 28, 28, 3), (2, 3, 40, 40), "NCHW"),
        (("n", 3, 28, 28), (2, 3, 40, 3), "NCHW"),
        (("n", 28, 28, 3), (2, 3, 40, 3), "NHWC"),
        (("n", 3, 28, 28), (2, 40, 40, 1), "NHWC"),
        (("n", 3, 28, 28), (2, 40, 40, 4), ""),
        (("n", 8, 28, 28), (2, 3, 28, 28), ""),
        ((3, 28, 28), (3, 28, 28), "CHW"),
        (("n", 28, 28), (10, 28, 28), "NHW"),
        (("n", 28, 28), (28, 28), "HW"),
        (("n", 28, 28), (10, 20, 28), ""),
        (("n", "length", 4), (10, 20, 4), ""),
        (("n", 784), (10, 28, 28), "NHW"),
        (("n", 784), (28, 28), "HW"),
        (("n", 784), (10, 784), ""),
        (("n", 10), (5, 5), ""),
        (("n", 3, 28, 28), (28,), ""),
    ],
)
def test_how_bytes_are_pictures(model: tuple[Any, ...], shape: tuple[int, ...], axes: str) -> None:
    assert Layout.of(model).axes_of(shape) == axes


@pytest.mark.parametrize(("kind", "axes"), [("FLOAT", "NCHW"), ("FLOAT16", "NCHW"), ("UINT8", ""), ("INT64", "")])
def test_a_model_that_takes_bytes_gets_them_as_they_are(kind: str, axes: str) -> None:
    value = ir.Value(name="x", shape=ir.Shape(["n", 3, 8, 8]), type=ir.TensorType(ir.DataType[kind]))
    assert axes_of_bytes(np.dtype(np.uint8), (2, 3, 8, 8), value) == axes


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("none.png", "no such file"),
        (np.zeros((1, 3, 8, 8), np.int64), "int64"),  # may be anything: it is for the user to say
        (np.zeros((1, 3, 8, 8), bool), "bool"),
        (np.zeros((1, 5, 8, 8), np.uint8), "uint8"),
        ([RGB, 3.0], "pictures and other things"),
        ([np.zeros((1, 3, 8, 8), np.float32), RGB], "pictures and other things"),
        (Image.new("RGB", (0, 3)), "no pixels"),
    ],
)
def test_what_is_no_picture(x: object, message: str) -> None:
    with pytest.raises(lrp.InputError, match=message):
        fed(x)


def test_pictures_of_different_sizes_are_no_batch() -> None:
    with pytest.raises(lrp.InputError, match="do not make one batch"):
        fed([RGB, RGB[:8]], edges("side"))


def test_a_size_from_metadata() -> None:
    assert fed(RGB, edges("side", imgsz="[6, 6]")).shape == (1, 3, 6, 6)
    given = lrp.Preprocessing(size=(4, 5))
    found = lrp.Explainer(edges("side", imgsz="[6, 6]"), preprocessing=given)(RGB)
    assert isinstance(found.relevance, np.ndarray)
    assert found.relevance.shape == (1, 3, 4, 5)


def test_a_token_model_takes_no_picture(tmp_path: Path) -> None:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        net (int64[N, 4] input_ids) => (float[N, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}>
        { e = Gather(w, input_ids) y = ReduceMean<axes = [1], keepdims = 0>(e) }""")
    Image.fromarray(RGB).save(tmp_path / "a.png")
    for x in (tmp_path / "a.png", Image.fromarray(RGB)):
        with pytest.raises(lrp.InputError, match="'input_ids' takes int64: ids of tokens"):
            lrp.explain(model, x)


def test_unknown_preprocessing() -> None:
    with pytest.raises(lrp.InputError, match=r"unknown preprocessing 'imagnet'.*did you mean imagenet"):
        lrp.Explainer(edges(), preprocessing="imagnet")
    with pytest.raises(lrp.InputError, match="not a float"):
        lrp.Explainer(edges(), preprocessing=0.5)  # type: ignore[arg-type]


def test_what_nobody_said_is_said() -> None:
    found = lrp.Explainer(edges())(stripes())
    assert "nobody said" in found.warnings[0]
    assert np.array_equal(found.context.data["x"], PREPROCESSINGS["zero-one"].apply(stripes(), ("N", 3, 8, 8)))
    # the net needs strong edges: there are none from 0 to 1
    assert "'plain' has the probability" in lrp.Explainer(edges(), labels=NAMES)(stripes()).warnings[1]


def test_a_wrong_way_is_doubted_and_the_right_one_is_not() -> None:
    for name, wrong in (("zero-one", True), ("signed", False), ("raw", False), ("caffe", False)):
        found = lrp.Explainer(edges(), preprocessing=name, labels=NAMES)(stripes())
        assert any("other ways speak for 'striped'" in line for line in found.warnings) == wrong


def test_numbers_and_metadata_are_not_doubted() -> None:
    explainers = (
        lrp.Explainer(edges(), preprocessing=lrp.Preprocessing(1 / 255)),
        lrp.Explainer(edges(mean="[0, 0, 0]", std="[1, 1, 1]")),
    )
    for explainer in explainers:
        assert not any("prepared" in line for line in explainer(stripes()).warnings)


def test_bounds_follow_from_the_preprocessing() -> None:
    rules = lrp.Explainer(edges(), preprocessing="signed").composite.entries
    assert any(str(rule) == "ZBox(low=-1.0, high=1.0)" for _, rule in rules)
    plain = lrp.Explainer(edges()).composite.entries
    assert not any(str(rule).startswith("ZBox(low=-1") for _, rule in plain)
    own = lrp.Explainer(edges(), "default:low=0,high=7", preprocessing="signed").composite.entries
    assert any(str(rule) == "ZBox(low=0.0, high=7.0)" for _, rule in own)


def test_labels_and_targets_by_name(tmp_path: Path) -> None:
    explainer = lrp.Explainer(edges(), labels=NAMES, preprocessing="raw")
    found = explainer(stripes(), "plain")
    assert found.labels == NAMES
    assert found.target.tolist() == [1]
    assert explainer([stripes(), stripes()], ["plain", "striped"]).target.tolist() == [1, 0]
    assert [e.target[0] for e in explainer.several(stripes(), ["plain", 0])] == [1, 0]
    with pytest.raises(lrp.TargetError, match=r"no class has the label 'stripes'.*one of 'striped'"):
        explainer(stripes(), "stripes")
    assert pickle.loads(pickle.dumps(explainer))(stripes(), "plain").labels == NAMES
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    with pytest.raises(lrp.InputError, match="3 labels given, but the output has 2 elements"):
        lrp.Explainer(edges(), labels=tmp_path / "names.txt")(WANTED)


def test_the_models_own_labels() -> None:
    assert lrp.Explainer(edges(names="{0: 'a', 1: 'b'}"))(WANTED).labels == ("a", "b")
    assert lrp.Explainer(edges(names="{0: 'a', 1: 'b', 2: 'c'}"))(WANTED).labels == ()
    assert lrp.Explainer(edges(names="{0: 'a', 1: 'b'}"), labels=["c", "d"])(WANTED).labels == ("c", "d")
