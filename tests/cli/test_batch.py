"""``onnx-lrp batch``: what it refuses in one line, what it says in the end, and how it exits."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from onnx_lrp.batch.outcome import Outcome
from onnx_lrp.cli.main import main

MODELS = Path(__file__).resolve().parents[2] / "models"
CNN, DIGITS = str(MODELS / "mnist_cnn.onnx"), str(MODELS / "digits")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("work", "predicting"):
        if importlib.util.find_spec(f"onnx_lrp.batch.{name}") is None:
            stub: Any = types.ModuleType(name)
            stub.Work = stub.Predictor = stub.sized = None
            monkeypatch.setitem(sys.modules, f"onnx_lrp.batch.{name}", stub)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is to be conducted; nothing is, but two of ten inputs failed."""
    found: list[Any] = []
    batching = importlib.import_module("onnx_lrp.cli.batching")

    def conduct(run: Any) -> Outcome:
        found.append(run)
        run.told(10, 10, 2, "explaining")
        errors = (("x\n.png", "cannot be read"),)
        return Outcome(str(run.folder.path), 10, 20, 2, 4, 3.0, errors, ("note: begun with onnx 1, goes on with 2",))

    monkeypatch.setattr(batching, "conduct", conduct)
    return found


def complaint(capsys: Capture, *args: str) -> str:
    code: Any
    try:
        code = main(["batch", *args])
    except SystemExit as ended:  # of the parser
        code = ended.code
    assert code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "the following arguments are required: -o/--out"),
        ("-o out --batch-size many", "'many' is neither auto nor a number from 1 on"),
        ("-o out --workers 0", "must be a whole number from 1 on"),
        ("-o out --batch-size 0", "'0' is neither auto nor a number from 1 on"),
        ("-o out --top 0", "argument --top: must be a whole number from 1 on, not '0'"),
        ("-o out --sample -1", "argument --sample: must be a whole number from 1 on, not '-1'"),
        ("-o out --sample 0", "argument --sample: must be a whole number from 1 on, not '0'"),
        ("-o out --random-seed -1", "argument --random-seed: must be a whole number from 0 on, not '-1'"),
        ("-o out --random-seed 1.5", "argument --random-seed: must be a whole number from 0 on, not '1.5'"),
        ("-o out --precision float8", "invalid choice: 'float8'"),
        ("-o out --engine rya", "did you mean ray?"),
        ("-o out --save map", "--save 'map' is none of maps, png, figure, scores, topk; did you mean maps?"),
        ("-o out --only worng", "--only is wrong or class=NAME, not 'worng'; did you mean wrong?"),
        ("-o out --target tree", "to name a class, give all names (--labels FILE)"),
        ("-o out --target 1 --target-column y", "not allowed with argument"),
        ("-o out --target-column y", "target is for tables"),
        ("-o out --label y", "files have no label 'y'"),
        ("-o out --seed softmax", "softmax"),
        ("-o out --sampel 3", "unrecognized arguments: --sampel 3; did you mean --sample?"),
    ],
)
def test_options_that_make_no_sense(capsys: Capture, options: str, said: str) -> None:
    assert said in complaint(capsys, CNN, DIGITS, *options.split())
    assert not Path("out").exists()


@pytest.mark.usefixtures("asked")
def test_a_folder_that_is_not_there(capsys: Capture) -> None:
    assert "nowhere" in complaint(capsys, "nowhere.onnx", DIGITS, "-o", "out")


def test_what_is_asked_for(asked: list[Any]) -> None:
    options = "--save maps,topk --precision int8 --whole --top 3 --batch-size 8 --workers 2 --target 3 --against 5"
    chosen = "--only wrong --sample 7 --random-seed 1"
    main(["batch", CNN, DIGITS, "-o", "out", *options.split(), *chosen.split()])
    (run,) = asked
    assert run.order["save"] == {"maps", "topk"}
    assert (run.order["precision"], run.order["whole"], run.order["top"], run.batch) == ("int8", True, 3, 8)
    assert (run.order["target"], run.order["seed"].classes) == (3, (5,))
    assert (run.workers, run.engine, run.once) == (2, "local", False)
    assert run.selection.as_dict() == {"only": "wrong", "sample": 7, "random_seed": 1}
    assert len(list(run.source.items())) == 10


def test_pictures_bound_the_composite_and_arrays_do_not(asked: list[Any]) -> None:
    import numpy as np

    np.save("x.npy", np.zeros((2, 1, 28, 28), np.float32))
    for inputs in (DIGITS, "x.npy"):
        main(["batch", CNN, inputs, "-o", "out", "--composite", "epsilon_gamma_box:low=-3,high=3", "-q"])
    main(["batch", CNN, DIGITS, "-o", "out", "--composite", "epsilon_gamma_box", "--mean", "0.5", "-q"])
    pictures, arrays, meant = (run.explainer for run in asked)
    assert pictures.way.settled
    assert not arrays.way.settled
    assert "ZBox(low=-0.5, high=0.5)" in repr(meant)
    assert meant.way.convention.preprocessing.mean == (0.5,)


def test_the_summary(capsys: Capture, asked: list[Any]) -> None:
    assert main(["batch", CNN, DIGITS, "-o", "out"]) == 3
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{Path(CNN).name}: explains 'logits' by default (onnx, float32)".replace(Path(CNN).name, out.split(": ")[0]),
        "pictures prepared as zero-one (the default): x = (pixel * 0.00392157 - 0) / 1, rgb, crop",
        "inputs: 10 of 20, 4 of them before, 6 in 3.0 s, 2.0 per second",
        "failed: 2",
        "  x\\n.png: cannot be read",
        "  and 1 more, in the column error of the index",
        "results: out (in Python: onnx_lrp.open_batch('out'))",
    ]
    assert err.splitlines() == [
        "explaining: 10 of 10, 2 failed", "note: begun with onnx 1, goes on with 2",
    ]  # fmt: skip


def test_json_quiet_and_errors_that_are_allowed(capsys: Capture, asked: list[Any]) -> None:
    assert main(["batch", CNN, DIGITS, "-o", "out", "--json", "-q", "--allow-errors"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["inputs"], found["listed"], found["failed"], found["per_second"]) == (10, 20, 2, 2.0)
    assert found["errors"] == [{"input": "x\n.png", "error": "cannot be read"}]
    assert err == ""


def test_an_interrupt_says_how_far_it_came(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(run: Any) -> Outcome:
        raise KeyboardInterrupt("interrupted: 1,200 of 5,000 done; the same command goes on")

    monkeypatch.setattr(importlib.import_module("onnx_lrp.cli.batching"), "conduct", interrupted)
    assert main(["batch", CNN, DIGITS, "-o", "out", "-q"]) == 130
    assert capsys.readouterr().err == (
        "onnx-lrp: error: interrupted: 1,200 of 5,000 done; the same command goes on\n"
    )  # fmt: skip
