"""What the documents say must be true."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import skimage.data

import onnx_lrp as lrp
from onnx_lrp.batch.store.index import COLUMNS, TOP_COLUMNS
from onnx_lrp.cli.main import main
from onnx_lrp.composites import PRESETS
from onnx_lrp.ops import OPS
from onnx_lrp.ops.registry import PROFILED

ROOT = Path(__file__).resolve().parents[1]
SQUEEZENET = ROOT.parent / "shared" / "models" / "squeezenet1_1_imagenet.onnx"


def test_every_op_is_in_the_table() -> None:
    table = (ROOT / "docs" / "ops.md").read_text()
    assert [op for op in OPS if not re.search(rf"\b{op}\b", table)] == []


def test_every_op_of_a_profile_is_named() -> None:
    table = (ROOT / "docs" / "ops.md").read_text()
    assert [op for op in PROFILED if not re.search(rf"\b{op}\b", table)] == []


def test_every_preset_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in PRESETS if f"`{name}`" not in readme] == []


def test_links_and_pictures_exist() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "models").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_public_names_can_be_imported() -> None:
    assert [name for name in lrp.__all__ if getattr(lrp, name, None) is None] == []
    assert set(lrp.__all__) == set(lrp._HOME)


def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (ROOT / "README.md").read_text()
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"x": np.random.default_rng(0).uniform(size=(2, 1, 28, 28)).astype(np.float32)}
    missing = ["import onnxruntime"] + ["explain_all"] * (find_spec("zarr") is None)  # which Python 3.10 does not get
    blocks = [block for block in _blocks(readme) if not any(word in block for word in missing)]
    assert len(blocks) >= 2
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "why.png").exists()


def test_the_page_of_batch_runs_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("pyarrow", "zarr", "filelock", "pandas", "xarray"):
        pytest.importorskip(package)
    page = (ROOT / "docs" / "batch.md").read_text()
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    command = re.findall(r"^onnx-lrp (batch models/.*)$", page, flags=re.MULTILINE)
    assert main(command[0].split()) == 0
    names: dict[str, object] = {}
    for block in _blocks(page):
        exec(block, names)
    kept = {path.name for path in Path("out").iterdir() if not path.name.startswith(".")}
    assert kept == {"index.parquet", "maps.zarr", "batch.json", "inputs.arrow"}
    columns = {name for row in re.findall(r"^\| (`[^|]*) \|", page, flags=re.MULTILINE) for name in row.split("`")}
    assert columns >= {name for name, _, _ in (*COLUMNS, *TOP_COLUMNS)}


def _blocks(readme: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)


@pytest.mark.skipif(not SQUEEZENET.exists(), reason="no ImageNet model beside the checkout")
def test_onnxruntime_alone_draws_the_same_heatmap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coffee = Path(skimage.data.__file__).parent / "coffee.png"
    (tmp_path / "coffee.png").symlink_to(coffee)
    monkeypatch.chdir(tmp_path)
    readme = (ROOT / "README.md").read_text()
    command = re.findall(r"^onnx-lrp (convert squeezenet.*)$", readme, flags=re.MULTILINE)
    assert main(command[0].replace("squeezenet.onnx", str(SQUEEZENET)).split()) == 0
    (block,) = (block for block in _blocks(readme) if "import onnxruntime" in block)
    names: dict[str, np.ndarray] = {}
    exec(block, names)
    options = "--preprocess caffe --composite epsilon_gamma_box --percentile 100 --backend numpy --save-relevance r.npz"
    assert main(["explain", str(SQUEEZENET), "coffee.png", *options.split()]) == 0
    expected = np.load("r.npz")["relevance::data_0"][0].sum(0)
    assert np.linalg.norm(names["relevance"] - expected) < 1e-4 * np.linalg.norm(expected)
    assert (tmp_path / "why_coffee.png").exists()
