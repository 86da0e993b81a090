"""Blocks explained and stored, against one input after the other by an Explainer of its own."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("zarr")
pq = pytest.importorskip("pyarrow.parquet")
from tinynets import WEIGHTS, block, files, joined, linear, pooled, rows, scaled, unbatched, work  # noqa: E402

from onnx_lrp import Explainer, explain_all  # noqa: E402
from onnx_lrp.batch.blocks import blocks_of  # noqa: E402
from onnx_lrp.batch.store.maps import Maps  # noqa: E402
from onnx_lrp.batch.work import Work  # noqa: E402
from onnx_lrp.errors import VerificationError  # noqa: E402


def done(worker: Work, count: int) -> list[dict[str, Any]]:
    """All blocks in a row; the rows of the index."""
    worker.begin(count)
    found = list(worker.stream(blocks_of(count, worker.order.block)))
    assert [one.block for one in found] == list(blocks_of(count, worker.order.block))
    index = [row for one in found for row in pq.read_table(worker.folder.part(one.block.number)).to_pylist()]
    assert sum(one.failed for one in found) == sum(row["error"] is not None for row in index)
    return index


def maps_in(worker: Work, count: int, name: str = "x") -> np.ndarray:
    return Maps(worker.folder.maps).read(slice(0, count), name)


def stored(worker: Work) -> dict[str, bytes]:
    out = worker.folder.path
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def same_as_one_by_one(model: onnx.ModelProto, x: np.ndarray, index: list[dict[str, Any]], maps: np.ndarray) -> None:
    explainer = Explainer(model)
    for row in index:
        if row["error"] is not None:
            assert np.isnan(maps[row["row"]]).all()
            continue
        own = x[row["row"]]
        found = explainer(own[None])
        assert row["prediction"] == found.prediction[0]
        assert row["target"] == found.target[0]
        assert row["start"] == pytest.approx(found.conservation.target[0], rel=1e-5)
        assert row["relevance"] == pytest.approx(found.conservation.inputs[0], rel=1e-4, abs=1e-5)
        wanted = found.inputs["x"].reshape(own.shape)
        np.testing.assert_allclose(maps[row["row"]], wanted.sum(0) if own.ndim == 3 else wanted, 1e-4, 1e-5)


@pytest.mark.parametrize("lanes", [1, 3])
def test_every_row_is_what_an_explainer_says_of_it_alone(tmp_path: Path, lanes: int) -> None:
    x = rows(41)
    x[[3, 17, 18, 40]] = np.nan
    worker = work(linear(), x, tmp_path / "out", lanes)
    index = done(worker, 41)
    assert [row["row"] for row in index] == list(range(41))
    assert [row["row"] for row in index if row["error"]] == [3, 17, 18, 40]
    same_as_one_by_one(linear(), x, index, maps_in(worker, 41))


def test_what_is_stored_depends_on_no_lane_no_order_and_no_earlier_block(tmp_path: Path) -> None:
    x = rows(70)
    x[5] = np.inf
    one, two, three = (work(linear(), x, tmp_path / name, lanes) for name, lanes in (("a", 1), ("b", 4), ("c", 1)))
    for worker in (one, two):
        done(worker, 70)
    three.begin(70)
    for some in reversed(list(blocks_of(70, 16))):
        pickle.loads(pickle.dumps(three))(some)
    assert stored(one) == stored(two) == stored(three)


def test_a_block_without_one_answer_is_stored(tmp_path: Path) -> None:
    x = rows(40)
    x[16:32] = np.nan
    worker = work(linear(), x, tmp_path / "out", save=frozenset(("maps", "scores", "topk")))
    index = done(worker, 40)
    assert [row["error"] is not None for row in index] == [16 <= i < 32 for i in range(40)]
    assert np.isnan(maps_in(worker, 40)[16:32]).all()
    scores = Maps(worker.folder.maps).scores(slice(0, 40))
    assert scores is not None
    assert np.isnan(scores[16:32]).all()
    np.testing.assert_allclose(scores[:16], x[:16] @ WEIGHTS, 1e-4, 1e-5)


def test_poisoned_rows_get_their_reason_and_are_not_touched(tmp_path: Path) -> None:
    x = rows(16)
    worker = work(linear(), x, tmp_path / "out")
    worker.begin(16)
    read: list[str] = []
    source = worker.reader.source
    reading = source.read

    def noted(items: Any) -> Any:
        read.extend(item.name for item in items)
        return reading(items)

    object.__setattr__(source, "read", noted)
    assert worker(block(16), {2: "killed it", 9: "so did this"}).failed == 2
    index = pq.read_table(worker.folder.part(0)).to_pylist()
    assert {row["row"]: row["error"] for row in index if row["error"]} == {2: "killed it", 9: "so did this"}
    assert len(read) == 14
    same_as_one_by_one(linear(), x, index, maps_in(worker, 16))


def test_a_probe_notes_each_row_before_it_is_explained_and_stores_nothing(tmp_path: Path) -> None:
    x, journal = rows(6), tmp_path / "journal"
    worker, seen = work(linear(), x, tmp_path / "out"), list[str]()
    worker.begin(6)
    before = stored(worker)
    worker.answers = lambda group: seen.append(journal.read_text()) or []  # type: ignore[method-assign,func-returns-value]
    worker.probe(block(6), journal)
    assert list(dict.fromkeys(seen)) == [str(i) for i in range(6)]
    assert stored(worker) == before


def test_rows_with_a_target_of_their_own_lie_among_others(tmp_path: Path) -> None:
    x = rows(10)
    wanted = ["", "2", "", "1", "7", "", "0", "", "2", "1"]
    lines = [",".join([*map(str, row.tolist()), t]) for row, t in zip(x, wanted)]
    (tmp_path / "in.csv").write_text("\n".join([",".join([*(f"f{i}" for i in range(10)), "class"]), *lines]))
    options = {"target": "class", "features": [f"f{i}" for i in range(10)]}
    index = done(work(linear(), str(tmp_path / "in.csv"), tmp_path / "out", options=options), 10)
    best = (x @ WEIGHTS).argmax(1)
    assert [row["target"] for row in index] == [
        None if t == "7" else int(t) if t else best[i] for i, t in enumerate(wanted)
    ]
    assert [row["error"] for row in index if row["error"]] == [
        "target 7 is out of range: the output has 3 elements, 0 to 2"
    ]
    assert [bool(row["error"]) for row in index] == [t == "7" for t in wanted]


def test_an_answer_that_is_not_finite_is_an_error_whatever_is_explained(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    weights[0, 1] = 3e38
    x = rows(8) * 0.01
    x[5, 0] = 8
    index = done(work(linear(weights=weights), x, tmp_path / "out", target=0), 8)
    assert [row["row"] for row in index if row["error"]] == [5]


@pytest.mark.parametrize("save", ["maps", "scores"])
def test_what_float32_cannot_hold_is_an_error_of_its_row(tmp_path: Path, save: str) -> None:
    x = rows(8)
    x[5] = 3e38 * np.sign(WEIGHTS[:, 0])
    explainer = Explainer(linear(), dtype="float64", backend="numpy", threads=1)
    index = done(work(explainer, x, tmp_path / "out", save=frozenset((save,)), target=0), 8)
    what = {"maps": "its relevance", "scores": "its answer"}[save]
    assert {row["row"]: row["error"].partition(" goes")[0] for row in index if row["error"]} == {5: what}
    assert index[5]["relevance"] is None


def test_a_map_of_another_shape_is_refused_before_anything_is_compiled(tmp_path: Path) -> None:
    pictures = [np.full((3, 8, 8 + (i == 2)), 0.1 + i, np.float32) for i in range(4)]
    explainer = Explainer(pooled(), threads=1)
    worker = work(explainer, files(tmp_path / "in", pictures), tmp_path / "out", shapes={"x": (8, 8)}, output=(4,))
    index = done(worker, 4)
    assert [row["error"] for row in index if row["error"]] == [
        "its map has the shape (8, 9), those of the run have (8, 8); give all inputs one shape (pictures: --size 224)"
    ]
    assert len(explainer.engine._sessions._made) == 1  # type: ignore[attr-defined]


def test_scores_of_another_shape_cost_their_row(tmp_path: Path) -> None:
    worker = work(linear(), rows(4), tmp_path / "out", save=frozenset(("scores",)), shapes={}, output=(4,))
    assert [row["error"] for row in done(worker, 4)] == [
        "its scores have the shape (3,), those of the run have (4,); give all inputs one shape (pictures: --size 224)"
    ] * 4


@pytest.mark.parametrize("kind", ["unbatched", "fixed", "several", "numpy"])
def test_every_kind_of_input(tmp_path: Path, kind: str) -> None:
    x = rows(19)
    if kind == "several":
        shapes = {"a": (4,), "b": (6,)}
        worker = work(joined(), {"a": x[:, :4], "b": x[:, 4:]}, tmp_path / "out", shapes=shapes)
        index = done(worker, 19)
        maps = np.concatenate([maps_in(worker, 19, "a"), maps_in(worker, 19, "b")], 1)
    else:
        model = {"unbatched": unbatched(), "fixed": linear(4), "numpy": linear()}[kind]
        explainer = Explainer(model, backend="numpy" if kind == "numpy" else "auto", threads=1)
        worker = work(explainer, x, tmp_path / "out", batch=1 if kind == "unbatched" else 4)
        index, maps = done(worker, 19), maps_in(worker, 19)
    same_as_one_by_one(linear(), x, index, maps)


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread is not threading.current_thread()}


def test_no_thread_is_left_where_the_consumer_stops_early(tmp_path: Path) -> None:
    before = threads()
    worker = work(linear(), rows(200), tmp_path / "out", 2)
    worker.begin(200)
    stream = worker.stream(blocks_of(200, 16))
    first = next(stream)
    stream.close()
    assert threads() <= before
    numbers = {int(path.stem) for path in worker.folder.parts.glob("*.parquet")}
    assert first.block.number in numbers
    assert len(numbers) < 13


@pytest.mark.parametrize("where", ["lane", "writer", "reader", "blocks"])
def test_an_error_of_any_thread_ends_all_of_them_and_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before = threads()
    worker, blocks = work(linear(), rows(200), tmp_path / "out", 2), blocks_of(200, 16)
    worker.begin(200)

    def fails(*_: Any) -> Any:
        raise VerificationError("the model is another one")

    def failing() -> Iterator[Any]:
        yield next(blocks)
        fails()

    if where == "lane":
        monkeypatch.setattr(worker, "answers", fails)
    elif where == "writer":
        monkeypatch.setattr(worker, "_store", fails)
    elif where == "reader":
        monkeypatch.setattr(type(worker.reader), "_together", fails)
    with pytest.raises(VerificationError, match="another one"):
        list(worker.stream(failing() if where == "blocks" else blocks))
    assert threads() <= before


@pytest.mark.parametrize("samples", ["n", 4])
def test_each_row_has_its_own_constant(tmp_path: Path, samples: int | str) -> None:
    x, scales = rows(6), np.arange(1, 7, dtype=np.float32)
    given = {"x": x, "s": scales}
    run = explain_all(scaled(samples), given, tmp_path / "out", fixed=["s"], precision="float32", only="class=2")
    expected = x * scales[:, None] @ WEIGHTS
    origins = np.flatnonzero(expected.argmax(1) == 2)
    assert [row.origin for row in run] == origins.tolist()
    np.testing.assert_allclose([row.start for row in run], expected[origins, 2], rtol=1e-5)


def test_a_slow_disk_holds_up_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = work(linear(), rows(160), tmp_path / "out")
    worker.begin(160)
    storing, begun, ahead_of_it = worker._store, list[int](), list[int]()

    def slowly(filling: Any) -> Any:
        time.sleep(0.05)
        ahead_of_it.append(len(begun) - filling.block.number)
        return storing(filling)

    def blocks() -> Iterator[Any]:
        for some in blocks_of(160, 16):
            begun.append(some.number)
            yield some

    monkeypatch.setattr(worker, "_store", slowly)
    assert len(list(worker.stream(blocks()))) == 10
    assert max(ahead_of_it) <= 6
