"""How inputs come together to batches, and what becomes of those that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
from tinynets import block, files, joined, linear, pooled, reader, rows, unbatched

from onnx_lrp.batch.gathered import Gathered
from onnx_lrp.batch.grouping import Reader
from onnx_lrp.batch.items import Item
from onnx_lrp.batch.sources.arrays import MemorySource
from onnx_lrp.errors import InputError
from onnx_lrp.explanation.fingerprint import array_sha256


def all_groups(some: Reader, count: int, poisoned: dict[int, str] | None = None) -> list[Gathered]:
    return list(some.groups([block(count)], poisoned or {}))


def check_complete(groups: list[Gathered], count: int) -> None:
    """Every row once, and only the last group says that it is."""
    found = [row for group in groups for row in (*group.rows, *(one.row for one in group.failures))]
    assert sorted(found) == list(range(count))
    assert [group.last for group in groups] == [False] * (len(groups) - 1) + [True]


def test_arrays_are_cut_as_they_lie(tmp_path: Path) -> None:
    x = rows(10)
    groups = all_groups(reader(linear(), x, tmp_path), 10)
    check_complete(groups, 10)
    assert [list(group.rows) for group in groups] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    for group in groups:
        np.testing.assert_array_equal(group.feeds["x"], x[group.rows])
        assert list(group.digests) == [array_sha256(x[row]) for row in group.rows]


def test_it_is_the_same_whether_they_are_read_together_or_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = rows(10)
    some = reader(linear(), x, tmp_path)
    together = all_groups(some, 10)
    monkeypatch.setattr(MemorySource, "arrays", lambda *_: None)
    apart = [group for group in all_groups(some, 10) if group.rows]
    assert [list(group.rows) for group in apart] == [list(group.rows) for group in together]
    for one, two in zip(together, apart):
        np.testing.assert_array_equal(one.feeds["x"], two.feeds["x"])
        assert list(one.digests) == list(two.digests)


@pytest.mark.parametrize(("most", "read"), [(1, [4, 4, 4, 4, 4, 3]), (330, [4, 8, 8, 3]), (1 << 20, [4, 19])])
def test_so_much_is_read_at_once_as_can_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, read: list[int]
) -> None:
    x, asked = rows(23), list[int]()
    arrays = MemorySource.arrays

    def counted(self: MemorySource, items: Sequence[Item]) -> Any:
        asked.append(len(items))
        return arrays(self, items)

    monkeypatch.setattr(MemorySource, "arrays", counted)
    monkeypatch.setattr("onnx_lrp.batch.grouping._AT_ONCE", most)  # a batch has 160 bytes
    groups = all_groups(reader(linear(), x, tmp_path), 23)
    check_complete(groups, 23)
    assert asked == read
    assert [list(group.rows) for group in groups] == [list(range(23))[i : i + 4] for i in range(0, 23, 4)]
    assert [item.name for group in groups for item in group.items] == [f"[{i}]" for i in range(23)]
    assert [sha for group in groups for sha in group.digests] == [array_sha256(row) for row in x]
    np.testing.assert_array_equal(np.concatenate([group.feeds["x"] for group in groups]), x)


def test_where_a_stretch_ends_the_rest_goes_one_by_one(tmp_path: Path) -> None:
    x = rows(14)
    np.save(tmp_path / "a.npy", x[:9])
    np.save(tmp_path / "b.npy", x[9:13, :7])
    np.save(tmp_path / "c.npy", x[13:])
    some = reader(linear(), [str(tmp_path / f"{name}.npy") for name in "abc"], tmp_path)
    groups = all_groups(some, 14)
    check_complete(groups, 14)
    assert [list(group.rows) for group in groups] == [[0, 1, 2, 3], [4, 5, 6, 7], [9, 10, 11, 12], [8, 13], []]
    np.testing.assert_array_equal(groups[3].feeds["x"], x[[8, 13]])


def test_few_inputs_of_other_shapes_wait_for_their_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [np.full((3, 4 + i % 5, 4), i, np.float32) for i in range(20)]
    some = reader(pooled(), files(tmp_path / "in", pictures), tmp_path, 4)
    assert [len(group.rows) for group in all_groups(some, 20)] == [4, 4, 4, 4, 4, 0]
    monkeypatch.setattr("onnx_lrp.batch.grouping._WAITING", 2000)  # seven of them, which are of five shapes
    groups = all_groups(some, 20)
    check_complete(groups, 20)
    assert [list(group.rows) for group in groups[:5]] == [[0, 5], [1, 6], [2, 7], [3, 8], [4, 9, 14]]


def test_only_samples_of_one_shape_go_together(tmp_path: Path) -> None:
    pictures = [np.full((3, 4 + i % 2, 4), i, np.float32) for i in range(11)]
    groups = all_groups(reader(pooled(), files(tmp_path / "in", pictures), tmp_path, 2), 11)
    check_complete(groups, 11)
    assert [list(group.rows) for group in groups] == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9], []]
    assert all(group.feeds["x"][:, 0, 0, 0].tolist() == list(group.rows) for group in groups if group.rows)


def test_a_file_of_several_samples_is_an_error_and_moves_no_other_row(tmp_path: Path) -> None:
    x = rows(8)
    inputs = files(tmp_path / "in", [x[0], x[1:3], x[3:4], x[4:6], x[6]])
    groups = all_groups(reader(linear(), inputs, tmp_path), 5)
    check_complete(groups, 5)
    assert [one.row for one in groups[-1].failures] == [1, 3]
    assert groups[-1].failures[0].reason.startswith("holds 2 samples; give files of one sample each")
    np.testing.assert_array_equal(groups[0].feeds["x"], x[[0, 3, 6]])


@pytest.mark.parametrize("odd", [np.float32(1), np.zeros((1, 1, 10), np.float32), np.int64(1)])
def test_arrays_of_another_rank_are_errors_though_there_are_several(tmp_path: Path, odd: Any) -> None:
    x = rows(3)
    groups = all_groups(reader(linear(), files(tmp_path / "in", [x[0], odd, odd, x[1], odd, x[2]]), tmp_path), 6)
    check_complete(groups, 6)
    assert [one.row for one in groups[-1].failures] == [1, 2, 4]
    assert "input 'x' has " in groups[-1].failures[0].reason
    np.testing.assert_array_equal(groups[0].feeds["x"], x)


def test_a_block_that_cannot_be_read_at_all_still_ends(tmp_path: Path) -> None:
    inputs = Path(files(tmp_path / "in", list(rows(3))))
    some = reader(linear(), str(inputs), tmp_path)
    for path in inputs.iterdir():
        path.write_bytes(b"nothing")
    groups = all_groups(some, 3)
    check_complete(groups, 3)
    assert len(groups[0].failures) == 3


def test_poisoned_rows_are_failures_with_their_reason(tmp_path: Path) -> None:
    groups = all_groups(reader(linear(), rows(6), tmp_path), 6, {0: "killed", 5: "killed"})
    check_complete(groups, 6)
    assert [(one.row, one.reason) for one in groups[-1].failures] == [(0, "killed"), (5, "killed")]


def test_several_blocks_never_mix(tmp_path: Path) -> None:
    groups = list(reader(linear(), rows(9), tmp_path).groups([block(5), block(9, 5, 1)], {}))
    check_complete([group for group in groups if group.block.number == 0], 5)
    assert [list(group.rows) for group in groups if group.block.number == 1] == [[5, 6, 7, 8]]


def test_what_is_fed_has_always_as_many_samples(tmp_path: Path) -> None:
    x = rows(6)
    some = reader(linear(), x, tmp_path)
    first, last = all_groups(some, 6)
    assert some.fed(first)["x"] is not None
    np.testing.assert_array_equal(some.fed(last)["x"], x[[4, 5, 5, 5]])
    np.testing.assert_array_equal(some.fed(last.halves()[0])["x"], x[[4, 4, 4, 4]])


def test_what_has_no_axis_of_samples_is_fed_as_it_is(tmp_path: Path) -> None:
    x = rows(2)
    some = reader(unbatched(), x, tmp_path, 1)
    groups = [group for group in all_groups(some, 2) if group.rows]
    assert [list(group.rows) for group in groups] == [[0], [1]]
    np.testing.assert_array_equal(some.fed(groups[1])["x"], x[1])


def test_a_message_names_the_shape_of_the_input_not_of_the_batch(tmp_path: Path) -> None:
    some = reader(linear(), np.zeros((1, 7), np.float32), tmp_path, 32)
    with pytest.raises(InputError, match=r"shape \(1, 7\)"):
        some.fed(all_groups(some, 1)[0])


def test_one_array_is_not_enough_for_two_inputs(tmp_path: Path) -> None:
    groups = all_groups(reader(joined(), files(tmp_path / "in", [rows(1)[0]]), tmp_path), 1)
    assert groups[0].failures[0].reason.startswith("is one array, but the model has 2 inputs")


def test_the_first_that_fit_are_found_among_others(tmp_path: Path) -> None:
    x: list[Any] = [*np.zeros((30, 7), np.float32), *np.full((4, 10), np.nan, np.float32), *rows(3)]
    found = reader(linear(), files(tmp_path / "in", x), tmp_path).first(2)
    assert [one.sha256 for one in found] == [_file_sha(tmp_path / f"in/{i:04}.npy") for i in (34, 35)]


def test_none_that_fits_is_said_with_the_last_reason(tmp_path: Path) -> None:
    some = reader(linear(), np.full((5, 10), np.nan, np.float32), tmp_path)
    with pytest.raises(InputError, match=r"none of the first 5 inputs can be explained; the last of them: .*NaN"):
        some.first(3)


def _file_sha(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()
