"""The record: equal runs give equal bytes, and ``verify`` finds everything that is not as it says."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.explanation.fingerprint import array_sha256, cells, numbers_of
from onnx_lrp.explanation.record import canonical, record_of, record_sha256
from onnx_lrp.pictures.pngtext import text_of, with_text
from onnx_lrp.recording.differing import differences

MODELS = Path(__file__).resolve().parents[2] / "models"
CNN, RESNET = str(MODELS / "mnist_cnn.onnx"), str(MODELS / "mnist_resnet.onnx")
THREE, FOUR = (str(MODELS / "digits" / f"{n}.png") for n in (3, 4))
X = np.random.default_rng(5).random((2, 1, 28, 28)).astype(np.float32)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: Capture, *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    return code, *capsys.readouterr()


@pytest.fixture
def why(folder: Path, capsys: Capture) -> Path:
    assert main(["explain", CNN, THREE, FOUR, "--top", "2", "--ledger", "--record", "why.json"]) == 0
    capsys.readouterr()
    return folder / "why.json"


def edited(why: Path, change: Callable[[dict[str, Any]], None]) -> str:
    content = json.loads(why.read_text("utf-8"))
    change(content)
    other = why.with_name("edited.json")
    other.write_text(json.dumps(content), "utf-8")
    return str(other)


def test_equal_runs_give_equal_bytes(why: Path, capsys: Capture) -> None:
    first = why.read_bytes()
    assert run(capsys, "explain", CNN, THREE, FOUR, "--top", "2", "--ledger", "--record", "why.json", "-f")[0] == 0
    assert why.read_bytes() == first
    content = json.loads(first)
    assert str(MODELS.parent) not in first.decode()
    assert first.endswith(b"}\n")
    assert content["model"]["sha256"] == hashlib.sha256(Path(CNN).read_bytes()).hexdigest()
    assert {*content["pictures"]} == {path.name for path in why.parent.glob("*.png")}


def test_what_verify_finds(why: Path, folder: Path, capsys: Capture) -> None:
    assert run(capsys, "verify", "why.json", CNN, THREE, FOUR)[:2] == (0, "why.json: equal\n")
    for argv, said in [
        (("why.json", RESNET, THREE, FOUR), "model: SHA-256 differs"),
        (("why.json", CNN, FOUR, THREE), "input 'input' of 3.png and 1 more"),
        (("why.json", CNN, THREE), "shape [2, 1, 28, 28] in the record, [1, 1, 28, 28] here"),
        (("why.json", CNN, THREE, FOUR, FOUR), "shape [2,"),
    ]:
        code, out, _ = run(capsys, "verify", *argv)
        assert code == 1, argv
        assert said in out
    picture = np.array(Image.open(THREE))
    picture[0, 0] += 1
    Image.fromarray(picture).save("3.png")
    assert "input 'input' of 3.png" in run(capsys, "verify", "why.json", CNN, "3.png", FOUR)[1]
    drawn = folder / "3_default_top2.png"
    drawn.write_bytes(with_text(drawn.read_bytes(), "more"))
    code, out, _ = run(capsys, "verify", "why.json", CNN, THREE, FOUR)
    assert code == 1
    assert "picture 3_default_top2.png: SHA-256" in out


def _composite(content: dict[str, Any]) -> None:
    content["settings"]["composite"] = content["settings"]["composite"].replace('"ZPlus"', '"Flat"')


def _rule(content: dict[str, Any]) -> None:
    content["rules"][0][2] = "Zero()"


def _relevance(content: dict[str, Any]) -> None:
    content["explanations"][0]["relevance"]["input"]["sha256"] = "0" * 64


def _cell(content: dict[str, Any]) -> None:
    content["explanations"][1]["relevance"]["input"]["cells"][1]["sum"][0] = "0 0 0 0 0 0 0 1"


def _target(content: dict[str, Any]) -> None:
    content["explanations"][0]["samples"][0]["target"]["index"] = 7


def _ledger(content: dict[str, Any]) -> None:
    content["explanations"][0]["ledger"][2][3] += 0.5


def _sums(content: dict[str, Any]) -> None:
    content["explanations"][0]["samples"][1]["conservation"]["inputs"] += 0.5


def _warning(content: dict[str, Any]) -> None:
    content["warnings"] = ["all is well"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_composite, "relevance of input 'input'"), (_rule, "rules: 1 of"), (_relevance, "agree to 9 digits"),
        (_cell, "the hash agrees, the sums beside it do not"), (_target, "relevance of input"),
        (_ledger, "ledger, line 3"), (_sums, "conservation inputs"), (_warning, "warnings:"),
    ],
)  # fmt: skip
def test_an_edited_record(why: Path, capsys: Capture, change: Callable[[dict[str, Any]], None], said: str) -> None:
    code, out, _ = run(capsys, "verify", edited(why, change), CNN, THREE, FOUR)
    assert code == 1
    assert said in out


def test_a_changed_pixel_of_the_relevance() -> None:
    explanation = lrp.explain(CNN, X, composite="epsilon_plus")
    whole = json.loads(canonical(explanation.record()))
    assert differences(whole, json.loads(canonical(explanation.record()))) == []
    for amount in (1e-3, 1e-12):
        changed = explanation.inputs["input"].astype(np.float64)
        changed[1, 0, 27, 3] += amount
        other = dataclasses.replace(explanation, inputs={"input": changed})
        whole64 = dataclasses.replace(explanation, inputs={"input": explanation.inputs["input"].astype(np.float64)})
        records = [json.loads(canonical(e.record())) for e in (whole64, other)]
        (found,) = differences(*records)
        assert "SHA-256 differs" in found.line
        size = max(numbers_of(c["size"]).max() for c in records[1]["explanations"][0]["relevance"]["input"]["cells"])
        assert found.drift == pytest.approx(amount / size if amount > 1e-9 else 0, rel=1e-3)


def test_rounding_of_another_machine_may_be_tolerated(why: Path, capsys: Capture) -> None:
    def rounded(content: dict[str, Any]) -> None:
        for part in content["explanations"]:
            relevance = part["relevance"]["input"]
            relevance["sha256"] = "0" * 64
            for cell in relevance["cells"]:
                for key, rows in cell.items():
                    cell[key] = [" ".join(f"{float(n) * (1 + 1e-7):.9g}" for n in row.split()) for row in rows]
        content["versions"]["onnxruntime"] = "1.0"

    other = edited(why, rounded)
    code, out, _ = run(capsys, "verify", other, CNN, THREE, FOUR)
    assert code == 1
    assert "1e-07 of the largest" in out
    assert "note: onnxruntime 1.0 made the record" in out
    code, out, _ = run(capsys, "verify", other, CNN, THREE, FOUR, "--tolerance", "1e-5")
    assert (code, "equal within 1e-05" in out) == (0, True)
    assert run(capsys, "verify", other, CNN, THREE, FOUR, "--tolerance", "1e-8")[0] == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", "nan", '{"format": "onnx_lrp record 1"}', "[" * 99_999])
def test_what_is_no_record(folder: Path, capsys: Capture, content: str) -> None:
    Path("x.json").write_text(content)
    code, out, err = run(capsys, "verify", "x.json", CNN, THREE)
    assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("key", ["model", "settings", "explanations", "rules", "versions", "warnings", "explains"])
def test_a_record_that_lacks_a_part(why: Path, capsys: Capture, key: str) -> None:
    code, out, err = run(capsys, "verify", edited(why, lambda content: content.pop(key)), CNN, THREE, FOUR)
    assert (code, out) == (2, "")
    assert repr(key) in err
    if key == "settings":
        for setting in json.loads(why.read_text())["settings"]:
            other = edited(why, lambda content: content["settings"].update({setting: 3.5}))
            code, out, err = run(capsys, "verify", other, CNN, THREE, FOUR)
            assert code in (1, 2), setting
            assert err.count("\n") == (code == 2)


def test_external_weights_are_part_of_the_model(folder: Path, capsys: Capture) -> None:
    model = onnx.load(CNN)
    onnx.save(model, "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    assert main(["explain", "m.onnx", THREE, "--record", "why.json"]) == 0
    assert run(capsys, "verify", "why.json", "m.onnx", THREE)[0] == 0
    content = bytearray(Path("m.bin").read_bytes())
    content[2] ^= 1
    Path("m.bin").write_bytes(content)
    code, out, _ = run(capsys, "verify", "why.json", "m.onnx", THREE)
    assert code == 1
    assert "weights m.bin: SHA-256 differs" in out


def test_in_python(folder: Path, capsys: Capture) -> None:
    explanation = lrp.explain(CNN, X, seed="margin", layers=["node_relu"])
    text = canonical(explanation.record())
    assert canonical(pickle.loads(pickle.dumps(explanation)).record()) == text
    explanation.save("why.npz")
    assert canonical(lrp.Explanation.load("why.npz").record()) == text
    explanation.save("why.json")
    assert Path("why.json").read_text("utf-8") == text
    np.save("x.npy", X)
    assert run(capsys, "verify", "why.json", CNN, "x.npy")[0] == 0
    lrp.explain(onnx.load(CNN), X).save("memory.json")
    assert run(capsys, "verify", "memory.json", CNN, "x.npy")[0] == 0
    with pytest.raises(lrp.InputError, match="put together by hand"):
        dataclasses.replace(explanation, context=None).record()
    one = explanation[1].record()["explanations"][0]
    assert one["relevance"]["node_relu" if "node_relu" in one["relevance"] else "input"]["shape"][0] == 1


def test_what_a_record_does_not_hold(folder: Path, capsys: Capture) -> None:
    np.save("x.npy", X)
    for options, said in [({"seed": np.ones((2, 10), np.float32)}, "array"), ({"target": slice(0, 3)}, "--target")]:
        lrp.explain(CNN, X, **options).save("why.json", force=True)
        code, _, err = run(capsys, "verify", "why.json", CNN, "x.npy")
        assert code == 2
        assert said in err
    assert run(capsys, "verify", "why.json", CNN, "x.npy", "--target", "0:3")[0] == 0
    assert run(capsys, "verify", "why.json", CNN, "x.npy", "--target", "0:4")[0] == 2


def test_settings_are_repeated(folder: Path, capsys: Capture) -> None:
    options = [
        "--composite",
        "gamma:gamma=0.3",
        "--seed",
        "probability",
        "--backend",
        "numpy",
        "--dtype",
        "float64",
        "--preprocess",
        "signed",
    ]
    assert main(["explain", CNN, THREE, *options, "--record", "why.json", "--no-heatmap"]) == 0
    assert run(capsys, "verify", "why.json", CNN, THREE)[0] == 0
    settings = json.loads(Path("why.json").read_text())["settings"]
    assert (settings["backend"], settings["seed"]["kind"]) == ("numpy", "probability")
    shutil.copy(THREE, "renamed.png")
    assert run(capsys, "verify", "why.json", CNN, "renamed.png")[0] == 0


def test_a_heatmap_carries_its_origin(why: Path) -> None:
    content = json.loads(why.read_text("utf-8"))
    file = why.parent / "3_default_top2.png"
    text = text_of(file.read_bytes())
    assert text == Image.open(file).text["onnx_lrp"]  # type: ignore[attr-defined]
    about = json.loads(text or "")
    assert about["targets"] == [3, 2]
    assert about["record_sha256"] == record_sha256(content)
    assert about["composite"] == content["settings"]["composite"]
    assert content["pictures"][file.name] == hashlib.sha256(file.read_bytes()).hexdigest()
    Image.open(file).load()


@pytest.mark.parametrize("shape", [(3, 20), (2, 3, 30, 17), (2, 30, 17, 3), (1, 5, 2), (2, 100), (3,), (2, 4, 9, 9, 9)])
def test_cells_against_loops(shape: tuple[int, ...]) -> None:
    r = np.random.default_rng(len(shape)).standard_normal(shape)
    for one, found in zip(r, cells(r, len(r))):
        flat = one.reshape(1, -1) if one.ndim < 2 else one
        axes = sorted(np.argsort([-n for n in flat.shape], kind="stable")[:2])
        sizes = [min(flat.shape[a], 64 if one.ndim < 2 else 8) for a in axes]
        sums, magnitudes = np.zeros(sizes), np.zeros(sizes)
        for index in np.ndindex(*flat.shape):
            place = []
            for axis, count in zip(axes, sizes):
                starts = [k * flat.shape[axis] // count for k in range(count)]
                place.append(max(k for k in range(count) if starts[k] <= index[axis]))
            sums[tuple(place)] += flat[index]
            magnitudes[tuple(place)] += abs(flat[index])
        np.testing.assert_allclose(numbers_of(found["sum"]), sums, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(numbers_of(found["size"]), magnitudes, rtol=1e-8)


def test_hashes_tell_dtype_and_shape_apart() -> None:
    zeros = [np.zeros(4, np.float32), np.zeros((2, 2), np.float32), np.zeros(4, np.int32), np.zeros(2, np.float64)]
    assert len({array_sha256(a) for a in zeros}) == 4
    assert array_sha256(X) == array_sha256(X.astype(">f4")) == array_sha256(np.asfortranarray(X))


def test_canonical() -> None:
    assert canonical({"b": 0.1 + 0.2, "a": ["é"]}) == '{\n "a": [\n  "é"\n ],\n "b": 0.30000000000000004\n}\n'
    explanation = lrp.explain(CNN, X)
    content = record_of([explanation], pictures={"x.png": "00"})
    assert record_sha256(content) == record_sha256(copy.deepcopy(explanation.record()))
