"""How a run goes, with stand-ins for what explains: resumed, interrupted, chosen from, refused."""

from __future__ import annotations

import importlib
import importlib.util
import io
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fake_work import FakeExplaining, FakePredicting, fake_sizes

from onnx_lrp import Explainer
from onnx_lrp.batch.asked import Run, in_lanes
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.locking import written_by_us
from onnx_lrp.batch.selecting import Selection, classes_called
from onnx_lrp.batch.sources.opening import source_of
from onnx_lrp.errors import BackendError, InputError, OutputError

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("zarr")
pytest.importorskip("filelock")

MODEL = Path(__file__).resolve().parents[2] / "models" / "mnist_cnn.onnx"


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer(MODEL)


@pytest.fixture
def conducting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with the stand-ins."""
    module = importlib.import_module("onnx_lrp.batch.conducting")
    monkeypatch.setattr(module, "Work", FakeExplaining)
    monkeypatch.setattr(module, "Predictor", FakePredicting)
    monkeypatch.setattr(importlib.import_module("onnx_lrp.batch.beginning"), "with_sizes", fake_sizes)
    return module


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in folders that are called as their true class: N-PREDICTION.png; every tenth is bad."""
    monkeypatch.chdir(tmp_path)
    for n in range(30):
        path = Path("in", str(n % 3), f"{n:02}-{n % 2}{'-bad' * (n % 10 == 9)}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Path("in")


@pytest.fixture
def run(conducting: Any, explainer: Explainer, given: Path) -> Callable[..., Any]:
    """Conducts it into ``out``; ``order`` is said by its parts."""

    def conducted(inputs: Any = "in", **changes: Any) -> Any:
        order = {"target": None, "seed": "logit", "save": frozenset(), "precision": "float16", "whole": False, "top": 5}
        order |= {name: changes.pop(name) for name in list(changes) if name in order}
        source = source_of(inputs, label=changes.pop("label", None))
        return conducting.conduct(Run(explainer, source, Folder(Path("out")), order, **changes))

    return conducted


def index() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table("out/index.parquet").to_pydict()
    return found


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out/batch.json").read_text())
    return found


def test_all_inputs_have_a_row_and_the_bad_ones_an_error(run: Callable[..., Any]) -> None:
    told: list[tuple[int, int, int, str]] = []
    found = run(told=lambda *state: told.append(state))
    assert (found.inputs, found.listed, found.failed, found.done_before) == (30, 30, 3, 0)
    assert [error for _, error in found.errors] == ["cannot be read"] * 3
    assert index()["row"] == list(range(30))
    assert told[0] == (0, 30, 0, "explaining")
    assert told[-1] == (30, 30, 3, "explaining")
    assert manifest()["count"] == manifest()["listed"] == 30
    assert manifest()["order"]["batch"] == 2
    assert sorted(path.name for path in Path("out").iterdir() if not path.name.startswith(".lock")) == [
        "batch.json", "index.parquet", "inputs.arrow",
    ]  # fmt: skip


def test_a_finished_run_is_not_done_again(run: Callable[..., Any], conducting: Any, monkeypatch: Any) -> None:
    run()
    before = Path("out/index.parquet").read_bytes()
    monkeypatch.setattr(conducting, "Work", None)
    found = run()
    assert (found.inputs, found.failed, found.done_before) == (30, 3, 30)
    assert Path("out/index.parquet").read_bytes() == before


def test_ctrl_c_finishes_the_block_and_the_same_command_goes_on(
    run: Callable[..., Any], conducting: Any, monkeypatch: Any
) -> None:
    run()
    whole = Path("out/index.parquet").read_bytes()
    for path in Path("out").iterdir():
        path.unlink()
    monkeypatch.setattr(conducting, "Work", partial(FakeExplaining, stop_at=2))
    with pytest.raises(KeyboardInterrupt, match=r"^interrupted: 12 of 30 done; the same command goes on$"):
        run()
    assert len(list(Path("out/index").iterdir())) == 3
    monkeypatch.setattr(conducting, "Work", FakeExplaining)
    told: list[tuple[int, int, int, str]] = []
    found = run(told=lambda *state: told.append(state))
    assert (12, 30, 1, "explaining") in told
    assert (found.done_before, found.failed) == (12, 3)
    assert Path("out/index.parquet").read_bytes() == whole


def test_ctrl_c_twice_ends_it_at_once(run: Callable[..., Any], conducting: Any, monkeypatch: Any) -> None:
    class Twice(FakeExplaining):
        def __call__(self, *arguments: Any) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("still there")

    monkeypatch.setattr(conducting, "Work", Twice)
    with pytest.raises(KeyboardInterrupt, match="interrupted: 0 of 30 done"):
        run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_several_workers_make_the_same_index(run: Callable[..., Any]) -> None:
    run()
    alone = Path("out/index.parquet").read_bytes()
    for path in Path("out").iterdir():
        path.unlink()
    assert run(workers=2).failed == 3
    assert Path("out/index.parquet").read_bytes() == alone


def test_other_settings_are_refused_in_one_line(run: Callable[..., Any]) -> None:
    run()
    with pytest.raises(OutputError) as refused:
        run(precision="int8", target=3, save=frozenset(["topk"]))
    assert str(refused.value) == (
        "out was begun otherwise: --target (none, now 3), --save (none, now topk), --precision (float16, now int8); "
        "choose another -o, or delete the folder"
    )
    with pytest.raises(OutputError, match=r"--batch-size \(2, now 8\)"):
        run(batch=8)
    with pytest.raises(OutputError, match=r"sample \(none, now 5\)"):
        run(selection=Selection(sample=5))


def test_what_decides_nothing_may_differ(run: Callable[..., Any]) -> None:
    run()
    assert run(top=3).inputs == 30


def test_another_choice_can_be_made_as_long_as_none_is(run: Callable[..., Any]) -> None:
    for path in Path("in").rglob("*bad*"):  # they would stay in
        path.unlink()
    with pytest.raises(InputError, match="none of 27 inputs is so"):
        run(label="folder", selection=Selection("class=7"))
    assert run(label="folder", selection=Selection("class=1")).inputs == 12


def test_inputs_that_changed_are_refused(run: Callable[..., Any]) -> None:
    run()
    Path("in/0/new.png").touch()
    with pytest.raises(InputError, match="out was begun with 30 inputs, and now there are 31;"):
        run()


def test_a_start_that_found_nothing_can_be_mended(run: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="has no label"):
        run(selection=Selection(only="wrong"))
    assert Path("out/batch.json").exists()
    Path("out/png").mkdir()  # of a block that was not finished
    assert run("in/0", precision="int8").inputs < 30
    assert not Path("out/png").exists()
    with pytest.raises(InputError, match=r"out was begun with \d+ inputs, and now there are 30; give the same"):
        run(precision="int8")


def test_another_list_from_a_pipe_is_not_ignored(run: Callable[..., Any], monkeypatch: Any) -> None:
    names = [str(path) for path in sorted(Path("in").rglob("*.png"))]

    def piped(some: list[str]) -> Any:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(some).encode())))
        return run("-", once=True)

    assert piped(names[:9]).inputs == 9
    assert piped(names[:9]).done_before == 9
    assert piped([]).done_before == 9
    with pytest.raises(InputError, match="out was begun with 9 other inputs; give the same ones, or choose another -o"):
        piped(names[1:10])


