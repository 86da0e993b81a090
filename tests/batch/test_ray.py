"""Ray: rows of a dataset, and blocks of a run, in a pool of workers that may die."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakework import Elsewhere, FakeWork, FullDisk, Watched, kill, stored
from PIL import Image
from test_kills import left

import onnx_lrp as lrp
from onnx_lrp.batch.blocks import Done, blocks_of
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.sources.opening import source_of
from onnx_lrp.clusters.survival import KILLS

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning",
                                                           "ignore::ResourceWarning")]  # fmt: skip  # Ray's own

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "mnist_cnn.onnx"
DIGITS = sorted((ROOT / "models" / "digits").glob("*.png"))


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    from onnx_lrp.clusters.starting import start_ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
        )  # workers import from there
        assert start_ray(cpus=2)
    assert not start_ray()
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


def test_rows_are_explained_as_by_the_explainer_but_for_bad_ones() -> None:
    rows = [{"id": i, "image": path.read_bytes(), "kind": "digit", "to": None} for i, path in enumerate(DIGITS)]
    rows += [{"id": 90, "image": b"no picture", "kind": "", "to": 1}, {"id": 91, "image": None, "kind": "", "to": 1}]
    dataset = ray.data.from_items(rows)
    wanted = lrp.ray.explain(dataset, MODEL, target_column="to", save=("relevance", "scores"))
    *found, broken, empty = sorted(wanted.take_all(), key=lambda row: row["id"])
    expected = lrp.Explainer(MODEL)(list(DIGITS))
    assert [row["prediction"] for row in found] == expected.prediction.tolist() == list(range(len(DIGITS)))
    assert [row["error"] for row in found] == [None] * len(DIGITS)
    assert {row["kind"] for row in found} == {"digit"}
    assert "image" not in found[0]
    np.testing.assert_allclose(np.stack([row["relevance"] for row in found]), expected.relevance.sum(1), atol=1e-5)
    np.testing.assert_allclose(np.stack([row["scores"] for row in found]), expected.output, atol=1e-4)
    for column, values in (
        ("probability", expected.probability), ("start", expected.conservation.target),
        ("absorbed", expected.conservation.absorbed), ("target", expected.target),
    ):  # fmt: skip
        np.testing.assert_allclose([row[column] for row in found], values, atol=1e-4)
    for row, said in ((broken, "not a PNG, JPEG"), (empty, "empty")):
        assert said in row["error"]
        assert row["prediction"] is row["target"] is row["start"] is None
        assert row["relevance"].shape == (28, 28)
        assert np.isnan(row["relevance"]).all()


@pytest.mark.full
def test_tensors_and_paths() -> None:
    x = np.random.default_rng(0).uniform(size=(6, 1, 28, 28)).astype(np.float32)
    x[4, 0, 0, 0] = np.nan
    dataset = ray.data.from_numpy(x).add_column("id", lambda batch: np.arange(len(batch)), batch_format="pandas")
    wanted = lrp.ray.explain(
        dataset, lrp.Explainer(MODEL), column={"input": "data"}, id_column="id", whole=True, seed="margin", target=2,
        batch_size=3,
    )  # fmt: skip
    found = sorted(wanted.take_all(), key=lambda row: row["id"])
    assert [row["error"] is None for row in found] == [True] * 4 + [False, True]
    expected = lrp.explain(MODEL, x[:4], 2, seed="margin").relevance
    np.testing.assert_allclose(np.stack([row["relevance"] for row in found[:4]]), expected, atol=1e-5)
    paths = ray.data.from_items([{"x": str(path)} for path in DIGITS])
    found = lrp.ray.explain(paths, MODEL, column="x").take_all()
    assert sorted(row["prediction"] for row in found) == list(range(len(DIGITS)))


def test_what_cannot_be_is_said_before_the_job() -> None:
    dataset = ray.data.from_items([{"image": b""}])
    for wanted, error, said in (
        ({"concurrency": 2}, lrp.BackendError, "concurrency=1"), ({"concurrency": 0}, lrp.BackendError, "positive"),
        ({"column": "imag"}, lrp.InputError, "did you mean image"), ({"save": "map"}, lrp.InputError, "cannot save"),
        ({"composite": "nope"}, lrp.CompositeError, "nope"), ({"target_column": "t"}, lrp.InputError, "no column 't'"),
    ):  # fmt: skip
        with pytest.raises(error, match=said):
            lrp.ray.explain(dataset, MODEL, **wanted)
    with pytest.raises(lrp.InputError, match="leave out 'threads'"):
        lrp.ray.explain(dataset, lrp.Explainer(MODEL), threads=2)


@pytest.mark.full
def test_no_row_is_lost_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    work, blocks = FakeWork(Folder(tmp_path), seconds=0.05), list(blocks_of(200, 5))
    told: list[Done] = []
    run = lrp.ray.run_blocks(work, blocks, progress=told.append)
    first = next(run)
    os.kill(json.loads(work.folder.part(first.block.number).read_text())[0], signal.SIGKILL)
    done = [first, *run]
    assert done == told
    assert sorted(one.block.number for one in done) == list(range(40))
    assert {one.failed for one in done} == {0}
    assert stored(work.folder) == {row: row * row for row in range(200)}
    workers = {json.loads(path.read_text())[0] for path in work.folder.parts.iterdir()}
    assert len(workers) == 2
    assert not (tmp_path / "journals").exists()


@pytest.mark.full
def test_an_error_on_purpose_comes_home_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(lrp.OutputError, match=r"^no space left$"):
        list(lrp.ray.run_blocks(FullDisk(Folder(tmp_path)), blocks_of(4, 2)))
    with pytest.raises(lrp.BackendError, match=r"cannot work.*elsewhere.*installed"):
        list(lrp.ray.run_blocks(Elsewhere(Folder(tmp_path)), blocks_of(4, 2)))


@pytest.mark.full
def test_a_row_that_kills_its_worker_is_left_out(tmp_path: Path) -> None:
    work = FakeWork(Folder(tmp_path), killers=frozenset([13]), die=kill)
    done = list(lrp.ray.run_blocks(work, blocks_of(40, 5)))
    assert sum(one.failed for one in done) == 1
    assert stored(work.folder) == {row: KILLS if row == 13 else row * row for row in range(40)}


ASKED = {"batch": 8, "save": ("maps", "scores", "topk")}
BROKEN, COUNT = 30, 200  # a file of a run that is no picture, and how many there are


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    digits = [np.asarray(Image.open(path).convert("L")) for path in DIGITS]
    for i in range(COUNT):
        Image.fromarray(np.roll(digits[i % 10], rng.integers(-3, 4, 2), (0, 1))).save(folder / f"{i:03}.png")
    (folder / f"{BROKEN:03}.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_lrp.batch.sizing._LARGEST", 16)  # inputs in a block


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """Makes runs read their inputs from a source that is watched."""

    def watch(pictures: Path, **how: Any) -> Watched:
        source = Watched(source_of(str(pictures)), tmp_path / "readers", **how)
        source.readers.mkdir()
        monkeypatch.setattr("onnx_lrp.batch.run.source_of", lambda *_, **__: source)
        return source

    return watch


@pytest.fixture(scope="module")
def here(pictures: Path) -> dict[str, bytes]:
    """What a run leaves that nobody disturbs, with two batches at a time in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onnx_lrp.batch.sizing._LARGEST", 16)
        found = lrp.explain_all(MODEL, pictures, pictures.with_name("here"), threads=2, **ASKED)
    assert [row for row, error in enumerate(found.index["error"].to_pylist()) if error] == [BROKEN]
    return left(pictures.with_name("here"))


