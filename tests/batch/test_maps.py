"""Maps of a run in Zarr: what is read is what was written, to the precision that was ordered."""

from __future__ import annotations

import errno
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

zarr = pytest.importorskip("zarr", minversion="3")
pytest.importorskip("pyarrow")

from onnx_lrp import InputError, OutputError  # noqa: E402
from onnx_lrp.batch.blocks import Block, blocks_of  # noqa: E402
from onnx_lrp.batch.folder import Folder  # noqa: E402
from onnx_lrp.batch.found import Found  # noqa: E402
from onnx_lrp.batch.order import Order  # noqa: E402
from onnx_lrp.batch.store.layout import zarr_names  # noqa: E402
from onnx_lrp.batch.store.maps import Maps  # noqa: E402
from onnx_lrp.batch.store.precision import restored_maps, stored_maps  # noqa: E402
from onnx_lrp.batch.store.store import Store  # noqa: E402

PRECISIONS = ("float16", "float32", "int8")
# Of the largest |R| of the row: half a step of float16, half a level of 127
BOUNDS = {"float16": 2.0**-11, "float32": 0.0, "int8": 0.5 / 127 * (1 + 1e-5)}
WHERE = Block(0, 0, 16)


def some_maps(rows: int, shape: tuple[int, ...] = (5, 7), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, *shape)).astype(np.float32)


def written(path: Path, maps: np.ndarray, precision: str = "float16", block: int = 16) -> Maps:
    made = Maps.create(Folder(path), Order(precision=precision, block=block), len(maps), {"x": maps.shape[1:]})
    for part in blocks_of(len(maps), block):
        made.write(Found(part, {}, {"x": maps[part.start : part.stop]}))
    return made


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 5), (1000,), (), (1, 1)])
@pytest.mark.parametrize("block", [16, 48, 37])
def test_round_trip(tmp_path: Path, precision: str, shape: tuple[int, ...], block: int) -> None:
    maps = some_maps(37, shape)
    back = pickle.loads(pickle.dumps(written(tmp_path, maps, precision, block))).read(slice(None))
    assert back.dtype == np.float32
    assert back.shape == maps.shape
    peak = np.abs(maps.reshape(37, -1)).max(1)
    assert (np.abs(back - maps).reshape(37, -1).max(1) <= BOUNDS[precision] * peak).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [1e-34, 1e-9, 1e-7, 1.0, 1e6, 1e30, 3e38])
def test_the_size_of_relevance_does_not_matter(precision: str, size: float) -> None:
    maps = np.stack([some_maps(1)[0], np.zeros((5, 7), np.float32), np.ones((5, 7), np.float32)])
    maps = (maps / np.abs(maps).max() * size).astype(np.float32)
    back = restored_maps(*stored_maps(maps, precision))
    peak = np.abs(maps).max((1, 2))
    assert (np.abs(back - maps).max((1, 2)) <= BOUNDS[precision] * peak * (1 + 1e-3) + 1e-43).all()
    assert (back[1] == 0).all()


def test_float16_is_scaled_to_one() -> None:
    stored, scales = stored_maps(some_maps(9) * np.float32(3e-8), "float16")
    assert scales is not None
    assert (np.frexp(scales)[0] == 0.5).all()  # powers of two
    peaks = np.abs(stored.astype(np.float32)).max((1, 2))
    assert ((peaks >= 0.5) & (peaks <= 1)).all()


def test_halves_are_those_of_numpy() -> None:
    bits = np.arange(0, 0x3F800000, 1009, dtype=np.uint32).view(np.float32)  # all sizes up to 1
    values = np.concatenate([bits, -bits, np.float32([0.75])])
    stored, scales = stored_maps(values[None], "float16")
    assert scales is not None
    np.testing.assert_array_equal(stored[0].view(np.uint16), (values / scales[0]).astype(np.float16).view(np.uint16))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_failed_rows_are_nan(tmp_path: Path, precision: str) -> None:
    maps = some_maps(20)
    maps[[3, 17]] = np.nan
    maps[4, 2, 2] = -np.inf
    back = written(tmp_path, maps, precision).read(slice(None))
    lost = [3, 17] if precision == "float32" else [3, 4, 17]
    assert np.isnan(back[lost]).all()
    assert not np.isnan(np.delete(back, lost, 0)).any()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_block_that_lacks_a_file_is_not_read_as_nothing(tmp_path: Path, precision: str) -> None:
    maps = Maps.create(Folder(tmp_path), Order(precision=precision), 40, {"x": (5, 7)})
    maps.write(Found(Block(1, 16, 32), {}, {"x": some_maps(16)}))
    assert not np.isnan(maps.read(slice(16, 32))).any()
    assert list(maps.lost(range(3))) == [0, 2]
    for rows, file, lost in ((slice(None), 0, "0 to 15"), ([20, 35], 2, "32 to 39"), ([0], 0, "0 to 15")):
        with pytest.raises(InputError, match=rf"x/c.{file}.0.0: is missing or empty; .* to have rows {lost} explained"):
            maps.read(rows)


