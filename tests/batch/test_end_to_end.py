"""``onnx-lrp batch`` from the command line to the opened folder: what it finds, stops, refuses and goes on with."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import DIGITS, MODELS, all_of, command, typed
from PIL import Image
from smallnets import NETS, samples_for, small_net

import onnx_lrp as lrp
from onnx_lrp.cli.main import main
from onnx_lrp.errors import InputError
from onnx_lrp.pictures.preprocessing import Preprocessing

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")
pytest.importorskip("zarr")

linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def agrees(row: Any, found: lrp.Explanation, maps: dict[str, np.ndarray]) -> None:
    """A row says what a single explanation says; the maps to float16's precision."""
    best, share = int(found.prediction[0]), found.probabilities
    assert (row.error, row.prediction, row.target) == (None, best, int(found.target[0]))
    assert (row.probability is None) == (share is None)
    if share is not None:
        np.testing.assert_allclose(row.probability, share[0, best], rtol=1e-4, atol=1e-6)
    account = found.conservation
    said = [row.start, row.relevance, row.absorbed, row.size]
    size = account.size
    assert size is not None
    np.testing.assert_allclose(
        said, [account.target[0], account.inputs[0], account.absorbed[0], size[0]], rtol=1e-4, atol=2e-5
    )
    np.testing.assert_allclose(row.scores, found.output[0], rtol=1e-4, atol=1e-5)
    kept = row.map if isinstance(row.map, dict) else {next(iter(maps)): row.map}
    assert kept.keys() == maps.keys()
    for name, relevance in maps.items():
        np.testing.assert_allclose(kept[name], relevance, atol=6e-4 * np.abs(relevance).max())


@pytest.mark.parametrize("name", NETS)
def test_each_row_is_what_its_input_gives_alone(name: str, tmp_path: Path) -> None:
    model, samples = small_net(name, tmp_path), samples_for(name, 50)
    given = samples if len(samples) > 1 else next(iter(samples.values()))
    run, explainer = lrp.explain_all(model, given, "out", save=("maps", "scores")), lrp.Explainer(model)
    assert len(run) == 50
    for i, row in enumerate(run):
        feeds = {key: some[i] if name == "unbatched" else some[i : i + 1] for key, some in samples.items()}
        if name == "eight":
            feeds = {key: np.repeat(some, 8, 0) for key, some in feeds.items()}
        found = explainer(feeds)
        maps = {key: some if name == "unbatched" else some[0] for key, some in found.inputs.items()}
        agrees(row, found, {key: some.sum(0) if name in ("one", "dense") else some for key, some in maps.items()})


