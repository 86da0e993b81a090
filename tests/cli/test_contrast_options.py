"""``--seed``, ``--against`` and ``--baseline``: what is printed, what is written, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest

import onnx_lrp as lrp
from onnx_lrp.cli.arguments import add_seed
from onnx_lrp.cli.main import main
from onnx_lrp.cli.parser import Parser
from onnx_lrp.targets import SEED_WORDS

MODELS = Path(__file__).resolve().parents[2] / "models"
RESNET, THREE = str(MODELS / "mnist_resnet.onnx"), str(MODELS / "digits" / "3.png")
NAMES = ["zero", "one", "two", "three", "four", "five, the fifth", "six", "seven", "eight", "eight"]

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("\n".join(NAMES))
    return tmp_path


def explained(capsys: Capture, *options: str, model: str = RESNET, x: str = THREE) -> list[str]:
    """The lines that say what was explained; the number in each is the sum that relevance starts with."""
    assert main(["explain", model, x, "--no-heatmap", *options]) == 0
    printed = capsys.readouterr().out
    lines = re.findall(r"explained: (.*)", printed)
    sums = re.findall(r"ΣR at the target (\S+),", printed)
    assert [re.split(", ", line)[-1] for line in lines] == sums
    return lines


def refused(capsys: Capture, *argv: str) -> str:
    """The one line of complaint."""
    before = sorted(Path().iterdir())
    with pytest.raises(SystemExit) as left:
        raise SystemExit(main(argv))
    printed, errors = capsys.readouterr()
    assert (left.value.code, printed, errors.count("\n")) == (2, "", 1)
    assert sorted(Path().iterdir()) == before
    return errors.removeprefix("onnx-lrp: error: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--seed", "odds"], ["odds of 3"]),
        (["--seed", "margin"], ["margin of 3 over 7"]),
        (["--seed", "probability"], ["probability of 3"]),
        (["--against", "5"], ["3 against 5"]),
        (["--target", "8", "--against", "3,5"], ["8 against 3 and 5"]),
        (["--labels", "labels.txt", "--against", "two"], ["3 (three) against 2 (two)"]),
        (["--labels", "labels.txt", "--against", "two, 7"], ["3 (three) against 2 (two) and 7 (seven)"]),
        (["--labels", "labels.txt", "--against", "five, the fifth"], ["3 (three) against 5 (five, the fifth)"]),
        (["--labels", "labels.txt", "--seed", "margin", "--top", "2"],
         ["margin of 3 (three) over 7 (seven)", "margin of 7 (seven) over 3 (three)"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) and value[0].startswith("--") else "",
)  # fmt: skip
def test_explain_says_what_was_explained(capsys: Capture, options: list[str], lines: list[str]) -> None:
    assert [line.rpartition(", ")[0] for line in explained(capsys, *options)] == lines


@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_explain_writes_the_relevance(capsys: Capture, backend: str) -> None:
    line = explained(capsys, "--against", "5,8", "--backend", backend, "--save-relevance", f"{backend}.npz")[0]
    with np.load(f"{backend}.npz") as saved:
        z = saved["output"][0].astype(np.float64)
        assert saved["sum::target"][0] == pytest.approx(z[3] - (z[5] + z[8]) / 2, rel=1e-5)
        assert f"{saved['sum::target'][0]:.6g}" == line.rpartition(", ")[2]


def test_a_baseline(capsys: Capture) -> None:
    text = "net (float[N, 2] x) => (float[N, 1] y) <float[2, 1] w = {3,4}> { y = MatMul(x, w) }"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), "one.onnx")
    np.save("x.npy", np.array([[1, 2]], np.float32))
    assert explained(capsys, "--baseline", "-1.5", model="one.onnx", x="x.npy") == ["0 above -1.5, 12.5"]
    assert "baseline=VALUE (--baseline VALUE)" in refused(capsys, "explain", "one.onnx", "x.npy", "--seed", "odds")


def test_a_head_s_probability_is_said_beside_it(capsys: Capture) -> None:
    text = "net (float[N, 2] x) => (float[N, 2] p) <float[2, 2] w = {1,2,3,5}> { y = MatMul(x, w) p = Softmax(y) }"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), "head.onnx")
    np.save("x.npy", np.array([[1, 0]], np.float32))
    for seed, line in (("odds", "odds of 1, 1, probability 0.7311"), ("probability", "probability of 1, 0.731059")):
        assert main(["explain", "head.onnx", "x.npy", "--no-heatmap", "--seed", seed]) == 0
        assert f"explained: {line}\n" in capsys.readouterr().out


def test_compare(capsys: Capture) -> None:
    for options in (["--seed", "odds"], ["--against", "5"], ["--seed", "margin", "--target", "7"]):
        assert main(["compare", RESNET, RESNET, THREE, "--no-layers", "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["samples"][0]["inputs"][0]["cosine"] == pytest.approx(1)


def test_convert(capsys: Capture) -> None:
    assert main(["convert", RESNET, "out.onnx", "--against", "5,8"]) == 0
    expected = lrp.convert(RESNET, against=[5, 8]).SerializeToString(deterministic=True)
    assert Path("out.onnx").read_bytes() == expected
    capsys.readouterr()
    assert main(["convert", RESNET, "out.onnx", "--against", "input", "-f"]) == 0
    assert "inputs: input, target, against" in capsys.readouterr().out
    x = np.random.default_rng(0).uniform(size=(2, 1, 28, 28)).astype(np.float32)
    session = ort.InferenceSession("out.onnx", providers=["CPUExecutionProvider"])
    feeds = {"input": x, "target": np.array([1]), "against": np.array([0, 4])}
    found = session.run(["relevance"], feeds)[0]
    for i, against in enumerate([0, 4]):
        wanted = lrp.explain(RESNET, x[i : i + 1], 1, against=against, backend="numpy", dtype="float32").relevance
        assert np.abs(found[i] - wanted[0]).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--seed", "softmax"],
            "argument --seed: the seed 'softmax' is refused: softmax's own gradient vanishes where",
        ),
        (["--seed", "half"], "argument --seed: invalid choice: 'half'"),
        (["--against", "five"], "against 'five' is no index; to name a class, give all names (--labels FILE)"),
        (["--against", "5,"], "against '' is no index; to name a class"),
        (["--against", "five", "--labels", "labels.txt"], "no class has the label 'five'; give an index"),
        (["--against", "eight", "--labels", "labels.txt"], "classes 8, 9 share the label 'eight'; give an index"),
        (
            ["--against", "3"],
            "class 3 cannot be held against itself: it is the target of sample 0; give another target",
        ),
        (["--against", "7", "--top", "2"], "class 7 cannot be held against itself: it is the target of sample 0;"),
        (["--against", "10"], "against names class 10: the output has 10 classes, 0 to 9"),
        (["--against=-1"], "against names class -1: the output has 10 classes, 0 to 9"),
        (["--against", "5,5"], "against names class 5 more than once"),
        (["--against", "5", "--seed", "one"], "against goes with the seed 'logit', not with 'one'"),
        (["--against", "5", "--baseline", "1"], "against compares classes, and baseline one number"),
        (["--baseline", "1"], "baseline is for an output of one element, and this one has 10; hold a class against"),
        (["--baseline", "nan"], "baseline is a finite number, not nan"),
        (["--baseline", "x"], "argument --baseline: invalid float value: 'x'"),
        (["--seed", "odds", "--target", "2:4"], "a region starts with the seed 'logit' or 'one', not with seed 'odds'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_explain_refuses(capsys: Capture, options: list[str], message: str) -> None:
    assert refused(capsys, "explain", RESNET, THREE, *options).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "five"], "against 'five' is no index; give the class's number"),
        (["--target", "five"], "target 'five' is no index; give the class's number"),
        (["--against", "3"], "class 3 cannot be held against itself"),
        (["--seed", "softmax"], "argument --seed: the seed 'softmax' is refused"),
        (["--baseline", "0"], "baseline is for an output of one element"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_compare_refuses(capsys: Capture, options: list[str], message: str) -> None:
    assert refused(capsys, "compare", RESNET, RESNET, THREE, "--no-layers", *options).startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "five"], "argument --against: 'five' is neither the index of a class, as 5 or 3,5, nor 'input'"),
        (["--against", "10"], "against names class 10: the output has 10 classes, 0 to 9"),
        (["--against", "1", "--seed", "input"], "against goes with the seed 'logit', not with 'input'"),
        (["--seed", "softmax"], "argument --seed: the seed 'softmax' is refused"),
        (["--baseline", "0"], "baseline is for an output of one element"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_convert_refuses(capsys: Capture, options: list[str], message: str) -> None:
    assert refused(capsys, "convert", RESNET, "out.onnx", *options).startswith(message)


def test_every_seed_has_its_word() -> None:
    parser = Parser()
    add_seed(parser)
    assert [parser.parse_args(["--seed", word]).seed for word in SEED_WORDS] == list(SEED_WORDS)
