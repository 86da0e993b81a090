"""The command line as a user sees it: output, exit codes, files."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image

import onnx_lrp
from onnx_lrp.cli import arguments, explain
from onnx_lrp.cli.main import main
from onnx_lrp.composites import PRESETS as COMPOSITES
from onnx_lrp.pictures.preprocessing import PREPROCESSINGS

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
CNN, RESNET = str(MODELS / "mnist_cnn.onnx"), str(MODELS / "mnist_resnet.onnx")
HOSTILE = ROOT.parent / "shared" / "hostile"
ACCOUNT = re.compile(
    r"ΣR at the target ([-\d.]+), at the inputs ([-\d.]+) \(Σ\|R\| [\d.e-]+\), absorbed on the way ([-\d.e]+)"
)

Capture = pytest.CaptureFixture[str]


def digit(n: int) -> str:
    return str(MODELS / "digits" / f"{n}.png")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(capsys: Capture, *argv: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    try:
        code = main(argv)
    except SystemExit as error:
        code = int(error.code or 0)
    return code, *capsys.readouterr()


def refused(capsys: Capture, *argv: str) -> tuple[int, str]:
    """Exit code and the one line of complaint."""
    code, printed, errors = run(capsys, *argv)
    assert not printed
    assert errors.startswith("onnx-lrp: error: ")
    assert errors.count("\n") == 1
    return code, errors


def saved(path: str, text: str) -> str:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), path)
    return path


def hidden_tanh() -> str:
    return saved("tanh.onnx", """
        net (float[N, 4] x) => (float[N, 3] y)
        <float[4, 3] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[3, 3] v = {1,2,3,4,5,6,7,8,9}> {
            a = MatMul(x, w)
            b = Tanh(a)
            c = MatMul(b, v)
            d = Erf(c)
            y = MatMul(d, v)
        }""")  # fmt: skip


def two_inputs() -> str:
    return saved("two.onnx", """
        net (float[N, 2] left, float[N, 3] right) => (float[N, 2] y)
        <float[2, 2] w = {1,0,0,1}, float[3, 2] v = {1,1,1,1,1,1}> {
            a = MatMul(left, w)
            b = MatMul(right, v)
            y = Add(a, b)
        }""")  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- check


def test_check_prints_a_row_per_node(capsys: Capture) -> None:
    code, printed, errors = run(capsys, "check", RESNET)
    assert (code, errors) == (0, "")
    assert "supported, explains 'logits'" in printed
    assert re.search(r"^node +op +shape +role +rule$", printed, re.M)
    assert re.search(r"^/0/0.0/Conv +Conv +batch×16×28×28 +Linear +ZPlus\(\)$", printed, re.M)
    assert re.search(r"^/2/Add +Add +batch×16×28×28 +Merge +Epsilon\(\)$", printed, re.M)
    assert re.search(r"^/7/Gemm +Gemm +batch×10 +Linear +Epsilon\(\)$", printed, re.M)
    assert printed.count("merged into Conv") == 9


def test_check_follows_the_composite(capsys: Capture) -> None:
    _, printed, _ = run(capsys, "check", RESNET, "--composite", "epsilon_gamma_box:low=0,high=1,gamma=0.5")
    assert re.search(r"^/0/0.0/Conv .* ZBox\(\)$", printed, re.M)
    assert "Gamma(gamma=0.5)" in printed


def test_check_as_json(capsys: Capture) -> None:
    code, printed, _ = run(capsys, "check", RESNET, "--json")
    report = json.loads(printed)
    assert code == 0
    assert report["supported"] is True
    assert report["output"] == "logits"
    assert {row["role"] for row in report["rows"]} == {"Linear", "Activation", "Merge", "Route"}


def test_check_lists_every_offender(capsys: Capture) -> None:
    code, printed, errors = run(capsys, "check", hidden_tanh())
    assert (code, errors) == (1, "")
    assert "unsupported" in printed
    assert re.search(r"^Tanh→b +Tanh +\S", printed, re.M)
    assert re.search(r"^Erf→d +Erf +\S", printed, re.M)


def test_check_lists_every_offender_as_json(capsys: Capture) -> None:
    code, printed, errors = run(capsys, "check", hidden_tanh(), "--json")
    report = json.loads(printed)
    assert (code, errors, report["supported"]) == (1, "", False)
    assert [problem["op"] for problem in report["problems"]] == ["Tanh", "Erf"]
    assert all(problem["reason"] and problem["remedy"] for problem in report["problems"])


def test_check_of_an_unreadable_file_as_json(capsys: Capture) -> None:
    code, printed, errors = run(capsys, "check", "nowhere.onnx", "--json")
    assert code == 2
    assert json.loads(printed)["supported"] is False
    assert json.loads(printed)["error"] in errors


def test_explain_lists_every_offender(capsys: Capture, folder: Path) -> None:
    model = hidden_tanh()
    np.save("x.npy", np.ones((1, 4), np.float32))
    code, error = refused(capsys, "explain", model, "x.npy")
    assert code == 1
    assert "(Tanh)" in error
    assert "(Erf)" in error
    assert files(folder) == ["tanh.onnx", "x.npy"]


# ------------------------------------------------------------------------------------------------------------- explain


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_explain_a_digit(capsys: Capture, folder: Path, backend: str) -> None:
    code, printed, errors = run(capsys, "explain", CNN, digit(3), "--backend", backend)
    assert (code, errors) == (0, "")
    assert f"explains 'logits' by default ({backend}, float" in printed
    assert "zero-one (the default)" in printed
    assert "prediction: 3, value 21.85" in printed
    target, inputs, absorbed = map(float, ACCOUNT.search(printed).groups())
    assert target == pytest.approx(21.8539, abs=1e-3)
    assert inputs + absorbed == pytest.approx(target, abs=1e-3)
    assert "figure: 3_default.png" in printed
    assert files(folder) == ["3_default.png"]
    with Image.open("3_default.png") as image:
        assert min(image.width / 3, image.height) > 336  # photo, map and both, under a title
        assert len(image.getcolors(1 << 18)) > 10


def test_a_bare_map(capsys: Capture, folder: Path) -> None:
    code, printed, _ = run(capsys, "explain", CNN, digit(3), "--bare")
    assert (code, "heatmap: 3_default.png" in printed) == (0, True)
    with Image.open("3_default.png") as image:
        assert (image.size, image.mode) == ((448, 448), "P")
        assert len(image.convert("RGB").getcolors(1 << 18)) > 10


def test_all_digits_are_right(capsys: Capture, folder: Path) -> None:
    code, printed, _ = run(capsys, "explain", RESNET, *map(digit, range(10)))
    assert code == 0
    assert re.findall(r"prediction: (\d)", printed) == list("0123456789")
    assert len(ACCOUNT.findall(printed)) == 10
    assert files(folder) == [f"{n}_default.png" for n in range(10)]


def test_a_batch_is_what_its_samples_are(capsys: Capture) -> None:
    run(capsys, "explain", CNN, digit(3), digit(5), "--save-relevance", "both.npz", "--no-heatmap")
    run(capsys, "explain", CNN, digit(5), "--save-relevance", "one.npz", "--no-heatmap")
    both, one = np.load("both.npz"), np.load("one.npz")
    assert both["relevance::input"].shape == (2, 1, 28, 28)
    np.testing.assert_allclose(both["relevance::input"][1:], one["relevance::input"], atol=1e-4)


def test_overlay_shows_the_picture(capsys: Capture) -> None:
    assert run(capsys, "explain", CNN, digit(3), "--bare", "-o", "plain.png")[0] == 0
    assert run(capsys, "explain", CNN, digit(3), "--overlay", "-o", "over.png")[0] == 0
    assert run(capsys, "explain", CNN, digit(3), "--overlay", "--bare", "-o", "same.png")[0] == 0
    plain, over = (np.asarray(Image.open(name).convert("RGB")) for name in ("plain.png", "over.png"))
    assert Path("over.png").read_bytes() == Path("same.png").read_bytes()
    assert plain.shape == over.shape
    assert (plain[0, 0] == 255).all()
    assert (over[0, 0] < 200).all()  # the digit's black ground, paled


def test_relevance_survives_saving(capsys: Capture) -> None:
    code, printed, _ = run(capsys, "explain", CNN, digit(3), "--save-relevance", "r.npz", "--backend", "numpy")
    assert code == 0
    assert "relevance: r.npz" in printed
    x = np.asarray(Image.open(digit(3)), np.float32)[None, None] / 255
    expected = onnx_lrp.explain(CNN, x, composite="default:low=0,high=1", backend="numpy")
    with np.load("r.npz") as kept:
        np.testing.assert_allclose(kept["relevance::input"], expected.relevance, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(kept["target"], [3])


def test_top_is_one_figure(capsys: Capture, folder: Path) -> None:
    code, printed, _ = run(capsys, "explain", CNN, digit(3), "--top", "3", "--save-relevance", "r.npz")
    assert (code, printed.count("figure: ")) == (0, 1)
    assert files(folder) == ["3_default_top3.png", "r_top1.npz", "r_top2.npz", "r_top3.npz"]
    with Image.open("3_default_top3.png") as image:
        assert min(image.width / 4, image.height / 2) > 336  # the photo and three maps; below, three over the photo
    assert run(capsys, "explain", CNN, digit(3), digit(5), "--top", "2", "-o", "h.png")[0] == 0
    assert {"h_3.png", "h_5.png"} <= set(files(folder))
    assert refused(capsys, "explain", CNN, digit(3), "--top", "3", "--seed", "odds")[0] == 2  # another question


def test_top_draws_one_bare_map_each(capsys: Capture, folder: Path) -> None:
    code, printed, _ = run(capsys, "explain", CNN, digit(3), "--top", "3", "--bare", "--save-relevance", "r.npz")
    assert code == 0
    assert re.findall(r"explained: (\d)", printed) == ["3", "2", "7"]
    targets = [float(target) for target, _, _ in ACCOUNT.findall(printed)]
    assert targets == sorted(targets, reverse=True)
    assert files(folder) == [
        "3_default_2.png", "3_default_3.png", "3_default_7.png",
        "r_top1.npz", "r_top2.npz", "r_top3.npz",
    ]  # fmt: skip
    assert np.load("r_top2.npz")["target"] == [2]


def test_top_of_a_batch_ranks_each_sample(capsys: Capture, folder: Path) -> None:
    assert run(capsys, "explain", CNN, digit(3), digit(5), "--top", "2", "--bare", "-o", "h.png")[0] == 0
    found = files(folder)
    assert len(found) == 4
    assert {"h_3_3.png", "h_5_5.png"} <= set(found)


def test_top_beyond_the_classes(capsys: Capture) -> None:
    _, printed, _ = run(capsys, "explain", CNN, digit(3), "--top", "99", "--no-heatmap")
    assert printed.count("explained:") == 10


def test_labels(capsys: Capture, folder: Path) -> None:
    names = ["zero", "one", "two", "dr\x1b[31mei", *"456789"]
    (folder / "labels.txt").write_text("\r\n".join(names) + "\n")
    _, printed, _ = run(capsys, "explain", CNN, digit(3), "--labels", "labels.txt", "--no-heatmap")
    assert r"prediction: 3 (dr\x1b[31mei), value" in printed


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a\nb\n", "2 labels"), (b"\xff\xfe", "UTF-8"), (b"", "1 labels")],
    ids=["too few", "not text", "empty"],
)
def test_wrong_labels(capsys: Capture, folder: Path, content: bytes, message: str) -> None:
    (folder / "labels.txt").write_bytes(content)
    code, error = refused(capsys, "explain", CNN, digit(3), "--labels", "labels.txt")
    assert (code, message in error) == (2, True)
    assert files(folder) == ["labels.txt"]


def test_ledger_accounts_for_every_node(capsys: Capture) -> None:
    _, printed, _ = run(capsys, "explain", CNN, digit(3), "--ledger", "--no-heatmap")
    rows = printed[printed.index("ledger") :].splitlines()
    assert rows[1].split() == ["node", "op", "rule", "arrived", "handed", "on", "absorbed"]
    assert [row.split()[0] for row in rows[3:]][:2] == ["node_linear_1", "node_relu_2"]
    assert len([row for row in rows if "absorbed by" not in row]) == 13


def test_verbose_tells_what_was_rewritten(capsys: Capture) -> None:
    _, printed, notes = run(capsys, "explain", RESNET, digit(3), "-v", "--no-heatmap")
    assert notes.count("note: BatchNormalization") == 9
    assert "ZPlus()" in printed


def test_target_and_seed(capsys: Capture) -> None:
    _, printed, _ = run(capsys, "explain", CNN, digit(3), "--target", "5", "--seed", "one", "--no-heatmap")
    assert "explained: 5, value 1.43672" in printed
    assert float(ACCOUNT.search(printed)[1]) == 1.0


@pytest.mark.parametrize("composite", ["epsilon_gamma_box", "layered", "layered:gamma=0.1"])
def test_bounds_follow_from_the_preprocessing(capsys: Capture, composite: str) -> None:
    _, printed, _ = run(capsys, "explain", CNN, digit(3), "--composite", composite, "-v", "--no-heatmap")
    assert "ZBox()" in printed  # 0 to 1
    _, printed, _ = run(
        capsys, "explain", CNN, digit(3), "--composite", composite, "-v", "--no-heatmap", "--preprocess", "signed"
    )
    assert "ZBox(low=-1.0" in printed


def test_given_bounds_are_kept(capsys: Capture) -> None:
    composite = "epsilon_gamma_box:low=-3,high=3"
    _, printed, _ = run(capsys, "explain", CNN, digit(3), "--composite", composite, "-v", "--no-heatmap")
    assert "ZBox(low=-3.0, high=3.0)" in printed


def test_arrays_have_no_bounds_unless_they_are_named(capsys: Capture) -> None:
    np.save("x.npy", np.zeros((1, 1, 28, 28), np.float32))
    command = ["explain", CNN, "x.npy", "--composite", "epsilon_gamma_box", "--no-heatmap"]
    code, error = refused(capsys, *command)
    assert (code, "needs the bounds" in error) == (2, True)
    assert run(capsys, *command, "--preprocess", "zero-one")[0] == 0


# -------------------------------------------------------------------------------------------------------------- inputs


def test_arrays_are_samples_or_batches(capsys: Capture, folder: Path) -> None:
    pictures = np.stack([np.asarray(Image.open(digit(n)), np.float32) for n in (3, 5, 7)])[:, None] / 255
    np.save("one.npy", pictures[0])
    np.save("two.npy", pictures[1:])
    code, printed, _ = run(capsys, "explain", CNN, "one.npy", "two.npy", "--save-relevance", "r.npz")
    assert code == 0
    assert re.findall(r"prediction: (\d)", printed) == ["3", "5", "7"]
    assert "zero-one" not in printed
    assert np.load("r.npz")["relevance::input"].shape == (3, 1, 28, 28)
    assert {"one_default.png", "two_0_default.png", "two_1_default.png"} <= set(files(folder))


@pytest.mark.parametrize("name", ["input", "arr_0"])
def test_an_archive_with_one_array(capsys: Capture, name: str) -> None:
    np.savez("x.npz", **{name: np.zeros((1, 1, 28, 28), np.float32)})
    assert run(capsys, "explain", CNN, "x.npz", "--no-heatmap")[0] == 0


def test_several_inputs_from_an_archive_or_in_order(capsys: Capture, folder: Path) -> None:
    model = two_inputs()
    left, right = np.array([[1, 5]], np.float32), np.array([[1, 2, 3]], np.float32)
    np.savez("both.npz", right=right, left=left)
    np.save("left.npy", left)
    np.save("right.npy", right)
    before = files(folder)
    code, printed, _ = run(capsys, "explain", model, "both.npz")
    assert code == 0
    assert "prediction: 1, value 11" in printed
    assert "input 'left' is no picture" in printed
    assert re.search(r"^ +feature +value +relevance$", printed, re.M)
    assert re.search(r"^ +1 +5 +5$", printed, re.M)
    assert sorted({*files(folder)} - {*before}) == ["both_default_0left.png", "both_default_1right.png"]
    assert run(capsys, "explain", model, "left.npy", "right.npy")[1].count("prediction: 1, value 11") == 1


def test_too_few_files_for_several_inputs(capsys: Capture) -> None:
    model = two_inputs()
    np.save("left.npy", np.ones((1, 2), np.float32))
    code, error = refused(capsys, "explain", model, "left.npy")
    assert (code, "'left', 'right'" in error) == (2, True)


def test_one_by_one_where_the_model_takes_one(capsys: Capture, folder: Path) -> None:
    model = saved("one.onnx", """
        net (float[1, 1, 2, 2] x) => (float[1, 4] y) <int64[2] s = {1, 4}> { y = Reshape(x, s) }""")  # fmt: skip
    for name in "ab":
        np.save(f"{name}.npy", np.eye(2, dtype=np.float32)[None, None])
    code, printed, _ = run(capsys, "explain", model, "a.npy", "b.npy", "--save-relevance", "r.npz")
    assert code == 0
    assert printed.count("prediction: 0") == 2
    assert {"r_a.npz", "r_b.npz", "a_default.png", "b_default.png"} <= set(files(folder))


def test_a_fixed_batch_takes_as_many(capsys: Capture, folder: Path) -> None:
    model = saved("pair.onnx", """
        net (float[2, 1, 2, 2] x) => (float[2, 4] y) <int64[2] s = {2, 4}> { y = Reshape(x, s) }""")  # fmt: skip
    for name in "abc":
        Image.new("L", (2, 2), 255).save(f"{name}.png")
    assert run(capsys, "explain", model, "a.png", "b.png", "--no-heatmap")[1].count("prediction: 0") == 2
    assert refused(capsys, "explain", model, "a.png", "b.png", "c.png")[0] == 2


def test_files_of_one_name_from_two_folders(capsys: Capture, folder: Path) -> None:
    for name in ("first", "second"):
        (folder / name).mkdir()
        shutil.copy(digit(3), folder / name)
    assert run(capsys, "explain", CNN, "first/3.png", "second/3.png")[0] == 0
    assert {"3_default.png", "3-2_default.png"} <= set(files(folder))


def test_a_flattened_picture_is_folded_back(capsys: Capture) -> None:
    model = saved("flat.onnx", "net (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }")
    Image.fromarray(np.array([[0, 255], [0, 0]], np.uint8)).save("p.png")
    assert run(capsys, "explain", model, "p.png", "--overlay", "-o", "h.png")[0] == 0
    picture = np.asarray(Image.open("h.png").convert("RGB"))
    assert picture.shape == (448, 448, 3)
    assert picture[0, -1].tolist() == [137, 7, 14]


# --------------------------------------------------------------------------------------------------------- what exists


def test_a_file_that_exists_is_left_alone(capsys: Capture, folder: Path) -> None:
    (folder / "h.png").write_bytes(b"mine")
    command = ["explain", CNN, digit(3), "-o", "h.png", "--save-relevance", "r.npz"]
    code, error = refused(capsys, *command)
    assert (code, "exists already" in error) == (2, True)
    assert (folder / "h.png").read_bytes() == b"mine"
    assert files(folder) == ["h.png"]
    assert run(capsys, *command, "--force")[0] == 0
    assert (folder / "h.png").read_bytes() != b"mine"


def test_top_finds_what_exists_too(capsys: Capture, folder: Path) -> None:
    (folder / "3_default_2.png").write_bytes(b"mine")
    assert refused(capsys, "explain", CNN, digit(3), "--top", "2", "--bare")[0] == 2
    assert files(folder) == ["3_default_2.png"]


def test_nothing_is_written_if_one_file_cannot_be(
    capsys: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    code, error = refused(capsys, "explain", CNN, digit(3), digit(5), "--save-relevance", "r.npz")
    assert (code, "No space left" in error) == (2, True)
    assert files(folder) == []


def test_two_results_for_one_file(capsys: Capture, folder: Path) -> None:
    code, error = refused(capsys, "explain", CNN, digit(3), "-o", "a.png", "--save-relevance", "a.png")
    assert (code, "one file" in error) == (2, True)
    assert files(folder) == []


# ------------------------------------------------------------------------------------------------------------ mistakes

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize("command", ["check", "explain"])
@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (LFS, "LFS"), (b"hello\n", "text"), (b"", "empty"), ("cut", "cut off")],
    ids=["missing", "lfs", "text", "empty", "truncated"],
)
def test_what_is_no_model(
    capsys: Capture, folder: Path, command: str, content: bytes | str | None, message: str
) -> None:
    if content is not None:
        data = Path(CNN).read_bytes()[:30_000] if isinstance(content, str) else content
        (folder / "m.onnx").write_bytes(data)
    before = files(folder)
    code, error = refused(capsys, command, "m.onnx", *[digit(3)] * (command == "explain"))
    assert (code, message in error) == (2, True)
    assert files(folder) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--composite", "nope"], "choose one of"),
        (["--composite", "epsilon:gamma=1"], "no parameter gamma"),
        (["--composite", "epsilon:epsilon=x"], "key=number"),
        (["--composite", "epsilon_gamma_box:low=1,high=0"], "low must be at most high"),
        (["--target", "10"], "out of range"),
        (["--target", "-1"], "out of range"),
        (["--target", "x"], "is no index"),
        (["--target", "1", "--top", "2"], "not allowed with"),
        (["--top", "0"], "from 1 on"),
        (["--output", "nope"], "no output, tensor or node 'nope'"),
        (["--backend", "cupy"], "invalid choice"),
        (["--backend", "numpy", "--device", "cuda"], "no device"),
        (["--threads", "-1"], "0 to 1024"),
        (["--preprocess", "nope"], "unknown preprocessing"),
        (["--mean", "1,2"], "2 numbers"),
        (["--std", "0"], "zero"),
        (["--percentile", "0"], "percentile"),
        (["-o", "missing/h.png"], "does not exist"),
        (["-o", "h.jpg"], "ends in .png"),
        (["--save-relevance", "missing/r.npz"], "does not exist"),
        (["--labels", "missing.txt"], "no such file"),
        (["--heat", "h.png"], "unrecognized"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, list) else "",
)
def test_wrong_options(capsys: Capture, folder: Path, options: list[str], message: str) -> None:
    code, error = refused(capsys, "explain", CNN, digit(3), *options)
    assert (code, message in error) == (2, True), error
    assert files(folder) == []


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((1, 1, 28, 28), np.nan, np.float32), "NaN"),
        (np.zeros((1, 3, 28, 28), np.float32), "(1, 3, 28, 28)"),
        (np.zeros(5, np.float32), "rank 1"),
        (np.zeros((0, 1, 28, 28), np.float32), "empty"),
        (np.zeros((1, 1, 28, 28), np.int64), "int64"),
    ],
    ids=["nan", "shape", "rank", "empty", "integers"],
)
def test_wrong_arrays(capsys: Capture, folder: Path, array: np.ndarray, message: str) -> None:
    np.save("x.npy", array)
    code, error = refused(capsys, "explain", CNN, "x.npy")
    assert (code, message in error) == (2, True), error
    assert "x.npy" in error
    assert files(folder) == ["x.npy"]


def test_one_wrong_file_of_two(capsys: Capture, folder: Path) -> None:
    assert refused(capsys, "explain", CNN, digit(3), "missing.png")[0] == 2
    assert files(folder) == []


def test_a_malformed_model_is_rejected(capsys: Capture) -> None:
    model = onnx.load(CNN)
    model.graph.node[1].input[0] = "nowhere"
    onnx.save(model, "m.onnx")
    assert refused(capsys, "check", "m.onnx")[0] == 1
    assert refused(capsys, "explain", "m.onnx", digit(3))[0] == 1


def test_no_memory_and_no_patience(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, code in ((MemoryError, 2), (KeyboardInterrupt, 130)):

        def fail(_: object, error: type[BaseException] = error) -> int:
            raise error

        monkeypatch.setattr("onnx_lrp.cli.check.run", fail)
        assert refused(capsys, "check", CNN)[0] == code


# -------------------------------------------------------------------------------------------------------- hostile names

NAMES = [
    "xss_script", "xss_img", "xss_close_json", "xss_svg", "xss_attr", "tmpl", "csv_formula", "ansi", "rich_markup",
    "rich_bad_close", "path", "nul", "newline", "rtl", "long", "reserved_windows", "surrogate", "percent", "dotdot",
    "slash",
]  # fmt: skip


@pytest.mark.skipif(not HOSTILE.is_dir(), reason="the hostile generators are not here")
@pytest.mark.parametrize("json_too", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(
    capsys: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, json_too: list[str]
) -> None:
    monkeypatch.syspath_prepend(str(HOSTILE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    model = importlib.import_module("gen_names").CASES[f"name_{name}"](folder)
    np.save("x.npy", np.ones(1, np.float32))
    for command in (["check", str(model), *json_too], ["explain", str(model), "x.npy", "-f", "-v", "--ledger"]):
        code, printed, errors = run(capsys, *command)
        assert code in (0, 1)
        assert len(printed) < 4_000
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", printed + errors)
        assert not re.search(r"^INFO forged", printed + errors, re.M)
    assert set(files(folder)) <= {model.name, "x.npy", "x_default.png"}


# ------------------------------------------------------------------------------------------------------- as a program


def program(*argv: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "onnx_lrp", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload]


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["explain", "--help"], ["compare", "--help"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    code = "try: main(sys.argv[1:])\nfinally: print(*sys.modules, file=sys.stderr)"
    code = f"import sys; from onnx_lrp.cli.main import main\n{code}"
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    heavy = {"numpy", "onnx", "onnx_ir", "onnxruntime", "PIL", "torch", "sympy"}
    assert not heavy & set(done.stderr.split())


def test_version() -> None:
    assert program("--version").stdout == f"onnx-lrp {onnx_lrp.__version__}\n"


def test_exit_codes_of_the_program(folder: Path) -> None:
    assert program("check", CNN).returncode == 0
    assert program("check", hidden_tanh()).returncode == 1
    assert program("check", "nowhere").returncode == 2
    assert program().returncode == 2


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "onnx_lrp", "check", CNN]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_terminal_without_greek() -> None:
    done = program("explain", CNN, digit(3), "--no-heatmap", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert r"\u03a3R at the target" in done.stdout


def test_help_names_what_there_is() -> None:
    assert re.findall(r"\w+", arguments.COMPOSITES.partition(".")[0])[1:] == list(COMPOSITES)
    assert set(re.findall(r"^  (\S+)  ", explain.EPILOG, re.M)) == set(PREPROCESSINGS)
    assert arguments.PREPROCESSING in PREPROCESSINGS


SILU = """<ir_version: 8, opset_import: ["": 17]> g (float[N,3] x) => (float y)
    <float[3] k = {1.0, -2.0, 3.0}> { s = Sigmoid (x) a = Mul (x, s) y = Mul (a, k) }"""


def test_pass_op(capsys: Capture, folder: Path) -> None:
    onnx.save(onnx.parser.parse_model(SILU), "silu.onnx")
    np.save("x.npy", np.array([[1.0, 2.0, -3.0]], np.float32))
    code, printed, _ = run(capsys, "check", "silu.onnx")
    assert code == 1
    assert "--pass-op Swish lets relevance pass it unchanged, on your own responsibility" in printed
    assert "written as Sigmoid and Mul" in printed
    code, printed, _ = run(capsys, "check", "silu.onnx", "--pass-op", "Swish", "--json")
    report = json.loads(printed)
    assert code == 0
    assert "Swish (1 node) passes relevance unchanged, on your word" in report["notes"]
    assert report["multiply_adds"] == {"Epsilon": 3}
    assert report["warnings"] == []
    code, _, notes = run(capsys, "explain", "silu.onnx", "x.npy", "--pass-op", "Swish", "-v", "--target", "1")
    assert code == 0
    assert "note: Swish (1 node) passes relevance unchanged, on your word" in notes
    assert run(capsys, "convert", "silu.onnx", "out.onnx", "--pass-op", "Swish")[0] == 0
    about = {prop.key: prop.value for prop in onnx.load("out.onnx").metadata_props}
    assert about["onnx_lrp.pass_ops"] == "Swish"  # who reads the file is told


@pytest.mark.parametrize("command", ["check", "explain", "convert"])
def test_pass_op_that_makes_no_sense(capsys: Capture, folder: Path, command: str) -> None:
    onnx.save(onnx.parser.parse_model(SILU), "silu.onnx")
    np.save("x.npy", np.zeros((1, 3), np.float32))
    more = {"explain": ["x.npy"], "convert": ["out.onnx"]}.get(command, [])
    code, line = refused(capsys, command, "silu.onnx", *more, "--pass-op", "Swish", "--pass-op", "Gelu")
    assert code == 2
    assert "no Gelu for --pass-op; of activations that can be passed, the model has Swish (1 node)" in line
    code, line = refused(capsys, command, "silu.onnx", *more, "--pass-op", "LayerNormalization")
    assert code == 2
    assert "LayerNormalization is no elementwise activation" in line


def test_the_ledger_warns_of_amplification(capsys: Capture, folder: Path) -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> g (float[1,2] x) => (float y)
        <float[2,1] w = {1.0, -1.0}> { y = MatMul (x, w) }"""
    onnx.save(onnx.parser.parse_model(text), "cancels.onnx")
    np.save("x.npy", np.array([[1.0, 0.99999]], np.float32))
    options = ["--composite", "epsilon:epsilon=1e-9", "--seed", "one", "--ledger", "--no-heatmap"]
    _, _, warnings = run(capsys, "explain", "cancels.onnx", "x.npy", *options)
    assert "warning: MatMul MatMul→y amplifies relevance " in warnings
    assert "use a larger epsilon there, or float64" in warnings
    _, _, warnings = run(capsys, "explain", "cancels.onnx", "x.npy", "--ledger", "--no-heatmap", "--composite",
                         "epsilon:epsilon=1")  # fmt: skip
    assert "amplifies" not in warnings


