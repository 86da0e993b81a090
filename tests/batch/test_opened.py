"""What a run found, opened: rows by place, name and class, and what is computed of their maps."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("zarr", minversion="3")
pytest.importorskip("pyarrow")

import onnx_lrp as lrp
from onnx_lrp.batch import choosing
from onnx_lrp.batch.blocks import blocks_of
from onnx_lrp.batch.folder import Folder
from onnx_lrp.batch.found import Found
from onnx_lrp.batch.order import Order
from onnx_lrp.batch.store.store import Store

COUNT, SHAPE = 100, (4, 6)
LABELS = ["cat", "dog", "tabby"]
BROKEN = (7, 50)
NAMES = [f"{'ab'[i % 2]}/{i:03d}.png" for i in range(98)] + ["a/same.png", "b/same.png"]


def maps_of(count: int = COUNT, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    maps = np.random.default_rng(seed).standard_normal((count, *shape)).astype(np.float32)
    maps[[i for i in BROKEN if i < count]] = np.nan
    return maps


def run(
    path: Path, order: Order, blocks: tuple[int, ...] | None = None, finish: bool = True,
    maps: dict[str, np.ndarray] | None = None, **more: Any,
) -> Path:  # fmt: skip
    """As ``onnx-lrp batch`` leaves it, with some blocks only, or all."""
    maps = {"x": maps_of()} if maps is None else maps
    about = {
        "model": {"name": "net.onnx", "sha256": "ab" * 32}, "composite": "epsilon_plus", "count": COUNT,
        "order": order.as_dict(), "labels": LABELS, "inputs": list(maps), **more,
    }  # fmt: skip
    Folder(path).manifest.write_text(json.dumps(about))
    store = Store(Folder(path), order)
    store.create(COUNT, {name: array.shape[1:] for name, array in maps.items()}, (3,))
    for block in blocks_of(COUNT, order.block):
        if blocks is None or block.number in blocks:
            store.write(found(block, maps))
    if finish:
        store.finish()
    return path


def found(block: Any, maps: dict[str, np.ndarray]) -> Found:
    def but_broken(values: list[Any]) -> list[Any]:
        return [None if i in BROKEN else value for i, value in zip(block.rows, values)]

    rows = list(block.rows)
    columns = {
        "input": [NAMES[i] for i in rows], "prediction": but_broken([i % 3 for i in rows]),
        "predicted": but_broken([LABELS[i % 3] for i in rows]), "probability": but_broken([0.5] * len(rows)),
        "relevance": but_broken([float(i) for i in rows]),
        "error": ["no picture" if i in BROKEN else None for i in rows],
    }  # fmt: skip
    scores = np.arange(3, dtype=np.float32) + np.float32(block.start)
    cut = {name: array[block.start : block.stop] for name, array in maps.items()}
    return Found(block, columns, cut, np.tile(scores, (len(rows), 1)))


EXACT = Order(precision="float32", save=frozenset(("maps", "scores")))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("run"), EXACT)


@pytest.fixture
def result(path: Path) -> lrp.BatchResult:
    return lrp.open_batch(path)


def rows_of_result(result: lrp.BatchResult) -> list[int]:
    return [row.row for row in result]


def test_rows(result: lrp.BatchResult) -> None:
    maps = maps_of()
    assert len(result) == COUNT
    row = result[3]
    assert (row.row, row.input, row.prediction, row.predicted, row.error) == (3, "b/003.png", 0, "cat", None)
    np.testing.assert_array_equal(row.map, maps[3])
    np.testing.assert_array_equal(row.scores, [0, 1, 2])
    assert result[-1].row == 99
    assert np.isnan(result[7].map).all()
    assert repr(row) == "row 3: b/003.png: predicted 0 (cat) with probability 0.5"
    assert repr(result[7]) == "row 7: b/007.png: no picture"
    assert pickle.loads(pickle.dumps(row)).input == "b/003.png"
    with pytest.raises(IndexError):
        result[COUNT]
    with pytest.raises(AttributeError, match="a row has no 'colour'; it has map, scores and row, origin"):
        row.colour


def test_slices_are_results(result: lrp.BatchResult) -> None:
    some = result[10:20][::-2]
    assert rows_of_result(some) == [19, 17, 15, 13, 11]
    assert some["011.png"].row == 11
    assert some.index["row"].to_pylist() == [19, 17, 15, 13, 11]
    np.testing.assert_array_equal(some.numpy(), maps_of()[[19, 17, 15, 13, 11]])
    assert "5 of 100 inputs" in repr(some)


def test_rows_cost_the_same_in_a_long_run(result: lrp.BatchResult, monkeypatch: pytest.MonkeyPatch) -> None:
    made, arange = [], np.arange
    monkeypatch.setattr(np, "arange", lambda *given: made.append(given) or arange(*given))
    for rows in (result, result[::2], result.errors):
        made.clear()
        assert [row.row for row in rows] == [rows[i].row for i in range(len(rows))]
        assert len(made) <= 1


def test_names(result: lrp.BatchResult) -> None:
    assert result["a/004.png"].row == result["004.png"].row == 4
    assert result["b/same.png"].row == 99
    with pytest.raises(lrp.InputError, match=r"several inputs are called 'same.png': a/same.png and b/same.png"):
        result["same.png"]
    with pytest.raises(lrp.InputError, match=r"is called 'a/0040.png'; did you mean a/0[0-9]+.png\?"):
        result["a/0040.png"]
    for name in ("4.png", "", "zzz", "\udcff"):
        with pytest.raises(lrp.InputError, match="no input that is done is called"):
            result[name]


def test_names_that_do_not_tell_rows_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        globals(), "NAMES", [*NAMES[:40], *["in/0.png"] * 3, "b/1.png", "a/1.png", "a/1.png", *NAMES[46:]]
    )
    result = lrp.open_batch(run(tmp_path, EXACT))
    for name in ("0.png", "in/0.png"):
        said = rf"several inputs are called '{name}': numbers 40 and 41 are both in/0.png; give the number$"
        with pytest.raises(lrp.InputError, match=said):
            result[name]
    with pytest.raises(lrp.InputError, match=r"numbers 1 and 2 are both in/0.png; give the number"):
        result[39:][name]  # it counts in what is asked
    with pytest.raises(lrp.InputError, match=r"called '1.png': b/1.png and a/1.png; give the whole name"):
        result["1.png"]
    with pytest.raises(lrp.InputError, match=r"numbers 44 and 45 are both a/1.png; give the number"):
        result["a/1.png"]


def test_what_is_in_it_can_be_indexed(result: lrp.BatchResult, monkeypatch: pytest.MonkeyPatch) -> None:
    some = result[10:20]
    monkeypatch.setattr(
        choosing, "nearest", lambda *_: pytest.fail("a name that is not there was compared with all others")
    )
    for name in ("a/010.png", "010.png", 0, -10, 9, np.int64(3), result[12]):
        assert name in some
    for name in ("a/020.png", "10.png", "", 10, -11, result[20], None, 1.0, slice(2), "\udcff"):
        assert name not in some
    assert "same.png" not in result  # there are two
    assert "a/same.png" in result


@pytest.mark.skipif(os.name == "nt", reason="there, a backslash parts folders")
@pytest.mark.parametrize("name", ["a\\b.png", "\\", "\udcff\udcfebad.png", "x\udcff", "big.npy[7]", "\\b.png"])
def test_names_with_a_backslash_or_bytes_that_are_no_text(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "NAMES", [*NAMES[:40], f"in/{name}", "in/b.png", *NAMES[42:]])
    result = lrp.open_batch(run(tmp_path, EXACT))
    assert result[name].row == result[f"in/{name}"].row == 40
    assert result["b.png"].row == 41


def test_classes(result: lrp.BatchResult) -> None:
    wanted = [i for i in range(COUNT) if i % 3 == 2 and i not in BROKEN]
    assert rows_of_result(result.of_class("tabby")) == wanted
    assert rows_of_result(result.of_class(2)) == wanted
    assert rows_of_result(result[:10].of_class(np.int64(2))) == [2, 5, 8]
    assert len(result[:1].of_class(1)) == 0
    for wrong in (3, -1, 2**70):
        with pytest.raises(lrp.InputError, match=rf"there is no class {wrong}; give one from 0 to 2"):
            result.of_class(wrong)
        with pytest.raises(lrp.InputError, match=f"there is no class {wrong}"):
            result.mean_map(wrong)
    with pytest.raises(lrp.InputError, match=r"no class is called 'taby'; did you mean tabby\?"):
        result.of_class("taby")


@pytest.mark.parametrize(("output", "last"), [((77,), 76), ((7, 11), 76), ((2,), 2), ((), 2)])
def test_classes_without_names_are_those_of_the_output(tmp_path: Path, output: tuple[int, ...], last: int) -> None:
    result = lrp.open_batch(run(tmp_path, replace(EXACT, output=output), labels=None))
    assert len(result.of_class(last)) == (last == 2) * 32  # whatever is there can be asked for
    with pytest.raises(lrp.InputError, match=rf"there is no class {last + 1}; give one from 0 to {last}$"):
        result.of_class(last + 1)


def test_errors(result: lrp.BatchResult) -> None:
    assert rows_of_result(result.errors) == list(BROKEN)
    assert rows_of_result(result[10:].errors) == [50]


def test_the_index(result: lrp.BatchResult) -> None:
    assert result.index.num_rows == COUNT
    pytest.importorskip("pandas")
    frame = result.index.to_pandas()
    assert frame.loc[frame["error"].notna(), "row"].tolist() == list(BROKEN)


def test_maps_are_read_as_they_are_indexed(result: lrp.BatchResult, monkeypatch: pytest.MonkeyPatch) -> None:
    maps, lazy = maps_of(), result.maps()
    assert (lazy.shape, lazy.ndim, lazy.dtype, len(lazy)) == ((COUNT, *SHAPE), 3, np.float32, COUNT)
    for key in (5, -1, slice(90, None), [3, 1, 70], (slice(None), 2), (4, 1, 2), (slice(2, 9), slice(None), 3)):
        np.testing.assert_array_equal(lazy[key], maps[key])
    np.testing.assert_array_equal(np.asarray(lazy), maps)
    np.testing.assert_array_equal(list(lazy)[98], maps[98])
    np.testing.assert_array_equal(result.of_class(1).maps()[3], maps[13])
    with pytest.raises(IndexError):
        lazy[COUNT]
    with pytest.raises(lrp.InputError, match="no maps of input 'y'; there are x"):
        result.maps("y")


KEYS = (
    ..., (..., 0), (3, ..., 0), (slice(None), slice(None, None, -1)), (slice(90, 3, -7), slice(3, 0, -2)), (),
    ([1, 5, 7], [1, 2, 3], [3, 4, 5]), (slice(2, 5), [1, 2], [3, 4]), ([3, 3, 1], slice(None), [[0], [-1]]),
    (4, slice(None), [1, 2]), ([[1, 2], [3, -4]],), [], ([], slice(1, 3)), slice(5, 5), (slice(None), slice(3, 1)),
    np.array(3), (np.array(-1), np.int8(2)), None, (3, None, 1), (None, [1, 2]), (slice(2), None, ..., None, 5), True,
    np.arange(COUNT) % 3 == 0, (5, np.arange(4) > 1), (np.arange(400).reshape(COUNT, 4) % 7 == 0, slice(1, 3)),
    (slice(4), np.arange(24).reshape(SHAPE) % 5 == 0), maps_of() > 1, np.zeros((COUNT, *SHAPE), bool), (9, False),
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_an_index_into_maps_means_what_it_means_to_numpy(result: lrp.BatchResult, key: Any) -> None:
    for chosen, maps in ((result, maps_of()), (result[::-1], maps_of()[::-1])):
        np.testing.assert_array_equal(chosen.maps()[key], maps[key], strict=True)


WRONG_KEYS = (
    COUNT, -COUNT - 1, (0, 4), (0, 0, -7), [0, COUNT], (0, [4]), (0, 0, 0, 0), (..., ...), ([1, 2], [1, 2, 3]), 1.5,
    "a", np.zeros(0), [True], np.ones((COUNT, 5), bool), (0, np.ones(3, bool)),
)  # fmt: skip


@pytest.mark.parametrize("key", WRONG_KEYS)
def test_a_wrong_index_into_maps_is_numpys_error(result: lrp.BatchResult, key: Any) -> None:
    with pytest.raises(IndexError) as wanted:
        maps_of()[key]
    with pytest.raises(IndexError, match=f"^{re.escape(str(wanted.value))}$"):
        result.maps()[key]


def test_of_maps_no_more_is_read_than_where_the_index_reaches(
    result: lrp.BatchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx_lrp.batch.store.maps import Maps

    reads, read = [], Maps.read
    monkeypatch.setattr(Maps, "read", lambda *given: reads.append(read(*given).shape) or read(*given))
    lazy = result.maps()
    for key in (3, (..., 0), (slice(9), 1, 2), ([5, 2, 5], [0, 1, 1]), (np.arange(COUNT) == 4, slice(None, None, -2))):
        lazy[key]
    assert reads == [(1, 4, 6), (COUNT, 4, 1), (9, 1, 1), (2, 2, 6), (1, 2, 6)]


@pytest.mark.parametrize("class_", [None, 0, "dog"])
def test_the_mean_map(result: lrp.BatchResult, class_: int | str | None) -> None:
    of = {None: slice(None), 0: slice(0, None, 3), "dog": slice(1, None, 3)}[class_]
    mean = result.mean_map(class_)
    assert mean.dtype == np.float64
    np.testing.assert_allclose(mean, np.nanmean(maps_of().astype(np.float64)[of], 0), rtol=1e-12)


def test_no_mean_of_nothing(result: lrp.BatchResult) -> None:
    with pytest.raises(lrp.InputError, match="no input of class 1 has a map"):
        result[:1].mean_map(1)
    with pytest.raises(lrp.InputError, match="no input has a map"):
        result.errors.mean_map()


def test_the_mean_is_taken_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.batch.store.maps import Maps

    read, most = Maps.read, []
    monkeypatch.setattr(Maps, "read", lambda self, rows, *more: most.append(len(rows)) or read(self, rows, *more))
    lrp.open_batch(run(tmp_path, Order(block=32))).mean_map()
    assert max(most) == 32


@pytest.mark.parametrize("feature", [0, 23, -1, (2, 3), (-1, 0)])
def test_the_strongest(result: lrp.BatchResult, feature: int | tuple[int, ...]) -> None:
    values = maps_of().reshape(COUNT, -1)[:, feature] if isinstance(feature, int) else maps_of()[(..., *feature)]
    order = np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")
    assert rows_of_result(result.strongest(feature)) == order[:10].tolist()
    assert rows_of_result(result.strongest(feature, 1000)) == order[: COUNT - 2].tolist()
    dogs = [i for i in order if i % 3 == 1 and i not in BROKEN]
    assert rows_of_result(result.of_class("dog").strongest(feature, 5)) == dogs[:5]
    assert rows_of_result(result[::-1].strongest(feature, 5)) == order[:5].tolist()


@pytest.mark.parametrize("k", [0, -1, -1000])
def test_the_strongest_are_counted_from_one(result: lrp.BatchResult, k: int) -> None:
    assert len(result.strongest(0, np.int64(1))) == 1
    with pytest.raises(lrp.InputError, match=rf"k must be a whole number from 1 on, not {k}"):
        result.strongest(0, k)


def test_features_have_names_or_not(tmp_path: Path, result: lrp.BatchResult) -> None:
    maps = maps_of(shape=(3,))
    named = lrp.open_batch(run(tmp_path, EXACT, maps={"x": maps}, features=["age", "height", "income"]))
    assert named.strongest("income", 1)[0].row == np.nanargmax(maps[:, 2])
    with pytest.raises(lrp.InputError, match=r"no feature is called 'incom'; did you mean income\?"):
        named.strongest("incom")
    with pytest.raises(lrp.InputError, match="no feature is called 'age'; give its index"):
        result.strongest("age")
    with pytest.raises(lrp.InputError, match="feature 24 is not in a map of 24 elements"):
        result.strongest(24)
    for wrong in ((1,), (4, 0), (0, 0, 0)):
        with pytest.raises(lrp.InputError, match=r"no index into a map of shape \(4, 6\)"):
            result.strongest(wrong)


def test_several_inputs(tmp_path: Path) -> None:
    maps = {"input": maps_of(shape=(3,)), "a/b.1": maps_of(shape=(2, 5), seed=1)}
    result = lrp.open_batch(run(tmp_path, EXACT, maps=maps))
    row = result[4].map
    assert isinstance(row, dict)
    for name, array in maps.items():
        np.testing.assert_array_equal(row[name], array[4])
        np.testing.assert_array_equal(result.maps(name)[10:], array[10:])
    np.testing.assert_allclose(result.mean_map(input="a/b.1"), np.nanmean(maps["a/b.1"], 0, np.float64), rtol=1e-12)
    pytest.importorskip("xarray")
    assert set(result.xarray().data_vars) == {"map_input", "map_a/b.1"}


def test_xarray_is_lazy(result: lrp.BatchResult, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xarray")
    from onnx_lrp.batch.store.maps import Maps

    maps, reads = maps_of(), []
    read = Maps.read
    monkeypatch.setattr(Maps, "read", lambda self, rows, *more: reads.append(len(rows)) or read(self, rows, *more))
    data = result.xarray()
    assert reads == []
    assert data["map"].dims == ("row", "x_1", "x_2")
    np.testing.assert_array_equal(data["map"][5].values, maps[5])
    assert reads == [1]
    np.testing.assert_array_equal(
        data["map"].isel(row=[3, 1], x_1=slice(1, 3), x_2=[0, 5]), maps[[3, 1], 1:3][..., [0, 5]]
    )
    np.testing.assert_array_equal(data["map"].isel(x_1=2, row=slice(5, 9)), maps[5:9, 2])
    assert data["input"].values[3] == "b/003.png"
    tabbies = data.where(data["prediction"] == 2, drop=True)
    assert tabbies["row"].values.tolist() == rows_of_result(result.of_class(2))


def test_torch(result: lrp.BatchResult) -> None:
    torch = pytest.importorskip("torch")
    dataset = result.torch()
    assert len(dataset) == COUNT
    relevance, row = dataset[3]
    assert torch.equal(relevance, torch.from_numpy(maps_of()[3]))
    assert (row["input"], row["prediction"], row["error"], dataset[7][1]["prediction"]) == ("b/003.png", 0, "", -1)
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=32))
    assert [len(maps) for maps, _ in batches] == [32, 32, 32, 4]
    assert batches[1][1]["row"].tolist() == list(range(32, 64))


def test_under_way(tmp_path: Path) -> None:
    run(tmp_path, Order(), blocks=(0, 3), finish=False)
    result = lrp.open_batch(tmp_path)
    rows = [*range(16), *range(48, 64)]
    assert rows_of_result(result) == rows
    assert result["048.png"].row == result[16].row == 48
    np.testing.assert_allclose(result[16].map, maps_of()[48], atol=2e-3)
    np.testing.assert_allclose(result.mean_map(), np.nanmean(maps_of()[rows], 0), atol=2e-3)
    assert repr(result).startswith("BatchResult(net.onnx by epsilon_plus: 100 inputs, 32 done, 2 failed")
    run(tmp_path, Order())
    assert rows_of_result(result) == rows  # as it was when it was first looked at
    assert len(lrp.open_batch(tmp_path)) == COUNT


def test_nothing_is_done_yet(tmp_path: Path) -> None:
    result = lrp.open_batch(run(tmp_path, Order(), blocks=(), finish=False))
    assert len(result) == 0
    assert list(result) == []
    assert len(result.strongest(0)) == 0
    assert result.numpy().shape == (0, *SHAPE)
    assert "0 done, 0 failed" in repr(result)
    with pytest.raises(lrp.InputError, match="no input that is done"):
        result["a"]


def test_parts_that_merge_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_lrp.batch.store import index

    run(tmp_path, Order(), finish=False)
    result, parts = lrp.open_batch(tmp_path), index._parts

    def merged(folder: Folder) -> list[int]:
        numbers = parts(folder)
        monkeypatch.setattr(index, "_parts", parts)
        index.merge(folder)
        return numbers

    monkeypatch.setattr(index, "_parts", merged)
    assert len(result) == COUNT


def test_a_run_without_maps(tmp_path: Path) -> None:
    result = lrp.open_batch(run(tmp_path, Order(save=frozenset())))
    assert result[3].scores is None
    assert repr(result).count("saved") == 0
    for use in (result.maps, result.mean_map, result.xarray, result.torch, lambda: result[0].map):
        with pytest.raises(lrp.InputError, match="this run kept no maps"):
            use()


def test_only_scores(tmp_path: Path) -> None:
    result = lrp.open_batch(run(tmp_path, Order(save=frozenset(("scores",)))))
    assert result[20].scores.tolist() == [16, 17, 18]
    with pytest.raises(lrp.InputError, match="this run kept no maps"):
        result.maps()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no batch run lies there"),
        (b"", "is no JSON"),
        (b"\xff{", "is no JSON"),
        (b"[]", "says nothing of model, composite, count, order"),
        (b'{"model": {}, "composite": "x"}', "says nothing of count, order"),
    ],
)
def test_no_run(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "batch.json").write_bytes(content)
    with pytest.raises(lrp.InputError, match=reason) as raised:
        lrp.open_batch(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("none", "file", "\0"):
        with pytest.raises(lrp.InputError, match="no batch run lies there"):
            lrp.open_batch(tmp_path / name)


def test_maps_are_gone(tmp_path: Path) -> None:
    run(tmp_path, Order())
    (tmp_path / "maps.zarr/zarr.json").unlink()
    with pytest.raises(lrp.InputError, match=r"maps.zarr: holds no maps; remove it, and give the same command again"):
        lrp.open_batch(tmp_path).maps()
    shutil.rmtree(tmp_path / "maps.zarr")
    with pytest.raises(lrp.InputError, match=r"maps.zarr: holds no maps; give the same command again"):
        lrp.open_batch(tmp_path).maps()


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_a_map_that_is_lost_is_not_passed_over(tmp_path: Path, precision: str) -> None:
    result = lrp.open_batch(run(tmp_path, Order(precision=precision)))
    lost = tmp_path / ("maps.zarr/maps/x/c.1.0.0" if precision == "float32" else "maps.zarr/scale/x/c.1")
    content = lost.read_bytes()
    lost.unlink()
    ways = (lambda: result[20].map, result.mean_map, lambda: result.strongest(0), lambda: result.maps()[[3, 20]])
    for said in ("is missing or empty; give the same command again", "is damaged; remove it, and give"):
        for use in (*ways, result.numpy, lambda: list(result.maps())):
            with pytest.raises(lrp.InputError, match=said) as raised:
                use()
            assert str(lost) in str(raised.value)
        np.testing.assert_allclose(result[40].map, maps_of()[40], atol=2e-2)
        lost.write_bytes(content[:-1])