@pytest.mark.parametrize(
    ("model", "asked"),
    [("mnist_cnn", {}), ("fashion_resnet", {"seed": "odds"}), ("mobile_net", {"target": 3}),
     ("mnist_cnn", {"seed": "margin", "whole": True})],
)  # fmt: skip
def test_each_picture_is_what_it_gives_alone(model: str, asked: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    Path("in").mkdir()
    for i in range(50):
        height, width = rng.integers(20, 80, 2).tolist()
        noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((width, height))
        noise.save(f"in/{i:02}.{('png', 'jpg', 'bmp', 'webp')[i % 4]}")
    explainer = lrp.Explainer(MODELS / f"{model}.onnx", preprocessing=Preprocessing(1 / 255, size=(28, 28)), threads=1)
    run = lrp.explain_all(explainer, "in", "out", save=("maps", "scores"), **asked)
    alone = {key: value for key, value in asked.items() if key != "whole"}
    for row in run:
        found = explainer(row.input, **alone)
        relevance = found.relevance[0]
        agrees(row, found, {"input": relevance if "whole" in asked else relevance.sum(0)})
        assert row.predicted == (found.labels[row.prediction] if found.labels else None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The model; beside it t.csv, t.parquet and t.npz with features, label and target; every tenth label is wrong."""
    model, x = small_net("table", tmp_path), samples_for("table", 60)["x"]
    predicted = lrp.Explainer(model)(x).prediction
    labels = np.where(np.arange(60) % 10 == 0, (predicted + 1) % 3, predicted)
    lines = ["a,b,c,d,class,wanted"]
    lines += [",".join([*map(repr, r.tolist()), str(c), str(i % 3)]) for i, (r, c) in enumerate(zip(x, labels))]
    Path("t.csv").write_text("\n".join(lines) + "\n")
    columns = {name: x[:, i] for i, name in enumerate("abcd")}
    pa.parquet.write_table(pa.table({**columns, "class": labels, "wanted": np.arange(60) % 3}), "t.parquet")
    np.savez("t.npz", x=x, **{"class": labels, "wanted": np.arange(60) % 3})
    return model


def test_tables_and_arrays_with_labels_and_targets_say_the_same(table: Path) -> None:
    for i, name in enumerate(("t.csv", "t.parquet", "t.npz")):
        more = ["--features", "x"] if i == 2 else []
        options = ["--label", "class", "--target-column", "wanted", "--save", "maps,scores,topk", "-q", *more]
        assert main(["batch", str(table), name, "-o", f"out{i}", *options]) == 0
    runs = [lrp.open_batch(f"out{i}") for i in range(3)]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.numpy(), runs[0].numpy())
        for column in ("label", "target", "prediction", "start", "top_classes", "sha256"):
            assert other.index[column].equals(runs[0].index[column]), column
    explainer, x = lrp.Explainer(table), samples_for("table", 60)["x"]
    for i, row in enumerate(runs[0]):
        found = explainer(x[i : i + 1], i % 3)
        agrees(row, found, {"x": found.relevance[0]})
    assert runs[0].strongest("b", 1)[0].row == int(np.argmax(runs[0].numpy()[:, 1]))


def test_the_second_table_may_have_its_columns_in_another_order(table: Path) -> None:
    Path("one.csv").write_text("a,b,c,d\n1,2,3,4\n")
    Path("two.csv").write_text("d,c,b,a\n4,3,2,1\n")
    Path("odd.csv").write_text("a,b,c,e\n1,2,3,4\n")
    run = lrp.explain_all(table, ["one.csv", "two.csv"], "out")
    np.testing.assert_array_equal(run[0].map, run[1].map)
    with pytest.raises(InputError, match=r"odd.csv: has not the columns of one.csv: only one has d, e; name those"):
        lrp.explain_all(table, ["one.csv", "odd.csv"], "other")


def test_only_some_of_a_table(table: Path) -> None:
    common = ["batch", str(table), "t.csv", "--features", "a,b,c,d", "-q"]
    assert main([*common, "--label", "class", "-o", "wrong", "--only", "wrong"]) == 0
    assert lrp.open_batch("wrong").index["origin"].to_pylist() == [0, 10, 20, 30, 40, 50]
    Path("names.txt").write_text("cat\ndog\ncow\n")
    drawn = ["--labels", "names.txt", "--only", "class=dog", "--sample", "5", "--random-seed"]
    assert main([*common, "-o", "dogs", *drawn, "3"]) == main([*common, "-o", "more", *drawn, "4"]) == 0
    dogs, more = lrp.open_batch("dogs"), lrp.open_batch("more")
    assert dogs.index["predicted"].to_pylist() == ["dog"] * 5
    assert dogs.index["origin"] != more.index["origin"]
    x = samples_for("table", 60)["x"]
    for row in dogs:
        found = lrp.Explainer(table)(x[row.origin][None]).relevance[0]
        np.testing.assert_allclose(row.map, found, atol=6e-4 * np.abs(found).max())


def in_tar(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.mark.full
def test_an_archive_a_list_a_pattern_and_a_pipe_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(map(str, (MODELS / "digits").glob("*.png")))
    with tarfile.open("d.tar", "w") as archive:
        for i, name in enumerate(names):
            in_tar(archive, f"{i}.png", Path(name).read_bytes())
            in_tar(archive, f"{i}.json", json.dumps({"class": i}).encode())
    Path("list.txt").write_text("\n".join(names))
    common = ["--save", "maps,scores,png,figure", "--target", "3", "--seed", "odds", "--batch-size", "4"]
    piped = typed(DIGITS, "-", "-o", "pipe", *common, "--workers", "2", input="\n".join(names))
    assert piped.returncode == 0, piped.stderr
    given = {"tar": "d.tar", "list": "list.txt", "pattern": str(MODELS / "digits" / "?.png")}
    for out, inputs in given.items():
        more = ["--label", "class"] if out == "tar" else []
        assert main(["batch", str(DIGITS), inputs, "-o", out, "-q", "--threads", "1", *common, *more]) == 0
    maps = lrp.open_batch("pipe").numpy()
    assert np.isfinite(maps).all()
    for out in given:
        np.testing.assert_array_equal(lrp.open_batch(out).numpy(), maps)
        assert len(list(Path(out).glob("png/*/*.png"))) == len(list(Path(out).glob("figure/*/*.png"))) == len(names)
    assert lrp.open_batch("tar").index["label"].to_pylist() == [str(i) for i in range(len(names))]
    assert main(["batch", str(DIGITS), "d.tar", "-o", "typo", "--label", "clss", "-q"]) == 2
    assert "d.tar: no input has a member or a key of .json that is called 'clss'" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["nhw", "nchw", "nhwc"])
def test_bytes_in_an_array_are_the_pictures_that_they_hold(layout: str) -> None:
    names = sorted(map(str, (MODELS / "digits").glob("?.png")))[:4]
    pixels = np.stack([np.asarray(Image.open(name).convert("L")) for name in names])
    x = {"nhw": pixels, "nchw": pixels[:, None], "nhwc": pixels[..., None]}[layout]
    np.save("x.npy", x)
    Path("apart").mkdir()
    for i, one in enumerate(x):
        np.save(f"apart/{i}.npy", one)
    wanted = lrp.Explainer(DIGITS, preprocessing="zero-one", threads=1)(names).relevance
    np.testing.assert_array_equal(lrp.Explainer(DIGITS, preprocessing="zero-one", threads=1)(x).relevance, wanted)
    common = ["--threads", "1", "-q"]
    for inputs in ("x.npy", "apart"):
        assert main(["batch", str(DIGITS), inputs, "-o", f"of_{inputs}", "--precision", "float32", *common]) == 0
        np.testing.assert_allclose(lrp.open_batch(f"of_{inputs}").numpy(), wanted[:, 0], atol=1e-6)
    files = ["--no-heatmap", "--save-relevance", "r.npz", "--record", "r.json"]
    assert main(["explain", str(DIGITS), "x.npy", *files, *common]) == 0
    np.testing.assert_allclose(np.load("r.npz")["relevance::input"], wanted, atol=1e-6)
    assert main(["verify", "r.json", str(DIGITS), "x.npy"]) == 0


def test_eight_bits_and_whole_colours() -> None:
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.random((20, 1, 28, 28), np.float32))
    for precision, step in (("int8", 1 / 254), ("float32", 1e-6)):
        run = lrp.explain_all(DIGITS, "x.npy", precision, precision=precision, whole=True)
        for row in run[:5]:
            found = lrp.Explainer(DIGITS)(np.load("x.npy")[row.row][None]).relevance[0]
            np.testing.assert_allclose(row.map, found, atol=1.01 * step * np.abs(found).max())


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What one line says of a run that is refused."""
    assert main(["batch", *map(str, arguments)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("onnx-lrp: error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("onnx-lrp: error: ")


def test_what_is_refused_says_what_to_do(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = [table, "t.csv", "--features", "a,b,c,d", "-o", "out"]
    assert main(["batch", *map(str, common), "-q"]) == 0
    remedy = "; choose another -o, or delete the folder"
    said = refused(capsys, *common, "--composite", "gamma")
    assert said.startswith('out was begun otherwise: --composite (name = "default", now name = "gamma")' + remedy)
    said = refused(capsys, table, "t.csv", "--features", "d,c,b,a", "-o", "out")
    assert "--features (a, now d)" in said
    assert said.endswith(remedy)
    text = Path("t.csv").read_text()
    Path("t.csv").write_text(text + text.splitlines()[-1] + "\n")
    assert "was begun with 60 inputs, and now there are 61" in refused(capsys, *common)
    other = small_net("softmax", Path.cwd())
    Path("t.csv").write_text(text)
    assert "the model (" in refused(capsys, other, *common[1:])
    assert "is a file; give the name of a folder" in refused(capsys, table, "t.csv", "-o", "t.csv")
    Path("full").mkdir()
    Path("full/thesis.tex").touch()
    assert "holds other things than a batch (thesis.tex)" in refused(capsys, table, "t.csv", "-o", "full")
    assert os.listdir("full") == ["thesis.tex"]


def test_a_target_that_no_input_has_is_refused_at_once(table: Path) -> None:
    assert main(["batch", str(table), "t.npz", "--features", "x", "-o", "out", "--target", "99", "-q"]) == 2


def test_a_class_held_against_itself_is_refused_at_once(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, table, "t.npz", "--features", "x", "-o", "out", "--target", "0", "--against", "0", "-q")
    assert said.startswith("class 0 cannot be held against itself")


def test_a_run_in_which_every_input_fails_is_stored(table: Path) -> None:
    x = samples_for("table", 40)["x"]
    x[1:] = np.nan
    best = int(lrp.explain(table, x[:1]).prediction[0])
    run = lrp.explain_all(table, x, "out", batch=4, save=("maps", "scores", "topk"), against=best)
    assert len(run.errors) == len(run) == 40
    assert np.isnan(run.numpy()).all()
    assert "40 failed" in repr(run)
    assert " by default: " in repr(run)


def test_what_runs_wrote_below_the_inputs_is_no_input() -> None:
    shutil.copytree(MODELS / "digits", "in")
    count = len(list(Path("in").glob("*.png")))
    for inputs, out in (("in", "in/out"), ("in", "in/out"), ("in/**/*.png", "in/more"), ("in/**/*.png", "in/more")):
        assert main(["batch", str(DIGITS), inputs, "-o", out, "--save", "png", "-q", "--threads", "1"]) == 0
        assert len(lrp.open_batch(out)) == count
    assert len(lrp.explain_all(DIGITS, "in/out/png", "again")) == count


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6,000 noisy inputs, and beside them what an uninterrupted run makes of them."""
    path = tmp_path_factory.mktemp("many") / "x.npy"
    np.save(path, np.random.default_rng(5).random((6_000, 1, 28, 28), np.float32))
    done = typed(DIGITS, path, "-o", path.with_name("whole"))
    assert done.returncode == 0, done.stderr
    return path


def parts_in(out: Path) -> int:
    return len(list(out.glob("index/*.parquet")))


@contextlib.contextmanager
def under_way(inputs: Path, out: Path) -> Iterator[subprocess.Popen[str]]:
    """A run of which two blocks are done."""
    process = subprocess.Popen(
        command(DIGITS, inputs, "-o", out), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None and parts_in(out) < 2:
            time.sleep(0.002)
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def goes_on(inputs: Path, out: Path) -> None:
    done = typed(DIGITS, inputs, "-o", out)
    assert done.returncode == 0, done.stderr
    assert " of them before, " in done.stdout
    assert all_of(out) == all_of(inputs.with_name("whole"))
    assert not [path for path in out.rglob(".*") if path.name != ".lock"]


@linux
def test_ctrl_c_finishes_what_is_under_way(many: Path) -> None:
    out = Path("out")
    with under_way(many, out) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    done = 1024 * parts_in(out)
    assert f"onnx-lrp: error: interrupted: {done:,} of 6,000 done; the same command goes on\n" in said
    assert "Traceback" not in said
    goes_on(many, out)


@linux
@pytest.mark.parametrize("how", ["term", pytest.param("twice", marks=pytest.mark.full)])
def test_a_run_that_is_ended_leaves_nothing_half(many: Path, how: str) -> None:
    out = Path("out")
    with under_way(many, out) as process:
        os.killpg(process.pid, signal.SIGTERM if how == "term" else signal.SIGINT)
        if how == "twice":
            time.sleep(0.02)
            os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    half = lrp.open_batch(out)
    count = 1024 * parts_in(out)
    assert len(half) == count < 6_000
    whole = lrp.open_batch(many.with_name("whole"))
    np.testing.assert_array_equal(half.numpy(), whole[:count].numpy())
    assert half.index.equals(whole.index[:count])
    assert f"6000 inputs, {count} done, 0 failed" in repr(half)
    goes_on(many, out)


@linux
def test_one_writes_at_a_time_and_all_may_read(many: Path) -> None:
    out = Path("out")
    with under_way(many, out) as process:
        os.killpg(process.pid, signal.SIGSTOP)  # else it may be done before the second one begins
        second = typed(DIGITS, many, "-o", out)
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
        assert f"is being written by process {process.pid} on " in second.stderr
        assert len(lrp.open_batch(out)) >= 2048


def test_what_tasks_of_zarr_die_of_is_said_once(table: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """By the error of the run: asyncio would log those that nobody waits for any more."""
    script = "import sys, logging; from onnx_lrp.cli.main import main; main(sys.argv[1:]); logging.getLogger('asyncio')"
    Path("t.py").write_text(f"{script}.error('Task exception was never retrieved')")
    subprocess.run([sys.executable, "t.py", "batch", str(table), "missing", "-o", "out", "-q"], check=True)
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert "never retrieved" not in said


@linux
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize(
    "size", ["4k", "40k", *(pytest.param(size, marks=pytest.mark.full) for size in ("16k", "20k", "150k"))]
)
def test_a_full_disk(size: str) -> None:
    np.save("x.npy", np.random.default_rng(5).random((40, 1, 28, 28), np.float32))
    options = ["--save", "maps,scores,png,topk", "--batch-size", "8"]
    Path("disk").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", "disk"], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        full = typed(DIGITS, "x.npy", "-o", "disk/out", *options, "-q")
        assert full.returncode == 2
        assert full.stderr.count("\n") == 1
        assert "cannot be written: No space left on device; free some space, and give the same command" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=60m", "disk"], check=True)
        assert main(["batch", str(DIGITS), "x.npy", "-o", "disk/out", *options, "--threads", "1", "-q"]) == 0
        assert main(["batch", str(DIGITS), "x.npy", "-o", "whole", *options, "--threads", "1", "-q"]) == 0
        assert all_of(Path("disk/out")) == all_of(Path("whole"))
        pictures = [sorted(path.name for path in Path(out).glob("*/*/*.png")) for out in ("disk/out", "whole")]
        assert pictures[0] == pictures[1]
    finally:
        subprocess.run(["umount", "disk"], check=True)


DEADLY = """
import multiprocessing, os, sys
import numpy as np
import onnx_lrp as lrp
from onnx_lrp.batch.items import Item, Payload

class Deadly:
    def items(self):
        yield from (Item(f"in{i}", i) for i in range(32))

    def read(self, items):
        for item in items:
            if item.place == 5 and multiprocessing.parent_process():
                os._exit(7)
            yield Payload({"": np.full(4, item.place, np.float32)})

if __name__ == "__main__":
    lrp.explain_all(sys.argv[1], Deadly(), "out", workers=2, batch=16, threads=1)
"""


@pytest.mark.full
def test_an_input_that_kills_its_process_costs_one_row(table: Path) -> None:
    Path("deadly.py").write_text(DEADLY)
    subprocess.run([sys.executable, "deadly.py", str(table)], check=True, timeout=300)
    run = lrp.open_batch("out")
    assert [(row.row, row.error) for row in run.errors] == [(5, "a worker process died of it (exit code 7), twice")]
    x = np.repeat(np.arange(32, dtype=np.float32)[:, None], 4, 1)
    alone = lrp.explain_all(table, x, "alone", batch=16, threads=1)
    others = np.delete(np.arange(32), 5)
    np.testing.assert_array_equal(run.numpy()[others], alone.numpy()[others])


MEASURED = """
import sys
import onnx_lrp as lrp
run = lrp.explain_all(sys.argv[1], sys.argv[2], sys.argv[3], threads=1, batch=64)
assert not len(run.errors)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@linux
@pytest.mark.full
def test_memory_does_not_grow_with_the_number_of_inputs() -> None:
    names = sorted(map(str, (MODELS / "digits").glob("*.png")))
    peaks = []
    for count in (2_000, 20_000):
        Path(f"{count}.txt").write_text("\n".join(names[i % len(names)] for i in range(count)))
        script = [sys.executable, "-c", MEASURED, str(DIGITS), f"{count}.txt", f"out{count}"]
        peaks.append(int(subprocess.run(script, check=True, capture_output=True, text=True).stdout))
    assert peaks[1] < 1.1 * peaks[0], peaks


@linux
@pytest.mark.full
def test_a_hundred_thousand_paths() -> None:
    names = sorted(map(str, (MODELS / "digits").glob("*.png")))
    Path("list.txt").write_text("\n".join(names[i % len(names)] for i in range(100_000)))
    done = typed(DIGITS, "list.txt", "-o", "out", "--save", "topk", timeout=900)
    assert done.returncode == 0, done.stderr
    run = lrp.open_batch("out")
    assert len(run) == 100_000
    assert run.index["row"].to_pylist() == list(range(100_000))
    assert run.index["prediction"].to_pylist() == run.index["prediction"].to_pylist()[: len(names)] * 10_000


def test_folders_that_hold_no_sound_run(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    for path in ("empty", "missing", "t.csv"):
        with pytest.raises(InputError, match="no batch run lies there"):
            lrp.open_batch(path)
    lrp.explain_all(table, samples_for("table", 8)["x"], "out")
    Path("out/index.parquet").write_bytes(Path("out/index.parquet").read_bytes()[:-50])
    with pytest.raises(lrp.OnnxLrpError, match=r"out/index.parquet: is damaged; remove it, and give the same command"):
        len(lrp.open_batch("out"))
    again = [str(table), "t.csv", "--features", "a,b,c,d", "-q", "-o"]
    assert main(["batch", *again, "sound"]) == 0
    for kind in ("index", "part", "maps"):
        shutil.copytree("sound", kind)
    Path("index/index.parquet").write_bytes(b"PAR1")
    assert "is damaged; remove it, and give the same command" in refused(capsys, *again, "index")
    Path("index/index.parquet").unlink()
    assert main(["batch", *again, "index"]) == 0
    assert all_of(Path("index")) == all_of(Path("sound"))
    Path("part/index.parquet").unlink()
    Path("part/index").mkdir()
    Path("part/index/00000000.parquet").touch()  # as a power cut leaves it
    assert main(["batch", *again, "part"]) == 0
    assert all_of(Path("part")) == all_of(Path("sound"))
    Path("maps/index.parquet").unlink()
    shutil.rmtree("maps/maps.zarr/maps")
    assert main(["batch", *again, "maps"]) == 0  # without an index there is nothing to go on with
    assert all_of(Path("maps")) == all_of(Path("sound"))