def test_json_says_what_the_lines_say(capsys: Capture, folder: Path) -> None:
    code, printed, _ = run(
        capsys, "explain", CNN, digit(3), digit(5), "--top", "2", "--bare", "--json", "--save-relevance", "r.npz"
    )
    assert code == 0
    found = json.loads(printed)
    assert (found["explains"], found["seed"], found["backend"]) == ("logits", "logit", "onnx")
    assert [sample["prediction"]["index"] for sample in found["samples"]] == [3, 5]
    for sample in found["samples"]:
        for element in sample["explained"]:
            assert element["sum_target"] == pytest.approx(element["value"], rel=1e-5)
            assert element["sum_absorbed"] == pytest.approx(element["sum_target"] - element["sum_inputs"])
    assert sorted(found["files"]) == files(folder)
    assert len(found["files"]) == 6


def test_unknown_bounds_are_told_once(capsys: Capture, folder: Path) -> None:
    np.save("x.npy", np.random.default_rng(0).uniform(0, 1, (2, 1, 28, 28)).astype(np.float32))
    _, _, notes = run(capsys, "explain", CNN, "x.npy", "--no-heatmap")
    assert notes.count("note: the input's bounds are not known, so the first layer is under z⁺") == 1
    for known in (["--preprocess", "zero-one"], ["--composite", "default:low=0,high=1"], ["--composite", "epsilon"]):
        _, _, notes = run(capsys, "explain", CNN, "x.npy", "--no-heatmap", *known)
        assert "bounds are not known" not in notes


