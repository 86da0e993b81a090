"""What a run is: written, read again, and compared with what is asked for now."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_lrp import Explainer, Region
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.manifest import BATCH_FORMAT, former_run, manifest_of, same_run, write_manifest
from onnx_lrp.batch.order import Order
from onnx_lrp.errors import OutputError
from onnx_lrp.targets import as_seed

MODEL = Path(__file__).resolve().parents[2] / "models" / "mnist_cnn.onnx"
ORDER = Order(batch=8, block=32)
DIGITS = [f"digit {n}" for n in range(10)]


def made(order: Order = ORDER, chosen: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return manifest_of(Explainer(options.pop("model", MODEL), **options), order, chosen or {"only": None})


@pytest.fixture(scope="module")
def first() -> dict[str, Any]:
    return made()


def test_it_says_what_decides_the_results(first: dict[str, Any]) -> None:
    assert first["format"] == BATCH_FORMAT
    assert first["model"]["name"].endswith("mnist_cnn.onnx")
    assert len(first["model"]["sha256"]) == 64
    assert first["composite"] == "default"
    assert first["rules"].startswith('name = "default"')
    assert first["order"] == ORDER.as_dict()
    assert first["settings"]["backend"] == "onnx"
    assert first["settings"]["dtype"] == "float32"
    assert first["preprocessing"]["channels"] == "rgb"
    assert first["labels"] is None
    assert first["inputs"] == ["image"] or len(first["inputs"]) == 1
    assert first["count"] is first["inventory_sha256"] is None
    assert {"onnx_lrp", "onnx", "onnxruntime", "numpy"} <= set(first["versions"])
    assert "versions" not in first["settings"]


def test_it_is_read_as_it_was_written(first: dict[str, Any], tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    write_manifest(folder, first)
    assert former_run(folder) == first
    write_manifest(folder, first | {"count": 3})
    assert former_run(folder) == first | {"count": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["batch.json"]


def test_the_same_again_goes_on(first: dict[str, Any]) -> None:
    assert same_run(first, made(threads=3), Path("out")) == []
    assert same_run(first, made(replace(ORDER, block=64)), Path("out")) == []


def test_the_same_model_elsewhere_goes_on(first: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "copy.onnx").write_bytes(MODEL.read_bytes())
    assert same_run(first, made(model=tmp_path / "copy.onnx"), Path("out")) == []


def test_other_versions_are_a_note(first: dict[str, Any]) -> None:
    old = first | {"versions": {**first["versions"], "onnxruntime": "1.0"}}
    (note,) = same_run(old, first, Path("out"))
    assert note.startswith("note: the run was begun with onnxruntime 1.0, and goes on with ")


def test_another_model_is_another_run(first: dict[str, Any], tmp_path: Path) -> None:
    model = onnx.load(MODEL)
    model.doc_string += "!"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(OutputError, match=r"^out was begun otherwise: the model \([0-9a-f]{12}, now [0-9a-f]{12}\); "):
        same_run(first, made(model=tmp_path / "other.onnx"), Path("out"))


@pytest.mark.parametrize(
    ("order", "options", "said"),
    [
        (ORDER, {"composite": "gamma"}, '--composite (name = "default", now name = "gamma")'),
        (ORDER, {"composite": "gamma:gamma=0.3"}, "--composite ("),
        (ORDER, {"dtype": "float64", "backend": "numpy"}, "backend (onnx, now numpy), dtype (float32, now float64)"),
        (ORDER, {"preprocessing": "signed"}, "now 0.5"),
        (ORDER, {"labels": DIGITS}, "labels (none, now digit 0, "),
        (replace(ORDER, save=frozenset(("maps", "topk"))), {}, "--save (maps, now maps, topk)"),
        (replace(ORDER, target=3), {}, "--target (none, now 3)"),
        (replace(ORDER, batch=16), {}, "--batch-size (8, now 16)"),
        (replace(ORDER, seed="odds"), {}, "odds"),
        (replace(ORDER, whole=True), {}, "--whole (false, now true)"),
    ],
)
def test_what_differs_is_named(first: dict[str, Any], order: Order, options: dict[str, Any], said: str) -> None:
    with pytest.raises(OutputError) as refused:
        same_run(first, made(order, **options), Path("out"))
    assert str(refused.value).startswith("out was begun otherwise: ")
    assert str(refused.value).endswith("; choose another -o, or delete the folder")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_words_do_not_tell_apart_is_hashed() -> None:
    masks = [Region(np.arange(10) < n) for n in (3, 4)]
    one, other = (made(replace(ORDER, target=mask)) for mask in masks)
    assert one["order"] == other["order"]
    with pytest.raises(OutputError, match=r"otherwise: --target \([0-9a-f]{12}, now [0-9a-f]{12}\)"):
        same_run(one, other, Path("out"))
    assert same_run(one, made(replace(ORDER, target=Region(np.arange(10) < 3))), Path("out")) == []
    one, other = (made(replace(ORDER, seed=as_seed("logit", n, None))) for n in (3, 4))
    with pytest.raises(OutputError, match=r"classes \(3, now 4\)"):
        same_run(one, other, Path("out"))


def test_labels_that_differ(first: dict[str, Any]) -> None:
    old, new = first | {"labels": DIGITS}, first | {"labels": [*DIGITS[:9], "nine"]}
    with pytest.raises(OutputError, match=r"labels \(digit 9, now nine\)"):
        same_run(old, new, Path("out"))
    with pytest.raises(OutputError, match=r"labels \(10 entries, now 9 entries\)"):
        same_run(old, first | {"labels": DIGITS[:9]}, Path("out"))


def test_a_folder_that_holds_other_things_is_refused(tmp_path: Path) -> None:
    assert former_run(Folder(tmp_path / "missing")) is None
    assert former_run(Folder(tmp_path)) is None
    for ours in (".lock", ".writer.json", ".onnx_lrp-1234-5"):  # of a start that was killed
        (tmp_path / ours).touch()
    assert former_run(Folder(tmp_path)) is None
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(OutputError, match=r"holds other things than a batch \(thesis.tex\); choose another -o"):
        former_run(Folder(tmp_path))
    with pytest.raises(OutputError, match="is a file; give the name of a folder"):
        former_run(Folder(tmp_path / "thesis.tex"))


@pytest.mark.parametrize(
    ("content", "said"), [("{", "cannot be read"), ("[]", "no object"), ('{"format": "onnx_lrp batch 9"}', "batch 9")]
)
def test_a_manifest_that_is_none(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "batch.json").write_text(content)
    with pytest.raises(OutputError, match=said):
        former_run(Folder(tmp_path))


def test_it_is_plain_json(first: dict[str, Any]) -> None:
    assert json.loads(json.dumps(first)) == first