@pytest.mark.parametrize("kind", ["maps", "scale", "scores"])
@pytest.mark.parametrize("broken", ["cut", "garbage", "flipped", "empty", "gone"])
def test_a_file_that_is_damaged_is_named(tmp_path: Path, kind: str, broken: str) -> None:
    made = Maps.create(Folder(tmp_path), Order(save=frozenset(("maps", "scores"))), 40, {"x": (5, 7)}, (3,))
    for block in blocks_of(40, 16):
        made.write(Found(block, {}, {"x": some_maps(len(block))}, some_maps(len(block), (3,))))
    [path] = [path for path in made.path.rglob("c.1*") if kind in str(path.relative_to(made.path))]
    content = path.read_bytes()
    bit = bytes([content[12] ^ 1])  # of a number: Zstd's checksum tells
    flipped = content[:12] + bit + content[13:]
    damaged = {"cut": content[: len(content) // 2], "garbage": b"\xff" * len(content), "flipped": flipped}
    path.write_bytes(damaged.get(broken, b""))
    if broken == "gone":
        path.unlink()
    said = r"is missing or empty; give" if broken in ("empty", "gone") else r"is damaged; remove it, and give"
    read = made.scores if kind == "scores" else made.read
    for rows in (slice(None), [17], [2, 39, 16]):
        with pytest.raises(InputError, match=said) as raised:
            read(rows)
        assert str(raised.value).startswith(str(path))
        assert "\n" not in str(raised.value)
    read([*range(16), *range(32, 40)])
    assert made.lost(range(3)) == ({1: path} if broken in ("empty", "gone") else {})


@pytest.mark.parametrize("name", ["", "maps/x", "scale/x", "scores"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff", b'{"zarr_format": 3, "node_type": "group"}'])
def test_what_describes_the_arrays_is_damaged(tmp_path: Path, name: str, content: bytes | None) -> None:
    made = Maps.create(Folder(tmp_path), Order(save=frozenset(("maps", "scores"))), 16, {"x": (5, 7)}, (3,))
    path = made.path / name / "zarr.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    said = rf"its array {name} is missing or damaged" if name else "holds no maps"
    with pytest.raises(InputError, match=rf"maps.zarr: {said}; remove it, and give the same command again"):
        Maps(made.path).scores([0])
    with pytest.raises(InputError, match=said):
        Maps(made.path).lost([0])


def test_an_array_without_elements_has_no_files(tmp_path: Path) -> None:
    made = written(tmp_path, some_maps(20, (0, 3)), "float32")
    assert made.lost(range(2)) == {}
    assert made.read([3, 19]).shape == (2, 0, 3)


@pytest.mark.parametrize("rows", [slice(3, 20), [5], [4, 5, 6], [30, 2, 2, 17], [], np.array([0, 36])])
def test_rows_can_be_picked(tmp_path: Path, rows: slice | list[int]) -> None:
    maps = some_maps(37)
    made = written(tmp_path, maps, "float32")
    wanted = maps[rows if isinstance(rows, slice) else np.asarray(rows, int)]
    np.testing.assert_array_equal(made.read(rows), wanted)
    np.testing.assert_array_equal(made.read(rows, at=(2, slice(1, 3))), wanted[:, 2, 1:3])


def test_a_block_is_one_file_per_array(tmp_path: Path) -> None:
    maps = some_maps(40)
    maps[16:32] = np.nan  # nothing but failed rows
    written(tmp_path, maps)
    names = {name for name in files(tmp_path / "maps.zarr") if not name.endswith("zarr.json")}
    assert names == {f"maps/x/c.{i}.0.0" for i in range(3)} | {f"scale/x/c.{i}" for i in range(3)}


@pytest.mark.parametrize("broken", ["cut", "garbage", "empty"])
def test_a_block_is_rewritten_whatever_is_there(tmp_path: Path, broken: str) -> None:
    maps = some_maps(40)
    made = written(tmp_path, maps)
    before = files(tmp_path)
    for name, content in before.items():
        if not name.endswith("zarr.json"):
            half = {"cut": content[: len(content) // 2], "garbage": b"\xff" * len(content), "empty": b""}[broken]
            (tmp_path / name).write_bytes(half)
    for block in blocks_of(40, 16):
        pickle.loads(pickle.dumps(made)).write(Found(block, {}, {"x": maps[block.start : block.stop]}))
    assert files(tmp_path) == before


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    order, maps = Order(), some_maps(16)
    written(tmp_path, maps)
    before = files(tmp_path)
    (tmp_path / "maps.zarr/maps/x/c.0.0.0123456789abcdef.partial").write_bytes(b"half")
    Maps.create(Folder(tmp_path), order, 16, {"x": (5, 7)})
    assert files(tmp_path) == before


def test_zarr_still_calls_partial_files_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Maps.create(Folder(tmp_path), Order(), 16, {"x": (5, 7)})
    seen: list[str] = []
    replace = Path.replace

    def spied(self: Path, target: Path) -> Path:
        seen.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spied)
    made.write(Found(WHERE, {}, {"x": some_maps(16)}))
    assert len(seen) == 2
    assert all(name.endswith(".partial") for name in seen)


def test_creation_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("onnx_lrp.batch.store.maps.os.replace", full)
    with pytest.raises(OutputError, match=r"maps.zarr: cannot be written: No space left on device; free some space"):
        Maps.create(Folder(tmp_path), Order(), 16, {"x": (5, 7)})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(Folder(tmp_path), Order())
    store.create(16, {"x": (5, 7)})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="it goes on where it stopped") as raised:
        store.write(Found(WHERE, {"input": ["a"] * 16}, {"x": some_maps(16)}))
    assert "\n" not in str(raised.value)
    assert not any(name.startswith("index") or name.endswith(".partial") for name in files(tmp_path))


@pytest.mark.parametrize(
    "names",
    [["a/b", "a_b"], ["", "."], ["..", "__x"], ["Größe", "größe"], ["x" * 300, "x:0"], ["X", "x"], ["a b", "1"]],
)
def test_names_of_inputs(tmp_path: Path, names: list[str]) -> None:
    made = Maps.create(Folder(tmp_path), Order(), 16, {name: (i + 1,) for i, name in enumerate(names)})
    given = {name: some_maps(16, (i + 1,), i) for i, name in enumerate(names)}
    made.write(Found(WHERE, {}, given))
    fresh = Maps(made.path)
    assert sorted(fresh.inputs) == sorted(names)
    for name, maps in given.items():
        np.testing.assert_allclose(fresh.read(slice(None), name), maps, atol=2e-3)
    safe = list(zarr_names(names).values())
    assert len({name.lower() for name in safe}) == len(safe)
    assert all(name[0].isalnum() and len(name) < 90 and "/" not in name for name in safe)


def test_an_input_without_maps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no maps of input 'y'; there are x"):
        written(tmp_path, some_maps(16)).read([0], "y")


def test_scores(tmp_path: Path) -> None:
    order = Order(save=frozenset(("scores",)))
    made = Maps.create(Folder(tmp_path), order, 20, {"x": (5, 7)}, (10,))
    scores = some_maps(16, (10,))
    made.write(Found(WHERE, {}, {}, scores))
    np.testing.assert_array_equal(Maps(made.path).scores(slice(0, 16)), scores)
    assert made.inputs == ()


def test_xarray_opens_the_group_itself(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    maps = some_maps(20)
    written(tmp_path, maps)
    stored = xarray.open_zarr(tmp_path / "maps.zarr", group="maps", consolidated=False, chunks=None)
    scale = xarray.open_zarr(tmp_path / "maps.zarr", group="scale", consolidated=False, chunks=None)
    assert stored["x"].dims == ("row", "x_1", "x_2")
    np.testing.assert_allclose((stored["x"] * scale["x"]).values, maps, atol=2e-3)


def test_nothing_for_zarr_where_nothing_is_kept(tmp_path: Path) -> None:
    store = Store(Folder(tmp_path), Order(save=frozenset()))
    store.create(2, {"x": (5, 7)}, (10,))
    done = store.write(Found(Block(0, 0, 2), {"input": ["a", "b"], "error": [None, "broken"]}, {"x": some_maps(2)}))
    assert done.failed == 1
    store.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["index.parquet"]


@pytest.mark.parametrize("version", [None, "2.18.3"])
def test_zarr_is_missing_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    fake = types.ModuleType("zarr")
    fake.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zarr", fake if version else None)
    with pytest.raises(InputError, match=r"zarr >= 3.*pip install 'onnx_lrp\[batch\]' with Python 3.11"):
        Maps.create(Folder(tmp_path), Order(), 16, {"x": (5, 7)})
    assert list(tmp_path.iterdir()) == []