def test_a_list_from_a_pipe_is_kept(run: Callable[..., Any], conducting: Any, monkeypatch: Any) -> None:
    names = "".join(f"{path}\n" for path in sorted(Path("in").rglob("*.png")))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names.encode())))
    monkeypatch.setattr(conducting, "Work", partial(FakeExplaining, stop_at=0))
    with pytest.raises(KeyboardInterrupt, match="4 of 30"):
        run("-", once=True)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    monkeypatch.setattr(conducting, "Work", FakeExplaining)
    assert run("-", once=True).inputs == 30


def test_a_run_killed_between_the_list_and_its_manifest_goes_on(run: Callable[..., Any]) -> None:
    run()
    whole = Path("out/index.parquet").read_bytes()
    Path("out/index.parquet").unlink()
    Path("out/batch.json").unlink()
    assert run().inputs == 30
    assert Path("out/index.parquet").read_bytes() == whole
    assert manifest()["count"] == 30


def test_those_that_are_predicted_wrong(run: Callable[..., Any]) -> None:
    told: list[int] = []
    found = run(
        label="folder", selection=Selection("wrong"), told=lambda done, total, failed, phase: told.append(failed)
    )
    assert max(told) == 3  # not once more for each pass
    names = [Path(name).name for name in index()["input"]]
    assert sorted(names) == sorted(
        f"{n:02}-{n % 2}{'-bad' * (n % 10 == 9)}.png" for n in range(30) if n % 3 != n % 2 or n % 10 == 9
    )
    assert (found.inputs, found.listed, found.failed) == (len(names), 30, 3)
    assert index()["row"] == list(range(len(names)))
    assert index()["origin"] == sorted(set(index()["origin"]))
    assert not Path("out/predictions").exists()