def test_a_run_leaves_the_same_bits_though_a_worker_is_killed(
    pictures: Path, here: dict[str, bytes], watched: Callable[..., Watched], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source, killed = watched(pictures, seconds=0.005), list[int]()

    def told(done: int, total: int, failed: int, phase: str) -> None:
        if done and not killed:
            killed.extend(source.others())
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.chdir(tmp_path)  # the workers start elsewhere
    lrp.explain_all(MODEL, pictures, "out", engine="ray", progress=told, **ASKED)
    assert left(tmp_path / "out") == here
    assert len(killed) == 1
    assert len(source.others()) == 2


@pytest.mark.full
@pytest.mark.parametrize(("first", "second"), [("ray", "local"), ("local", "ray")])
def test_one_engine_goes_on_where_the_other_was_interrupted(
    pictures: Path, here: dict[str, bytes], watched: Callable[..., Watched], tmp_path: Path, first: str, second: str
) -> None:
    source, out = watched(pictures, seconds=0.005), tmp_path / "out"

    def told(done: int, total: int, failed: int, phase: str) -> None:
        if done and phase == "explaining":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=r"of 200 done; the same command goes on"):
        lrp.explain_all(MODEL, pictures, out, engine=first, progress=told, **ASKED)
    there = sorted((out / "index").iterdir())
    assert 0 < len(there) < 13
    time.sleep(0.2)  # in which nobody works any more, so that somebody else may
    assert sorted((out / "index").iterdir()) == there
    steps: list[int] = []
    lrp.explain_all(MODEL, pictures, out, engine=second, progress=lambda done, *_: steps.append(done), **ASKED)
    assert min(filter(None, steps)) >= 16 * len(there) - 8
    assert left(out) == here
    assert len(source.others()) == 1


@pytest.mark.full
def test_an_input_that_kills_its_worker_has_an_error(
    pictures: Path, here: dict[str, bytes], watched: Callable[..., Watched], tmp_path: Path
) -> None:
    assert here
    watched(pictures, killer="120.png")
    found = lrp.explain_all(MODEL, pictures, tmp_path / "out", engine="ray", **ASKED)
    errors = found.index["error"].to_pylist()
    assert {row: error for row, error in enumerate(errors) if error} == {BROKEN: errors[BROKEN], 120: KILLS}
    expected = lrp.open_batch(pictures.with_name("here"))
    for name in ("prediction", "probability", "start", "absorbed", "sha256"):
        values = expected.index[name].to_pylist()
        values[120] = None
        assert found.index[name].to_pylist() == values
    maps = expected.numpy()
    maps[120] = np.nan
    np.testing.assert_array_equal(found.numpy(), maps)
