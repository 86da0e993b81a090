"""How many inputs go together, what is found out for that, and what is refused at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("zarr")
pq = pytest.importorskip("pyarrow.parquet")
from tinynets import averaged, centred, files, linear, pooled, rows, unbatched  # noqa: E402

import onnx_lrp as lrp  # noqa: E402
from onnx_lrp import Explainer  # noqa: E402
from onnx_lrp.batch import sizing  # noqa: E402
from onnx_lrp.batch.inventory import Inventory  # noqa: E402
from onnx_lrp.batch.order import Order  # noqa: E402
from onnx_lrp.batch.sizing import with_sizes  # noqa: E402
from onnx_lrp.batch.sources.opening import source_of  # noqa: E402
from onnx_lrp.engines.compiled import CompiledEngine  # noqa: E402
from onnx_lrp.errors import ConversionError, InputError, TargetError, VerificationError  # noqa: E402


def sized(
    model: onnx.ModelProto | Explainer, inputs: Any, out: Path, batch: int | None = None, **order: Any
) -> Order:  # fmt: skip
    explainer = model if isinstance(model, Explainer) else Explainer(model, threads=1)
    inventory = Inventory.write(out / "inputs.arrow", source_of(inputs))
    return with_sizes(Order(**order), explainer, source_of(inputs), inventory, batch)


def test_inputs_of_one_size_go_together_and_a_block_is_whole_batches(tmp_path: Path) -> None:
    order = sized(linear(), rows(50), tmp_path)
    assert order.batch > 16
    assert order.block % order.batch == 0
    assert (order.shapes, order.output) == ({"x": (10,)}, (3,))


def test_a_walk_takes_fewer(tmp_path: Path) -> None:
    assert sized(Explainer(linear(), backend="numpy"), rows(50), tmp_path).batch == 32


def test_inputs_of_several_sizes_go_one_by_one(tmp_path: Path) -> None:
    pictures = [np.ones((3, 6 + i % 2, 6), np.float32) for i in range(4)]
    order = sized(pooled(), files(tmp_path / "in", pictures), tmp_path)
    assert (order.batch, dict(order.shapes)) == (1, {"x": (6, 6)})


def test_inputs_that_do_not_fit_decide_nothing(tmp_path: Path) -> None:
    inputs = [np.zeros((2, 5), np.float32), np.zeros(7, np.float32), np.full(10, np.nan, np.float32), *rows(20)]
    order = sized(linear(), files(tmp_path / "in", inputs), tmp_path)
    assert order.batch > 16
    assert (order.shapes, order.output) == ({"x": (10,)}, (3,))


@pytest.mark.parametrize(
    ("model", "batch", "why"),
    [(linear(8), 8, "its inputs say so"), (unbatched(), 1, "no such axis"),
     (centred(), 1, "depends on the others of a batch"),
     (averaged(), 1, "depends on the others of a batch")],
)  # fmt: skip
def test_what_the_model_leaves_no_choice_of(tmp_path: Path, model: onnx.ModelProto, batch: int, why: str) -> None:
    assert sized(model, rows(20), tmp_path).batch == batch
    assert sized(model, rows(20), tmp_path, batch).batch == batch
    with pytest.raises(InputError, match=rf"takes {batch} samples? at once \(.*{why}\); leave --batch-size"):
        sized(model, rows(20), tmp_path, 5)


def test_no_more_than_there_are(tmp_path: Path) -> None:
    """A batch is always filled up."""
    assert sized(linear(), rows(20), tmp_path, 1000).batch == 20
    for _ in range(2):  # also when it goes on
        found = lrp.explain_all(linear(), rows(5), tmp_path / "out", batch=1000, save=())
    assert found.manifest["order"]["batch"] == 5


def test_the_asked_for_size_is_taken(tmp_path: Path) -> None:
    order = sized(linear(), rows(20), tmp_path, 5)
    assert (order.batch, order.block % 5) == (5, 0)


def test_scores_count_for_a_block_where_they_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "_SHARD", 4 * 13 * 64)
    assert sized(linear(), rows(20), tmp_path, 16, save=frozenset(("maps",))).block == 80
    assert sized(linear(), rows(20), tmp_path, 16, save=frozenset(("maps", "scores"))).block == 64


@pytest.mark.parametrize("question", [
    {"target": 3}, {"target": -1}, {"against": 3}, {"seed": np.ones((20, 3))}, {"target": 0, "against": [1, 0]},
])  # fmt: skip
def test_a_question_that_no_input_can_answer_is_refused_at_once(tmp_path: Path, question: dict[str, Any]) -> None:
    with pytest.raises(TargetError):
        lrp.explain_all(linear(), rows(20), tmp_path / "out", **question)


def test_a_question_that_some_inputs_cannot_answer_is_none_of_these(tmp_path: Path) -> None:
    x = rows(40)
    best = np.stack([lrp.explain(linear(), x[i : i + 1]).prediction[0] for i in range(40)])
    ordered = x[np.argsort(best != 0, kind="stable")]
    found = lrp.explain_all(linear(), ordered, tmp_path / "out", against=0)
    assert len(found.errors) == (best == 0).sum() > 0
    assert not lrp.explain_all(linear(), ordered, tmp_path / "apart", target=1, against=0).errors


class StoppedError(Exception):
    """By whoever watches."""


def stop(done: int, *_: Any) -> None:
    if done:
        raise StoppedError


def whole_and_resumed(tmp_path: Path, change: Any = lambda: None, **options: Any) -> list[bytes]:
    """The index of a run, and of the same one that is stopped after a block."""
    for name in ("a", "b"):
        if name == "b":
            with pytest.raises(StoppedError):
                lrp.explain_all(linear(), rows(80), tmp_path / name, progress=stop, **options)
            change()
        lrp.explain_all(linear(), rows(80), tmp_path / name, **options)
    return [(tmp_path / name / "index.parquet").read_bytes() for name in ("a", "b")]


def test_no_thread_writes_any_more_once_a_run_was_left_by_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "_LARGEST", 16)
    before = set(threading.enumerate())
    with pytest.raises(StoppedError) as error:
        lrp.explain_all(linear(), rows(200), tmp_path / "out", progress=stop, batch=4)
    assert error.tb is not None  # which holds all that was under way
    assert {thread for thread in threading.enumerate() if "Pool" in thread.name or "ahead" in thread.name} <= before


def test_a_run_goes_on_with_the_backend_that_it_fell_back_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ConversionError("cannot be compiled")

    monkeypatch.setattr(sizing, "_LARGEST", 16)
    with monkeypatch.context() as patched:
        patched.setattr(CompiledEngine, "run", fails)
        one, two = whole_and_resumed(tmp_path, patched.undo, batch=4)
    assert one == two


def test_no_later_input_changes_the_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computing, calls = CompiledEngine.run, list[int]()

    def fails_once(self: Any, *arguments: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 6:
            raise ConversionError("these cannot be compiled")
        return computing(self, *arguments)

    monkeypatch.setattr(CompiledEngine, "run", fails_once)
    found = lrp.explain_all(linear(), rows(80), tmp_path / "out", batch=1)
    assert found.manifest["settings"]["backend"] == "onnx"
    assert [row["error"] for row in found.errors.index.to_pylist()] == ["these cannot be compiled"]


def test_a_run_that_goes_on_is_verified_on_the_input_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx_lrp.explaining import batches

    seen: list[bytes] = []
    verifying = batches.verify  # type: ignore[attr-defined]

    def noted(built: Any, feeds: Any, result: Any) -> None:
        seen.append(feeds["x"].tobytes())
        verifying(built, feeds, result)

    monkeypatch.setattr(sizing, "_LARGEST", 16)
    monkeypatch.setattr(batches, "verify", noted)
    one, two = whole_and_resumed(tmp_path, batch=4, workers=1)
    assert one == two
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_a_model_that_is_not_the_one_is_an_error_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.explaining import batches

    def fails(*_: Any) -> None:
        raise VerificationError("another one")

    monkeypatch.setattr(batches, "verify", fails)
    with pytest.raises(VerificationError):
        lrp.explain_all(linear(), rows(20), tmp_path / "out")


def test_the_users_own_explainer_stays_as_it_is(tmp_path: Path) -> None:
    own = Explainer(linear())
    choices = own._builds.choices
    assert len(choices) > 1
    lrp.explain_all(own, rows(20), tmp_path / "out")
    assert own._builds.choices == choices
    assert replace(choices[0]) == own.on_one_backend()._builds.choices[0]
    assert len(own.on_one_backend()._builds.choices) == 1
