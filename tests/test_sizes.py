"""Sizes that the model leaves open: given beforehand, or met with the data."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.errors import InputError, UnsupportedModelError

SCAN = """<ir_version: 8, opset_import: ["" : 17]> g (float[n,t,3] x) => (float[n,3] y)
<float[1,3] start = {0.0, 0.0, 0.0}> {
    y, rows = Scan <num_scan_inputs = 1, scan_input_axes = [1],
        body = body (float[n,3] h, float[n,3] r) => (float[n,3] k,
        float[n,3] o) { z = Add (h, r)  k = Relu (z)  o = Identity (k) }> (start, x)
}"""
PICTURE = """<ir_version: 8, opset_import: ["" : 17]> g (float[n,3,h,w] x) => (float[n,2] y)
<float[2,3,1,1] w = {1.0, -1.0, 0.5, 2.0, -0.5, 0.25}>
{ c = Conv (x, w)  p = GlobalAveragePool (c)  y = Flatten (p) }"""
RNG = np.random.default_rng(0)


def own(x: np.ndarray) -> np.ndarray:
    h = np.zeros((len(x), 3))
    for t in range(x.shape[1]):
        h = np.maximum(h + x[:, t], 0)
    return h


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx", "auto"])
def test_a_length_is_met_with_the_data(backend: str) -> None:
    explainer = lrp.Explainer(onnx.parser.parse_model(SCAN), "epsilon:epsilon=1e-9", backend=backend)
    with pytest.raises(UnsupportedModelError, match=r"--shape x=N,20,3"):
        explainer.plan
    for length in (2, 5, 2):
        x = RNG.normal(size=(1, length, 3)).astype(np.float32)
        np.testing.assert_allclose(explainer(x).output, own(x), rtol=1e-4, atol=1e-6)
    assert len(explainer._builds._sized) == 2
    again = pickle.loads(pickle.dumps(explainer))
    np.testing.assert_allclose(again(x).inputs["x"], explainer(x).inputs["x"], rtol=1e-5)


def test_a_shape_that_is_given() -> None:
    model = onnx.parser.parse_model(SCAN)
    assert not lrp.check(model).supported
    shapes = {"x": (None, 4, 3)}
    assert lrp.check(model, shapes=shapes).supported
    x = RNG.normal(size=(1, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(lrp.Explainer(model, "epsilon", shapes=shapes)(x).output, own(x), rtol=1e-4, atol=1e-6)
    converted = lrp.convert(model, shapes=shapes)
    assert [d.dim_value for d in converted.graph.input[0].type.tensor_type.shape.dim] == [0, 4, 3]


@pytest.mark.parametrize(
    ("shapes", "message"), [({"y": (1, 2, 3)}, "no input 'y'; it has x"), ({"x": (1, 2, 4)}, "does not fit")]
)
def test_shapes_that_do_not_fit(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lrp.Explainer(onnx.parser.parse_model(SCAN), shapes=shapes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(onnx.parser.parse_model(SCAN), "scan.onnx")
    onnx.save(onnx.parser.parse_model(PICTURE), "net.onnx")
    np.save("x.npy", RNG.normal(size=(1, 4, 3)).astype(np.float32))
    Image.fromarray(RNG.integers(0, 255, (30, 40, 3), np.uint8)).save("p.png")
    return tmp_path


def test_commands_take_shapes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "scan.onnx"]) == 1
    assert main(["check", "scan.onnx", "--shape", "x=N,4,3"]) == 0
    assert main(["explain", "scan.onnx", "x.npy", "--shape", "x=N,4,3", "--no-heatmap"]) == 0
    assert main(["compare", "scan.onnx", "scan.onnx", "x.npy", "--shape", "x=N,4,3", "--no-layers"]) == 0
    assert main(["explain", "scan.onnx", "x.npy", "--no-heatmap"]) == 1
    assert "--shape x=N,20,3" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "expected"), [("16", (16, 16)), ("12x20", (12, 20)), ("native", (30, 40))])
def test_the_size_of_a_picture_is_said(folder: Path, size: str, expected: tuple[int, int]) -> None:
    command = ["explain", "net.onnx", "p.png", "--size", size, "-o", "out.png", "--save-relevance", "r.npz"]
    assert main(command) == 0
    assert np.load("r.npz")["relevance::x"].shape == (1, 3, *expected)


def test_an_open_size_is_a_question(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "net.onnx", "p.png"]) == 2
    assert "--size 224" in capsys.readouterr().err
    for wrong in ("0", "1x2x3", "big"):
        with pytest.raises(SystemExit):
            main(["explain", "net.onnx", "p.png", "--size", wrong])


def test_the_model_s_metadata_names_it(folder: Path) -> None:
    model = onnx.load("net.onnx")
    onnx.helper.set_model_props(model, {"imgsz": "[24, 32]"})
    onnx.save(model, "named.onnx")
    assert main(["explain", "named.onnx", "p.png", "--save-relevance", "r.npz"]) == 0
    assert np.load("r.npz")["relevance::x"].shape == (1, 3, 24, 32)


def test_what_is_held_fixed_is_not_asked_for_again() -> None:
    text = SCAN.replace("(float[n,t,3] x)", "(float[n,t,3] x, float[3] gain)")
    model = onnx.parser.parse_model(text.replace("}> (start, x)", "}> (start, scaled)").replace(
        "    y, rows", "    scaled = Mul (x, gain)\n    y, rows"))  # fmt: skip
    x, gain = RNG.normal(size=(1, 4, 3)).astype(np.float32), np.array([1, 2, 0.5], np.float32)
    explainer = lrp.Explainer(model, "epsilon:epsilon=1e-9", backend="numpy", fixed={"gain": gain})
    np.testing.assert_allclose(explainer(x).output, own(x * gain), rtol=1e-4, atol=1e-6)


def test_only_so_many_sizes_are_kept() -> None:
    explainer = lrp.Explainer(onnx.parser.parse_model(SCAN), "epsilon", backend="numpy", verify=False)
    for length in range(1, 20):
        explainer(np.ones((1, length, 3), np.float32))
    assert len(explainer._builds._sized) == 16