def test_a_first_pass_that_was_stopped_goes_on(run: Callable[..., Any], conducting: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(conducting, "PREDICTED_AT_ONCE", 4)
    monkeypatch.setattr(conducting, "Predictor", partial(Stopping, stop_at=1))
    with pytest.raises(KeyboardInterrupt, match="interrupted: 8 of 30 predicted; the same command goes on"):
        run(label="folder", selection=Selection("class=1"))
    monkeypatch.setattr(conducting, "Predictor", FakePredicting)
    found = run(label="folder", selection=Selection("class=1"))
    assert Path("out/passes").read_text().split() == list("01234567")
    assert found.inputs == 15  # the odd ones, of which every bad one is one
    again = run(label="folder", selection=Selection("class=1"))
    assert again.done_before == 15


def test_a_prediction_that_is_half_written_is_made_again(
    run: Callable[..., Any], conducting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conducting, "PREDICTED_AT_ONCE", 4)
    monkeypatch.setattr(conducting, "Predictor", partial(Stopping, stop_at=1))
    with pytest.raises(KeyboardInterrupt):
        run(label="folder", selection=Selection("class=1"))
    part = Path("out/predictions/00000000.parquet")
    part.write_bytes(part.read_bytes()[:100])
    monkeypatch.setattr(conducting, "Predictor", FakePredicting)
    assert run(label="folder", selection=Selection("class=1")).inputs == 15
    assert Path("out/passes").read_text().split() == list("010234567")


def test_a_pass_counts_its_own_failures(run: Callable[..., Any]) -> None:
    told: list[tuple[Any, ...]] = []
    found = run(label="folder", selection=Selection("wrong"), told=lambda *now: told.append(now))
    assert [now[2] for now in told if now[0] == now[1] and now[3] in ("predicting", "explaining")][-1] == found.failed


def test_a_start_that_is_killed_while_it_clears_what_another_left_can_be_given_again(
    run: Callable[..., Any], conducting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    beginning = importlib.import_module("onnx_lrp.batch.beginning")
    with monkeypatch.context() as killed:
        killed.setattr(beginning.shutil, "rmtree", Mock(side_effect=SystemExit))
        Path("out/maps.zarr").mkdir(parents=True)
        Path("out/batch.json").write_text(json.dumps({"format": "onnx_lrp batch 1"}))
        with pytest.raises(SystemExit):
            run()
    assert run().inputs == 30


@pytest.mark.parametrize(("workers", "lanes"), [(None, 4), (2, 2), (9, 1)])
def test_both_passes_share_all_threads_among_the_batches(
    conducting: Any, given: Path, monkeypatch: pytest.MonkeyPatch, workers: int | None, lanes: int
) -> None:
    made = {}
    for name in ("Predictor", "Work"):
        monkeypatch.setattr(conducting, name, noting(getattr(conducting, name), made))
    order = {"target": None, "seed": "logit", "save": frozenset(), "precision": "float16", "whole": False, "top": 5}
    conducting.conduct(
        Run(
            Explainer(MODEL, threads=4), source_of("in", label="folder"), Folder(Path("out")), order, None,
            Selection("wrong"), workers,
        )
    )  # fmt: skip
    assert made == {"FakePredicting": (1, lanes), "FakeExplaining": (1, lanes)}


def noting(kind: Any, made: dict[str, tuple[int, int]]) -> Callable[..., Any]:
    """Makes it, and notes the threads of a run and how many of them there are."""

    def make(*args: Any) -> Any:
        one = kind(*args)
        made[kind.__name__] = one.explainer.options.threads, one.lanes
        return one

    return make


class Stopping(FakePredicting):
    def __call__(self, block: Any, poisoned: Any = None) -> Any:
        if block.number == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return super().__call__(block)


def test_a_run_killed_before_the_chosen_take_the_place_of_all(run: Callable[..., Any], monkeypatch: Any) -> None:
    from onnx_lrp.batch.inventory import Inventory

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Inventory, "take", killed)
        with pytest.raises(SystemExit):
            run(selection=Selection(sample=7, random_seed=1))
    assert manifest()["count"] == 7
    assert run(selection=Selection(sample=7, random_seed=1)).inputs == 7
    first = index()["origin"]
    assert first == sorted(first)
    for path in Path("out").iterdir():
        path.unlink()
    run(selection=Selection(sample=7, random_seed=2))
    assert index()["origin"] != first


def test_a_sample_of_the_wrong_ones(run: Callable[..., Any]) -> None:
    assert run(label="folder", selection=Selection("wrong", 4)).inputs == 4


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (("worng",), "--only is wrong or class=NAME, not 'worng'; did you mean wrong?"),
        ((None, 0), "--sample must be a whole number from 1 on, not 0"),
        ((None, 2.5), "--sample must be a whole number from 1 on, not 2.5"),
        ((None, None, -1), "--random-seed must be a whole number from 0 on, not -1"),
        ((None, 3, None), "--random-seed must be a whole number from 0 on, not None"),
        (("class=tabby",), "--only class 'tabby' is neither"),
        (("class=5",), r"--only class=5: none of 30 inputs is so"),
        (("wrong",), r"in/0/00-0.png: has no label; --only wrong needs one"),
    ],
)
def test_choices_that_make_no_sense(run: Callable[..., Any], choice: tuple[Any, ...], said: str) -> None:
    for path in Path("in").rglob("*bad*"):
        path.unlink()
        path.with_name(path.name.replace("-bad", "")).touch()
    with pytest.raises(InputError, match=said):
        run(selection=Selection(*choice))


