"""``onnx-lrp compare``: the gate, what it prints and draws, and what it refuses."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from PIL import Image

import onnx_lrp as lrp
from onnx_lrp.cli import compare, gate
from onnx_lrp.cli.main import main
from onnx_lrp.pictures import sheet as sheets
from onnx_lrp.pictures.colormaps import STOPS

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
CNN, RESNET = str(MODELS / "mnist_cnn.onnx"), str(MODELS / "mnist_resnet.onnx")
HOSTILE = ROOT.parent / "shared" / "hostile"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def noisy(folder: Path) -> str:
    """The CNN with a little noise on all weights."""
    model, random = onnx.load(CNN), np.random.default_rng(0)
    for tensor in model.graph.initializer:
        data = numpy_helper.to_array(tensor)
        if data.dtype == np.float32:
            data = (data + 0.1 * data.std() * random.normal(size=data.shape)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(data, tensor.name))
    onnx.save(model, "noisy.onnx")
    return "noisy.onnx"


def digit(n: int) -> str:
    return str(MODELS / "digits" / f"{n}.png")


def saved(path: str, text: str) -> str:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), path)
    return path


def dense(path: str) -> str:
    return saved(path, "net (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1,2,3,4}> { y = MatMul(x, w) }")


def run(capsys: Capture, *argv: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    try:
        code = main(["compare", *argv])
    except SystemExit as error:
        code = int(error.code or 0)
    return code, *capsys.readouterr()


def refused(capsys: Capture, *argv: str) -> tuple[int, str]:
    """Exit code and the one line of complaint; nothing is left behind."""
    before = sorted(Path().iterdir())
    code, printed, errors = run(capsys, *argv)
    assert not printed
    assert errors.startswith("onnx-lrp: error: ")
    assert errors.count("\n") == 1
    assert sorted(Path().iterdir()) == before
    return code, errors


def size(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


def pixels(n: int) -> np.ndarray:
    with Image.open(digit(n)) as image:
        return np.asarray(image.convert("L"), np.float32)[None, None] / 255


# ------------------------------------------------------------------------------------------------------------- the gate


def test_a_model_passes_against_itself(capsys: Capture) -> None:
    code, printed, errors = run(capsys, RESNET, RESNET, digit(3), "--max-drift", "0")
    assert (code, errors) == (0, "")
    assert "pictures prepared as zero-one (the default)" in printed
    assert re.search(r"^drift 0 = 1 - the lowest cosine", printed, re.M)
    assert printed.splitlines()[-1] == "no sample is above --max-drift 0"


def test_the_gate_goes_by_the_worst_sample(capsys: Capture, noisy: str) -> None:
    x = np.concatenate([pixels(n) for n in (3, 5, 8)])
    drifts = [sample.drift for sample in lrp.compare(CNN, noisy, x).samples]
    order = sorted(range(3), key=drifts.__getitem__)
    inputs = [digit(n) for n in (3, 5, 8)]
    limits = (0.9 * drifts[order[0]], (drifts[order[0]] + drifts[order[1]]) / 2, 1.1 * drifts[order[2]])
    for limit, above in zip(limits, (order, order[1:], [])):
        code, printed, errors = run(capsys, CNN, noisy, *inputs, "--max-drift", str(limit))
        last = printed.splitlines()[-1]
        assert (code, errors) == (int(bool(above)), "")
        assert last.startswith("above --max-drift" if above else "no sample is above")
        assert [path in last for path in inputs] == [i in above for i in range(3)]


def test_without_a_limit_nothing_fails(capsys: Capture, noisy: str, folder: Path) -> None:
    code, printed, _ = run(capsys, CNN, noisy, digit(3))
    assert code == 0
    assert "max-drift" not in printed
    assert [path.name for path in folder.iterdir()] == [noisy]


def test_prints_the_library_s_report(capsys: Capture, noisy: str) -> None:
    x = np.concatenate([pixels(3), pixels(5)])
    np.save("x.npy", x)
    report = str(lrp.compare(CNN, noisy, x, "epsilon", target=4, seed="one", top_k=20))
    options = ["--composite", "epsilon", "--target", "4", "--seed", "one", "--top-k", "20"]
    code, printed, _ = run(capsys, CNN, noisy, "x.npy", *options)
    titled = [re.sub(r"^x\.npy, sample (\d)", r"\1", line) for line in printed.splitlines()]
    assert code == 0
    assert [line.split() for line in titled[5:7]] == [line.split() for line in report.splitlines()[5:7]]
    assert titled[7:-1] == report.splitlines()[7:-1]


def test_many_samples_are_computed_in_parts(capsys: Capture, noisy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("x.npy", np.random.default_rng(0).uniform(size=(5, 1, 28, 28)).astype(np.float32))
    sizes = []
    call = gate.Comparer.__call__

    def counted(self, x, *args, **options):
        sizes.append(len(x["input"]))
        return call(self, x, *args, **options)

    monkeypatch.setattr(gate.Comparer, "__call__", counted)
    whole = run(capsys, CNN, noisy, "x.npy", "--json")
    monkeypatch.setattr(gate, "TOGETHER", 2)
    parts = run(capsys, CNN, noisy, "x.npy", "--json")
    assert sizes == [5, 2, 2, 1]
    assert parts[0] == whole[0] == 0
    a, b = (json.loads(result[1]) for result in (whole, parts))
    assert [s["sample"] for s in a["samples"]] == [s["sample"] for s in b["samples"]]
    assert [s["drift"] for s in a["samples"]] == pytest.approx([s["drift"] for s in b["samples"]], abs=1e-6)


def test_the_gate_for_layers(capsys: Capture, noisy: str) -> None:
    (sample,) = lrp.compare(CNN, noisy, pixels(3)).samples
    drifts = {layer.name: 1 - layer.cosine for layer in sample.layers}
    assert sample.layer_drift == max(drifts.values())
    worst = max(drifts, key=drifts.__getitem__)
    others = sorted(drifts.values())[:-1]
    for limit, above in ((1.1 * drifts[worst], []), ((others[-1] + drifts[worst]) / 2, [worst]), (0, list(drifts))):
        options = [CNN, noisy, digit(3), "--max-layer-drift", str(limit)]
        code, printed, _ = run(capsys, *options)
        assert code == bool(above)
        last = printed.splitlines()[-1]
        assert last.startswith(f"above --max-layer-drift {limit:g}: " if above else "no layer is above")
        assert all(f"{name} ({drifts[name]:.3g})" in last for name in above)
        assert json.loads(run(capsys, *options, "--json")[1])["layers_above"] == above
    lines = run(capsys, *options, "--max-drift", "1")[1].splitlines()
    assert lines[-1] == "no sample is above --max-drift 1"
    assert lines[-2].startswith("above --max-layer-drift 0: ")


def test_a_gate_for_layers_needs_one(capsys: Capture) -> None:
    code, error = refused(capsys, CNN, CNN, digit(3), "--max-layer-drift", "1", "-o", "a.png", "--no-layers")
    assert code == 2
    assert "--max-layer-drift has no layer to judge by" in error


def test_a_folder_is_all_pictures_in_it(capsys: Capture, folder: Path) -> None:
    Path("some").mkdir()
    for n in (8, 3):
        (folder / "some" / f"{n}.png").write_bytes(Path(digit(n)).read_bytes())
    Path("some/readme.txt").write_text("no picture")
    Path("some/deeper.png").mkdir()
    code, printed, errors = run(capsys, CNN, CNN, "some", "-o", "out.png")
    assert (code, errors) == (0, "")
    assert re.findall(r"^heatmap: (.*)", printed, re.M) == ["out_3.png", "out_8.png"]
    assert [sample["sample"] for sample in json.loads(run(capsys, CNN, CNN, "some", "--json")[1])["samples"]] == [
        "some/3.png", "some/8.png"
    ]  # fmt: skip
    Path("none").mkdir()
    code, error = refused(capsys, CNN, CNN, "none")
    assert (code, "none: no picture in this folder (.png, .jpg, " in error) == (2, True)


def test_titles_are_names_cosine_and_scale(capsys: Capture, noisy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    own = sheets.side_by_side

    def spy(tiles: Any) -> Any:
        seen.extend(title for title, _ in tiles)
        return own(tiles)

    monkeypatch.setattr(sheets, "side_by_side", spy)
    assert run(capsys, CNN, noisy, digit(3), "-o", "out.png", "--percentile", "100")[0] == 0
    (sample,) = lrp.compare(CNN, noisy, pixels(3), "default:low=0,high=1").samples
    limit = max(
        np.abs(lrp.explain(m, pixels(3), sample.target, composite="default:low=0,high=1").relevance).max()
        for m in (CNN, noisy)
    )
    assert seen == ["input", "A: mnist_cnn.onnx", f"B: noisy.onnx, cosine {sample.inputs[0].cosine:.6f}",
                    f"B - A, scale ±{limit:.3g}"]  # fmt: skip


def test_layers(capsys: Capture) -> None:
    name = "/3/shortcut/shortcut.0/Conv"
    printed = run(capsys, RESNET, RESNET, digit(3), "--layers", f"{name},/1/Relu")[1]
    assert re.findall(r"^(/\S+) +([A-Z]\w+)", printed, re.M) == [("/1/Relu", "Relu"), (name, "Conv")]
    printed = run(capsys, RESNET, RESNET, digit(3), "--no-layers")[1]
    assert "layer" not in printed


def test_models_without_common_names(capsys: Capture) -> None:
    code, printed, _ = run(capsys, RESNET, str(MODELS / "mnist_resnet_dynamo.onnx"), digit(3), "--max-drift", "1e-9")
    assert code == 0
    assert "not in both: /0/0.0/Conv (only in A)" in printed
    assert "and 10 more" in printed


def test_json(capsys: Capture, noisy: str) -> None:
    argv = [CNN, noisy, digit(3), digit(5), "--json", "--max-drift", "1e-9", "-o", "out.png"]
    code, printed, errors = run(capsys, *argv)
    content = json.loads(printed)
    assert (code, errors) == (1, "")
    assert content["above"] == [digit(3), digit(5)]
    assert content["max_drift"] == 1e-9
    assert content["drift"] == max(sample["drift"] for sample in content["samples"])
    assert content["heatmaps"] == ["out_3.png", "out_5.png"]
    report = lrp.compare(CNN, noisy, np.concatenate([pixels(3), pixels(5)]))
    for sample, expected in zip(content["samples"], report.samples, strict=True):
        assert [layer["name"] for layer in sample["layers"]] == [layer.name for layer in expected.layers]
        found = [layer["cosine"] for layer in sample["layers"]]
        assert found == pytest.approx([layer.cosine for layer in expected.layers], abs=1e-6)


def test_several_inputs_in_one_archive(capsys: Capture) -> None:
    model = saved("two.onnx", """
        net (float[N, 2] left, float[N, 3] right) => (float[N, 2] y)
        <float[2, 2] w = {1,0,0,1}, float[3, 2] v = {1,1,1,1,1,1}> {
            a = MatMul(left, w)
            b = MatMul(right, v)
            y = Add(a, b)
        }""")  # fmt: skip
    np.savez("both.npz", right=np.float32([[1, 2, 3]]), left=np.float32([[1, 5]]))
    code, printed, _ = run(capsys, model, model, "both.npz", "--max-drift", "0")
    assert code == 0
    assert re.findall(r"same +(\w+) +1\.000000", printed) == ["left", "right"]


# ---------------------------------------------------------------------------------------------------------- the picture


def test_the_picture(capsys: Capture, noisy: str) -> None:
    code, printed, _ = run(
        capsys, CNN, noisy, digit(3), "-o", "out.png", "--percentile", "100", "--composite", "epsilon"
    )
    assert code == 0
    assert "heatmap: out.png" in printed
    with Image.open("out.png") as image:
        sheet = np.asarray(image.convert("RGB"), np.float64)
    side = 28 * 16
    assert sheet.shape == (24 + side, 4 * side + 3 * 12, 3)
    tiles = [sheet[24 + 8 :: 16, left + 8 : left + side : 16] for left in range(0, 4 * (side + 12), side + 12)]
    assert np.abs(tiles[0] - 255 * pixels(3)[0, 0, :, :, None]).max() <= 1
    a = lrp.explain(CNN, pixels(3), composite="epsilon")
    b = lrp.explain(noisy, pixels(3), a.target, composite="epsilon")
    r, s = a.relevance[0, 0], b.relevance[0, 0]
    limit = max(np.abs(r).max(), np.abs(s).max())
    places = np.linspace(-1, 1, len(STOPS))
    for tile, relevance in zip(tiles[1:], (r, s, s - r)):
        share = np.clip(relevance / limit, -1, 1)
        expected = np.stack([np.interp(share, places, STOPS[:, band]) for band in range(3)], axis=2)
        assert np.abs(tile - expected).max() <= 1.001


def test_numbers_have_no_picture_beside_their_heatmaps(capsys: Capture) -> None:
    np.save("x.npy", pixels(3))
    assert run(capsys, CNN, CNN, "x.npy", "-o", "out.png")[0] == 0
    assert size("out.png") == (3 * 448 + 2 * 12, 448 + 24)


def test_a_failed_gate_still_draws(capsys: Capture, noisy: str) -> None:
    assert run(capsys, CNN, noisy, digit(3), "-o", "out.png", "--max-drift", "0")[0] == 1
    assert size("out.png") == (4 * 448 + 3 * 12, 448 + 24)


def test_an_existing_picture_is_kept(capsys: Capture) -> None:
    Path("out.png").write_text("mine")
    code, error = refused(capsys, CNN, CNN, digit(3), "-o", "out.png")
    assert (code, "exists already" in error, Path("out.png").read_text()) == (2, True, "mine")
    assert run(capsys, CNN, CNN, digit(3), "-o", "out.png", "-f")[0] == 0
    assert size("out.png") == (4 * 448 + 3 * 12, 448 + 24)


def test_no_picture_of_a_table(capsys: Capture) -> None:
    model = dense("dense.onnx")
    np.save("x.npy", np.ones((1, 2), np.float32))
    code, error = refused(capsys, model, model, "x.npy", "-o", "out.png")
    assert (code, "x.npy: no picture" in error) == (2, True)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-drift", "nan"], "must be a number from 0 on"),
        (["--max-drift=-1"], "must be a number from 0 on"),
        (["--max-drift", "inf"], "must be a number from 0 on"),
        (["--top-k", "0"], "must be a whole number from 1 on"),
        (["--layers", "nowhere"], "no node or tensor 'nowhere'"),
        (["--layers", "a", "--no-layers"], "not allowed with"),
        (["--target", "10"], "out of range"),
        (["--output", "nowhere"], "nowhere"),
        (["--composite", "nonsense"], "nonsense"),
        (["--backend", "numpy", "--device", "cuda"], "device"),
        (["-o", "out.jpg"], "ends in .png"),
        (["-o", "nowhere/out.png"], "does not exist"),
        (["-o", "out.png", "--percentile", "0"], "percentile"),
    ],
)
def test_options_that_make_no_sense(capsys: Capture, options: list[str], message: str) -> None:
    code, error = refused(capsys, CNN, CNN, digit(3), *options)
    assert (code, message in error) == (2, True), error


def test_models_of_other_shapes(capsys: Capture) -> None:
    code, error = refused(capsys, CNN, dense("dense.onnx"), digit(3), "-o", "out.png")
    assert (code, "dense.onnx: input 'x' has the shape" in error) == (2, True)


def test_unreadable_and_rejected_models(capsys: Capture) -> None:
    np.save("x.npy", np.ones((1, 2), np.float32))
    good = dense("good.onnx")
    bad = saved("bad.onnx", """
        net (float[N, 2] x) => (float[N, 2] y) <float[2, 2] w = {1,2,3,4}> {
            a = MatMul(x, w)
            b = Tanh(a)
            y = MatMul(b, w)
        }""")  # fmt: skip
    for pair in ((good, bad), (bad, good)):
        code, error = refused(capsys, *pair, "x.npy", "-o", "out.png")
        assert (code, "bad.onnx: unsupported model" in error) == (1, True)
    assert refused(capsys, good, "nowhere.onnx", "x.npy")[0] == 2
    assert refused(capsys, good, good, "nowhere.npy")[0] == 2


def test_the_second_picture_fails(capsys: Capture) -> None:
    """A sample that does not fit leaves nothing of the first one behind."""
    np.save("x.npy", np.ones((1, 1, 5, 5), np.float32))
    code, error = refused(capsys, CNN, CNN, digit(3), "x.npy", "-o", "out.png")
    assert (code, "x.npy" in error) == (2, True)


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="the hostile generators are not here")
@pytest.mark.parametrize("name", ["ansi", "newline", "nul", "long", "path", "surrogate"])
@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
def test_hostile_names(
    capsys: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str]
) -> None:
    monkeypatch.syspath_prepend(str(HOSTILE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    model = str(importlib.import_module("gen_names").CASES[f"name_{name}"](folder))
    np.save("x.npy", np.ones(1, np.float32))
    code, printed, errors = run(capsys, model, model, "x.npy", *options)
    assert code in (0, 1)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", printed + errors)


def test_help_explains_the_measures() -> None:
    assert all(re.search(rf"^  {name} ", compare.EPILOG, re.M) for name in ("cosine", "rank", "top-k"))
