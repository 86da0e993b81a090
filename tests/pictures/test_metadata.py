"""What a model's own files say of its pictures and classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

from onnx_lrp.pictures.metadata import Beside, Finding, findings, found_labels, said_by
from onnx_lrp.pictures.preprocessing import PREPROCESSINGS, Preprocessing
from tests.pictures.edges import edges

VIT = {
    "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5], "do_resize": True, "size": {"height": 224, "width": 192},
}  # fmt: skip
ONES = [1.0, 1.0, 1.0]


def found(model: onnx.ModelProto, beside: Beside | None = None) -> Finding | None:
    return next(findings(ir.from_proto(model), beside or Beside()), None)


def parsed(body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> net (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) {body}'
    )


def test_a_model_that_says_nothing() -> None:
    assert found(edges()) is None


@pytest.mark.parametrize(
    ("properties", "wanted"),
    [
        ({"names": "{0: 'a', 1: 'b'}", "imgsz": "[64, 64]", "stride": "32"}, PREPROCESSINGS["zero-one"]),
        ({"author": "Ultralytics", "task": "classify"}, PREPROCESSINGS["zero-one"]),
        ({"mean": "[0.485, 0.456, 0.406]", "std": "(0.229, 0.224, 0.225)"}, PREPROCESSINGS["imagenet"]),
        ({"mean": "0.5,0.5,0.5", "std": "0.5,0.5,0.5"}, PREPROCESSINGS["signed"]),
        ({"mean": "[123, 117, 104]", "std": "[1, 1, 1]"}, Preprocessing(mean=(123.0, 117.0, 104.0))),
        ({"mean": "of all", "std": "none"}, None),
        ({"mean": "[1, 2]", "std": "[1, 2]"}, None),
        ({"names": "{0: 'a'}"}, None),
    ],
)
def test_metadata(properties: dict[str, str], wanted: Preprocessing | None) -> None:
    said = found(edges(**properties))
    assert (None if said is None else said.preprocessing) == wanted
    assert said is None or "metadata" in said.where


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (VIT, Preprocessing(1 / 255, (0.5,), (0.5,), fit="stretch", size=(224, 192))),
        ({**VIT, "do_rescale": False}, Preprocessing(1.0, (0.5,), (0.5,), fit="stretch", size=(224, 192))),
        ({**VIT, "do_normalize": False}, Preprocessing(1 / 255, fit="stretch", size=(224, 192))),
        (
            {**VIT, "do_center_crop": True, "size": {"shortest_edge": 256}, "crop_size": 224},
            Preprocessing(1 / 255, (0.5,), (0.5,), fit="crop", size=(224, 224)),
        ),
        ({"image_mean": [0.5], "image_std": [0]}, None),
        ({"image_mean": "[", "image_std": {}}, Preprocessing(1 / 255, fit="stretch", size=None)),
        ({"feature_extractor_type": "Wav2Vec2"}, None),
        ([1, 2], None),
        ("{", None),
    ],
)
def test_a_file_beside_the_model(tmp_path: Path, given: Any, wanted: Preprocessing | None) -> None:
    (tmp_path / "preprocessor_config.json").write_text(given if isinstance(given, str) else json.dumps(given))
    onnx.save(edges(), tmp_path / "m.onnx")
    said = said_by(tmp_path / "m.onnx")
    assert (None if said is None else said.preprocessing) == wanted


def test_no_model_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    assert said_by(tmp_path / "m.onnx") is None


@pytest.mark.parametrize(
    ("properties", "config", "wanted"),
    [
        ({"names": "{0: 'person', 1: 'dog'}"}, {}, ("person", "dog")),
        ({"names": "['a', 'b']"}, {}, ("a", "b")),
        ({}, {"id2label": {"1": "no", "0": "yes"}}, ("yes", "no")),
        ({}, {"label_names": ["x"]}, ("x",)),
        ({"names": "{0: 'a', 2: 'b'}"}, {}, ()),
        ({"names": "__import__('os')"}, {}, ()),
        ({"names": "(" * 5000}, {}, ()),
        ({"names": "{0: '\\x1b[1m'}"}, {}, ("\\x1b[1m",)),
        ({}, {"id2label": [3]}, ()),
    ],
)
def test_own_labels(properties: dict[str, str], config: dict[str, Any], wanted: tuple[str, ...]) -> None:
    assert found_labels(properties, Beside(config=config)) == wanted


@pytest.mark.parametrize(
    ("scale", "zero", "wanted"),
    [
        (1 / 255, 0, "zero-one"), (1.0, 0, "raw"), (2 / 255, 128, "signed"), (4.76 / 255, 113, "imagenet"),
        (274 / 255, 114, "caffe"), (0.03, 7, None),
    ],
)  # fmt: skip
def test_the_range_of_a_quantised_input(scale: float, zero: int, wanted: str | None) -> None:
    model = parsed(f"<float s = {{{scale}}}, uint8 z = {{{zero}}}> {{ q = QuantizeLinear(x, s, z) "
                   "y = DequantizeLinear(q, s, z) }")  # fmt: skip
    said = found(model)
    assert (None if said is None else said.preprocessing) == (None if wanted is None else PREPROCESSINGS[wanted])


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        ("a = Sub(x, m) y = Div(a, s)", "zero-one"),
        ("a = Div(x, big) b = Sub(a, m) y = Div(b, s)", "raw"),
        ("a = Sub(x, half) y = Mul(a, s)", "raw"),
        ("y = Div(x, s)", None),
        ("a = Sub(x, m) b = Mul(x, s) y = Add(a, b)", None),  # x is read twice
        ("a = Add(x, m) y = Div(a, s)", None),
    ],
)
def test_a_normalisation_inside_the_graph(nodes: str, wanted: str | None) -> None:
    model = parsed(f"<float[1,3,1,1] m = {{0.485, 0.456, 0.406}}, float[1,3,1,1] s = {{0.229, 0.224, 0.225}}, "
                   f"float big = {{255.0}}, float half = {{127.5}}> {{ {nodes} }}")  # fmt: skip
    said = found(model)
    assert (None if said is None else said.preprocessing) == (None if wanted is None else PREPROCESSINGS[wanted])


def test_what_is_surest_comes_first() -> None:
    model = edges(author="Ultralytics", mean="[0.1, 0.2, 0.3]", std=str(ONES))
    beside = Beside(preprocessor={"image_mean": [0.5], "image_std": [0.25]})
    places = [one.where for one in findings(ir.from_proto(model), beside)]
    assert [place.split()[0] for place in places] == ["preprocessor_config.json", "the", "the"]
    assert "mean, std" in places[1]
    assert np.all("Ultralytics" in places[2])