def test_classes_by_name_or_index() -> None:
    labels = ["tabby", "crane", "crane", "10"]
    assert classes_called("crane", labels, "label") == {1, 2}
    assert classes_called("10", labels, "label") == {3}
    assert classes_called("0", labels, "label") == {0}
    assert classes_called("77", [], "label") == {77}
    with pytest.raises(InputError, match="'taby' is neither the name of a class nor its index; did you mean 'tabby'"):
        classes_called("taby", labels, "label")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"save": frozenset(["map"])}, InputError, "--save 'map' is none of maps, .*did you mean maps"),
        ({"precision": "float8"}, InputError, "--precision 'float8' is none of"),
        ({"engine": "rya"}, BackendError, "--engine 'rya' is none of local, ray; did you mean ray"),
        ({"batch": 0}, InputError, "--batch-size must be a whole number from 1 on, not 0"),
        ({"batch": "8"}, InputError, "--batch-size must be a whole number from 1 on, not '8'"),
        ({"workers": 0}, InputError, "--workers must be a whole number from 1 on, not 0"),
    ],
)
def test_words_and_numbers_that_are_wrong(
    run: Callable[..., Any], changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        run(**changes)
    assert not Path("out").exists()


def _hold(folder: str, ready: Any, leave: Any) -> None:
    with written_by_us(Folder(Path(folder))):
        ready.set()
        leave.wait(60)


def test_one_writer_at_a_time_and_a_killed_one_leaves_no_lock(run: Callable[..., Any]) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    other = context.Process(target=_hold, args=("out", ready, leave))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(OutputError, match=rf"^out is being written by process {other.pid} on .* since 2.*; wait"):
            run()
    finally:
        other.kill()
        other.join()
    assert run().inputs == 30


@pytest.fixture
def explain_all(conducting: Any, given: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    return importlib.import_module("onnx_lrp.batch.run").explain_all  # type: ignore[no-any-return]


def test_in_python_it_is_one_call(explain_all: Callable[..., Any], explainer: Explainer) -> None:
    found = explain_all(explainer, "in", "out", target=3, against=5, save=(), label="folder", sample=12)
    assert len(found) == 12
    assert found.manifest["settings"]["seed"] == {"kind": "against", "classes": [5], "baseline": 0.0}
    assert found.manifest["order"]["target"] == "3"
    assert found.manifest["chosen"] == {"only": None, "sample": 12, "random_seed": 0}
    assert len(explain_all(MODEL, "in", "again", save=(), composite="gamma", threads=1)) == 30
    assert json.loads(Path("again/batch.json").read_text())["composite"] == "gamma"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threads": 1}, "an Explainer has its own threads; give it there"),
        ({"composite": "gamma"}, "an Explainer has its own composite; give it there"),
        ({"target": [1, 2]}, "a run takes one target for all inputs; give each its own in a table"),
        ({"target": "tabby"}, "target 'tabby' is no index"),
        ({"save": "pngs"}, "--save 'pngs' is none of maps, .* did you mean png"),
        ({"column": "path"}, "column is for tables"),
        ({"random_seed": -1}, "--random-seed must be a whole number from 0 on, not -1"),
    ],
)
def test_arguments_that_make_no_sense(
    explain_all: Callable[..., Any], explainer: Explainer, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):  # what is wrong with data and targets is a ValueError, too
        explain_all(explainer, "in", "out", **options)
    assert not Path("out").exists()


@pytest.mark.parametrize(("first", "then"), [(0, 1), (1, 0), (1, 3)])
def test_any_number_of_threads_goes_on(explain_all: Callable[..., Any], first: int, then: int) -> None:
    explain_all(MODEL, "in", "out", save=(), threads=first)
    assert len(explain_all(MODEL, "in", "out", save=(), threads=then)) == 30


def test_threads_are_spread_over_batches() -> None:
    order = {"save": frozenset(), "precision": "float16", "top": 5}
    run = Run(Explainer(MODEL, threads=4), source_of(str(MODEL.parent / "digits")), Folder(Path("out")), order)
    for engine, workers, lanes in (("local", None, 4), ("local", 2, 2), ("local", 9, 1), ("ray", None, 1)):
        spread = in_lanes(replace(run, engine=engine, workers=workers))
        assert (spread.lanes, spread.explainer.options.threads) == (lanes, 1)
        assert spread.explainer.engine is not run.explainer.engine  # which is told how many samples a batch has
    single = replace(run, explainer=Explainer(MODEL, threads=1))
    assert in_lanes(single).explainer.engine is not single.explainer.engine
    walked = replace(run, explainer=Explainer(MODEL, backend="numpy", threads=4))
    assert in_lanes(walked) is walked