def test_doubts_are_printed_at_the_end(capsys: Capture, folder: Path) -> None:
    x = np.zeros((2, 1, 28, 28), np.float32)
    x[:, :, 10:16, 10:16] = 1
    np.save("x.npy", x)
    _, printed, warnings = run(capsys, "explain", CNN, "x.npy", "--no-heatmap")
    assert re.search(r"^warning: 95 % of the input 'input' is exactly 0", warnings.splitlines()[-1])
    assert "warning" not in printed


def test_rules_print_and_write(capsys: Capture, folder: Path) -> None:
    code, printed, _ = run(capsys, "rules")
    assert code == 0
    assert [line.partition(":")[0] for line in printed.splitlines() if re.match(r"\w+: ", line)] == list(COMPOSITES)
    _, printed, _ = run(capsys, "rules", "EpsilonGammaBox")
    assert "ZBox       R_j = " in printed
    _, printed, _ = run(capsys, "rules", "--json")
    assert [info["name"] for info in json.loads(printed)] == list(COMPOSITES)
    assert run(capsys, "rules", "default:low=0,high=1", "--save", "own.toml")[0] == 0
    code, printed, _ = run(
        capsys, "explain", CNN, digit(3), "--composite", "own.toml", "--no-heatmap", "--backend", "numpy"
    )
    assert code == 0
    _, again, _ = run(capsys, "explain", CNN, digit(3), "--no-heatmap", "--backend", "numpy")
    assert printed.replace(" by own ", " by default ") == again
    assert refused(capsys, "rules", "default", "--save", "own.toml")[0] == 2
    assert refused(capsys, "rules", "--save", "x.toml")[0] == 2
    Path("own.toml").write_text('[otherwise]\nrule = "Epsilom"')
    code, said = refused(capsys, "explain", CNN, digit(3), "--composite", "own.toml")
    assert (code, "own.toml, line 2: unknown rule 'Epsilom'; did you mean Epsilon?" in said) == (2, True)
