"""Where the inputs of a run lie: all are listed in one order, told apart, and read where they lie."""

import inspect
import io
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnx_lrp.batch.items import Item, Payload
from onnx_lrp.batch.sources import sorting
from onnx_lrp.batch.sources.opening import source_of
from onnx_lrp.errors import InputError

ROWS = np.arange(24, dtype=np.float32).reshape(6, 2, 2)


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def picture(path, value=7):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (3, 2), value).save(path)
    return str(path)


def listed(given, **said):
    return list(source_of(given, **said).items())


def names(given, **said):
    return [item.name for item in listed(given, **said)]


def read(given, rows=slice(None), **said):
    """Items and answers of a source as another process has it."""
    source = source_of(given, **said)
    items = list(source.items())[rows]
    return items, list(pickle.loads(pickle.dumps(source)).read(items))


def refused(given, *words, **said):
    with pytest.raises(InputError) as caught:
        listed(given, **said)
    message = str(caught.value)
    assert message.isprintable()
    assert "; " in message
    for word in words:
        assert word in message
    return message


def tar(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return str(path)


class TestPaths:
    def test_a_folder_is_sorted_and_recursive(self):
        for name in ("b.png", "a.JPG", "sub/z.webp", "sub/deep/y.bmp", "arr/x.npy"):
            Path("pics", name).parent.mkdir(parents=True, exist_ok=True)
            Path("pics", name).write_bytes(b"x")
        for name in ("notes.md", ".hidden.png", "sub/.DS_Store"):
            Path("pics", name).write_bytes(b"x")
        found = ["a.JPG", "b.png", "arr/x.npy", "sub/z.webp", "sub/deep/y.bmp"]
        assert names("pics") == [f"pics/{name}" for name in found]
        assert names(Path("pics")) == names("pics")

    def test_the_first_folder_is_the_label(self):
        for name in ("top.png", "cat/a.png", "cat/more/b.png", "dog/c.png"):
            picture(f"pics/{name}")
        assert [item.label for item in listed("pics", label="folder")] == [None, "cat", "cat", "dog"]
        assert {item.label for item in listed("pics")} == {None}
        assert listed(["pics/cat", "pics"], label="folder")[0].label is None

    def test_a_folder_without_any_for_a_label(self):
        picture("flat/a.png")
        Path("list.txt").write_text("flat/a.png\n")
        for given in ("flat", "flat/*.png", "list.txt", ["flat/a.png", "flat"]):
            refused(given, "no input lies in a folder below", "or leave --label out", label="folder")

    def test_files_are_read_where_they_lie(self, tmp_path, monkeypatch):
        picture("pics/a.png")
        source = source_of("pics")
        items = list(source.items())
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        [answer] = pickle.loads(pickle.dumps(source)).read(items)
        assert answer == Payload((tmp_path / "pics/a.png").read_bytes(), ".png")

    def test_a_pattern(self):
        for name in ("a.jpg", "b.png", "c.jpg", "sub/d.jpg", "sub/deep/e.jpg", "note.txt"):
            Path("pics", name).parent.mkdir(parents=True, exist_ok=True)
            Path("pics", name).write_bytes(b"x")
        assert names("pics/*.jpg") == ["pics/a.jpg", "pics/c.jpg"]
        assert names("pics/**/*.jpg") == ["pics/a.jpg", "pics/c.jpg", "pics/sub/d.jpg", "pics/sub/deep/e.jpg"]
        assert names("pics/*") == ["pics/a.jpg", "pics/b.png", "pics/c.jpg"]
        assert names("pi*/su?/*.jpg") == ["pics/sub/d.jpg"]
        refused("pics/*.webp", "nothing matches")
        refused("none/*.png", "nothing matches")

    def test_a_file_that_is_called_like_a_pattern(self):
        picture("a[1].png")
        assert names("a[1].png") == ["a[1].png"]

    def test_a_list(self, tmp_path):
        lists = tmp_path / "lists"
        lists.mkdir()
        picture("here.png")
        picture("lists/beside.png", 9)
        (lists / "all.txt").write_bytes(b"\xef\xbb\xbfhere.png\r\n\n  \nbeside.png\nnone.png\nb\xffd.png\nhere.png")
        items, answers = read("lists/all.txt")
        assert [item.name for item in items] == ["here.png", "beside.png", "none.png", "b\udcffd.png", "here.png"]
        assert [isinstance(answer, Payload) for answer in answers] == [True, True, False, False, True]
        assert answers[1].data == (lists / "beside.png").read_bytes()
        assert "none.png" in str(answers[2])
        assert "no such file" in str(answers[2])
        assert str(answers[3]).isprintable()

    def test_a_list_that_names_nothing(self):
        Path("empty.txt").write_text("\n \n")
        refused("empty.txt", "names no files")
        Path("long.txt").write_bytes(b"x" * (1 << 17))
        refused("long.txt", "line 1 is too long")
        refused("none.txt", "no such file")

    def test_paths_from_standard_input(self, monkeypatch):
        picture("a.png")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a.png\nb.png\n")))
        source = source_of("-")
        items = list(source.items())
        assert [item.name for item in items] == ["a.png", "b.png"]
        assert [isinstance(answer, Payload) for answer in source.read(items)] == [True, False]
        with pytest.raises(InputError, match="names no files"):
            list(source.items())

    @pytest.mark.parametrize("end", [b"\0", b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("last", [True, False])
    def test_every_end_of_a_path_in_a_list(self, end, last, monkeypatch):
        wanted = [f"{i}{'x' * 100} ö.png" for i in range(1000)] + ["line\nbreak.png"] * (end == b"\0")
        content = end.join(name.encode() for name in wanted) + end * last
        Path("list.txt").write_bytes(content)
        assert names("list.txt") == wanted
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert names("-") == wanted

    def test_a_list_in_utf_16(self):
        Path("list.txt").write_text("a.png\n", "utf-16")
        refused("list.txt", "UTF-16; save it in UTF-8")

    def test_standard_input_that_is_closed(self, monkeypatch):
        for stream in (None, object()):
            monkeypatch.setattr("sys.stdin", stream)
            refused("-", "standard input: is closed; pipe paths")

    def test_several_are_gone_through_in_turn(self):
        picture("one.png")
        picture("pics/two.png")
        Path("list.txt").write_text("three.png\n")
        given = ["one.png", "pics", "list.txt", "missing.png"]
        assert names(given) == ["one.png", "pics/two.png", "three.png", "missing.png"]
        assert isinstance(read(given)[1][3], InputError)
        refused("missing.png", "no such file")
        refused(["one.png", "no_folder"], "no_folder")
        refused([], "no inputs")

    def test_what_looks_like_a_picture_says_that_it_is_none(self):
        picture("pics/a.png")
        for name in ("b.gif", "c.tiff", "d.txt"):
            Path("pics", name).write_bytes(b"GIF89a")
        items, answers = read("pics")
        assert [item.name for item in items] == ["pics/a.png", "pics/b.gif", "pics/c.tiff"]
        assert "'.gif'" in str(answers[1])

    @pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
    def test_a_folder_linked_into_itself(self):
        picture("pics/sub/a.png")
        picture("other/b.png")
        os.symlink("../..", "pics/sub/up")
        os.symlink("..", "pics/again")
        os.symlink("loop", "pics/loop")
        os.symlink("../other", "pics/linked")
        os.symlink("../pics", "other/back")
        found = names("pics")
        assert "pics/sub/a.png" in found
        assert "pics/linked/b.png" in found
        assert len(found) < 12  # each way is gone once, not until the path is too long

    def test_deep_folders_take_no_recursion(self):
        deep = Path("pics", *["d"] * 150)
        picture(deep / "a.png")
        limit, depth = sys.getrecursionlimit(), len(inspect.stack())
        sys.setrecursionlimit(depth + 100)
        try:
            found = names("pics")
        finally:
            sys.setrecursionlimit(limit)
        assert found == [str(deep / "a.png")]

    def test_labels_that_files_do_not_have(self):
        picture("pics/a.png")
        refused("pics", "--label folder", label="class")
        refused("pics", "column", column="path")
        refused("pics", "target", target="t")

    def test_names_beyond_what_is_held(self, monkeypatch):
        monkeypatch.setattr(sorting, "_SORTED_AT_ONCE", 10)
        monkeypatch.setattr(sorting, "_READ_AT_ONCE", 16)
        some = sorting.SortedNames()
        wanted = [f"{i:05d}\udcff{'x' * (i % 30)}" for i in range(997)]
        for name in sorted(wanted, key=lambda name: name[::-1]):
            some.add(name)
        assert list(some) == wanted
        assert list(some) == wanted


class TestArrays:
    def test_rows_of_npy(self):
        np.save("x.npy", ROWS)
        items, answers = read("x.npy")
        assert [item.name for item in items] == [f"x.npy[{i}]" for i in range(6)]
        for row, answer in zip(ROWS, answers):
            np.testing.assert_array_equal(answer.data[""], row)
            assert answer.data[""].flags.writeable

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("dtype", ["<f4", ">f8", "<u1", ">i2", "?"])
    def test_layouts(self, order, dtype):
        array = np.asarray(ROWS % 2, dtype, order=order)
        np.save("x.npy", array)
        np.savez("x.npz", array)
        np.savez_compressed("packed.npz", array)
        for name in ("x.npy", "x.npz", "packed.npz"):
            _, answers = read(name)
            got = np.stack([answer.data[""] for answer in answers])
            assert got.dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(got, array)

    def test_any_rows_in_any_order(self, monkeypatch):
        monkeypatch.setattr("onnx_lrp.batch.sources.arrays._CHUNK", 40)
        np.save("x.npy", ROWS)
        source = source_of("x.npy")
        items = list(source.items())
        for rows in ([4, 5, 0, 1, 2, 2], [3], [], [5, 4, 3]):
            got = [answer.data[""] for answer in source.read([items[row] for row in rows])]
            np.testing.assert_array_equal(np.array(got).reshape(-1, 2, 2), ROWS[rows])

    def test_several_files(self):
        np.save("a.npy", ROWS)
        np.save("b.npy", -ROWS)
        items, answers = read(["a.npy", "b.npy"])
        assert [item.name for item in items][5:7] == ["a.npy[5]", "b.npy[0]"]
        got = np.stack([answer.data[""] for answer in answers])
        np.testing.assert_array_equal(got, np.concatenate([ROWS, -ROWS]))

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_labels_and_targets_by_row(self, save):
        y, t = np.arange(6, dtype=np.float64), np.array([f"t{i}" for i in range(6)]).reshape(6, 1)
        save("x.npz", x=ROWS, y=y, t=t)
        items, answers = read("x.npz", label="y", target="t")
        assert [(item.label, item.target) for item in items] == [(str(i), f"t{i}") for i in range(6)]
        assert list(answers[0].data) == [""]
        refused("x.npz", "'yy'", "did you mean y?", label="yy")
        np.save("x.npy", ROWS)
        for given in (ROWS, "x.npy"):
            refused(given, "no array 'y'; there is one array without a name: give named ones", label="y")
        refused(ROWS, "label is a name, no ndarray; give the arrays together", label=y)

    def test_an_array_per_input(self):
        np.savez("x.npz", a=ROWS, b=np.arange(6), other=np.zeros(3))
        _, answers = read("x.npz", features=["a", "b"])
        np.testing.assert_array_equal(answers[4].data["a"], ROWS[4])
        assert answers[4].data["b"] == 4
        assert isinstance(answers[4].data["b"], np.ndarray)
        refused("x.npz", "a: 6", "other: 3", "different numbers of rows")

    def test_in_memory(self):
        items, answers = read(ROWS)
        assert [item.name for item in items][:2] == ["[0]", "[1]"]
        np.testing.assert_array_equal(np.stack([answer.data[""] for answer in answers]), ROWS)
        items, answers = read({"a": ROWS, "b": ROWS[:, 0], "y": list("abcdef")}, label="y")
        assert items[2].label == "c"
        np.testing.assert_array_equal(answers[5].data["b"], ROWS[5, 0])
        refused({"a": ROWS, "b": ROWS[:2]}, "different numbers")
        refused(np.zeros(()), "no rows")
        refused(np.array([None, 1]), "object")
        refused([ROWS, ROWS], "numpy.stack")
        refused(3, "int")

    def test_a_source_is_taken_as_it_is(self):
        source = source_of(ROWS)
        assert source_of(source) is source

    def test_no_rows(self):
        np.save("none.npy", np.zeros((0, 3)))
        np.save("one.npy", np.float32(1))
        refused("none.npy", "no rows")
        refused("one.npy", "no rows")
        refused("no.npy", "no such file")

    def test_much_that_is_packed(self, monkeypatch):
        monkeypatch.setattr("onnx_lrp.batch.sources.rows.MAX_PACKED", 1 << 20)
        np.savez_compressed("big.npz", x=np.zeros((10, 1 << 18)))
        refused("big.npz", "20 MiB", "numpy.savez,")

    def test_few_of_many_files_are_held(self):
        for i in range(5):
            np.savez_compressed(f"{i}.npz", x=ROWS + i)
        source = source_of([f"{i}.npz" for i in range(5)])
        items = list(source.items())
        assert len(source._opened) == 2
        got = np.stack([answer.data[""] for answer in source.read([*items, items[0]])])
        np.testing.assert_array_equal(got, np.concatenate([*(ROWS + i for i in range(5)), ROWS[:1]]))
        assert len(source._opened) == 2

    def test_rows_cost_little(self):
        np.save("x.npy", np.zeros((5000, 1, 28, 28), np.float32))
        source = source_of("x.npy")
        items, took = list(source.items()), []
        for _ in range(7):
            start = time.process_time()
            assert sum(1 for _ in source.read(items)) == 5000
            took.append(time.process_time() - start)
        assert min(took) < 0.06  # 0.013 on a machine that does nothing else

    def test_a_file_that_shrinks_costs_its_rows(self):
        np.save("x.npy", np.zeros((100, 1000)))
        source = source_of("x.npy")
        items = list(source.items())
        os.truncate("x.npy", 400_000)
        answers = list(source.read(items))
        assert len(answers) == 100
        assert "x.npy" in str(answers[-1])
        assert isinstance(answers[-1], InputError)


class TestCsv:
    def test_features_labels_and_targets(self):
        Path("t.csv").write_text('b,y,a,t\n1,cat,2.5,0\n\n-3,"do\ng",1e3,1\n')
        items, answers = read("t.csv", label="y", target="t")
        assert [(item.name, item.label, item.target) for item in items] == [
            ("t.csv[0]", "cat", "0"),
            ("t.csv[1]", "do\ng", "1"),
        ]
        np.testing.assert_array_equal([answer.data[""] for answer in answers], [[1, 2.5], [-3, 1000]])
        assert (answers[0].data[""].dtype, answers[0].typed) == (np.float64, False)
        _, answers = read("t.csv", features=["t", "a"])
        np.testing.assert_array_equal(answers[1].data[""], [1, 1000])

    @pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
    def test_separators_and_a_byte_order_mark(self, separator):
        rows = (["a", "b"], ["1", "2"], ["3", "4"])
        Path("t.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(separator.join, rows)).encode())
        _, answers = read("t.csv")
        np.testing.assert_array_equal([answer.data[""] for answer in answers], [[1, 2], [3, 4]])

    def test_rows_in_any_order(self):
        Path("t.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(1000)))
        _, answers = read("t.csv", slice(None, None, -7))
        assert [answer.data[""][0] for answer in answers] == list(range(999, -1, -7))

    def test_no_number_is_rounded_before_its_type_is_known(self):
        Path("t.csv").write_text("a,b\n0.1,16777217\n 9007199254740993 ,1.0\n-9007199254740993.0,1e23\n1,1e999\n")
        _, answers = read("t.csv")
        rows = [answer.data[""].tolist() for answer in answers]
        assert rows == [[0.1, 16777217], [2**53 + 1, 1], [-(2**53) - 1, 10**23], [1, np.inf]]
        assert [answer.data[""].dtype.kind for answer in answers] == ["f", "O", "O", "f"]

    def test_bad_rows_cost_themselves(self):
        content = 'a,b\n1,2\n3\n5,\n7,x\n9,nan\n"' + "q" * 200_000 + '",1\n11,12\n13,14,15\n1_000,2\n17,18\n'
        Path("t.csv").write_text(content)
        items, answers = read("t.csv")
        assert len(items) == 10
        sound = [i for i, answer in enumerate(answers) if isinstance(answer, Payload)]
        assert sound == [0, 6, 9]
        for word, row in {
            "1 cells": 1,
            "'b' is empty": 2,
            "'x'": 3,
            "'nan'": 4,
            "field larger": 5,
            "3 cells": 7,
            "'1_000'": 8,
        }.items():
            assert word in str(answers[row])
            assert "t.csv" in str(answers[row])

    @pytest.mark.parametrize("cell", ["1_000", "１２", "٣", "0x10", "1,5"])
    def test_what_is_no_number(self, cell):
        Path("t.csv").write_text(f"a;b\n1;2\n{cell};2\n")
        _, answers = read("t.csv")
        assert [isinstance(answer, Payload) for answer in answers] == [True, False]
        assert f"column 'a' holds '{cell}', no number" in str(answers[1])

    @pytest.mark.parametrize("cell", ["1e3", " 2.5\u00a0", "+7", "-.5"])
    def test_what_is_a_number(self, cell):
        Path("t.csv").write_text(f"a;b\n{cell};2\n")
        assert read("t.csv")[1][0].data[""][0] == float(cell)

    def test_lines_that_end_as_on_old_macs(self):
        Path("it's old.csv").write_bytes(b"a,b,c\r1,2,3\r")
        said = refused("it's old.csv", "its lines end with CR alone")
        subprocess.run(["bash", "-c", said.partition("LF: ")[2]], check=True)
        assert read("mended.csv")[1][0].data[""].tolist() == [1, 2, 3]

    def test_columns_that_are_not_there(self):
        Path("t.csv").write_text("length,width,name\n1,2,x\n")
        refused("t.csv", "'lenght'", "did you mean length?", "length, width, name", features=["lenght"])
        refused("t.csv", "'name'", "'x'", "features", "t.csv")
        refused("t.csv", "'width' is named twice", "name it once", features=["width", "length", "width"])
        Path("same.csv").write_text("a,b,a\n1,2,3\n")
        refused("same.csv", "two columns", "'a'")
        Path("nameless.csv").write_text(",a\n0,2\n")
        refused("nameless.csv", "column 1")
        Path("headless.csv").write_text("1,2\n3,4\n")
        refused("headless.csv", "first row holds numbers")
        Path("only.csv").write_text("y\n3\n")
        refused("only.csv", "no column is left", label="y")

    def test_nothing_in_it(self):
        Path("empty.csv").touch()
        refused("empty.csv", "is empty")
        Path("header.csv").write_text("a,b\n")
        refused("header.csv", "no rows")
        Path("wide.csv").write_bytes("a,b\n1,2\n".encode("utf-16"))
        refused("wide.csv", "UTF-8")
        Path("blank.csv").write_text("\n\n")
        refused("blank.csv", "no columns")

    def test_paths_in_a_column(self, tmp_path):
        picture("here.png")
        picture("data/beside.png", 9)
        Path("data/t.csv").write_text("path,y\nhere.png,3\nbeside.png,4\nnone.png,5\n,6\n")
        items, answers = read("data/t.csv", column="path", label="y")
        assert [(item.name, item.label) for item in items][:3] == [
            ("here.png", "3"),
            ("beside.png", "4"),
            ("none.png", "5"),
        ]
        assert [isinstance(answer, Payload) for answer in answers] == [True, True, False, False]
        assert answers[1].data == (tmp_path / "data/beside.png").read_bytes()
        assert "names no file" in str(answers[3])


class TestParquet:
    @pytest.fixture(autouse=True)
    def _arrow(self):
        self.pa = pytest.importorskip("pyarrow")
        self.pq = pytest.importorskip("pyarrow.parquet")

    def table(self, size=100, **columns):
        self.pq.write_table(self.pa.table(columns), "t.parquet", row_group_size=size)
        return "t.parquet"

    def test_features_labels_and_targets(self, monkeypatch):
        monkeypatch.setattr("onnx_lrp.batch.sources.cursors.HELD_ROWS", 7)
        n = 250
        name = self.table(
            b=range(n), y=[f"c{i}" for i in range(n)], a=np.arange(n) / 4, f=[i % 2 == 0 for i in range(n)]
        )
        items, answers = read(name, label="y", target="f")
        assert (items[249].name, items[249].label, items[249].target) == ("t.parquet[249]", "c249", "0")
        got = np.stack([answer.data[""] for answer in answers])
        np.testing.assert_array_equal(got, np.stack([np.arange(n), np.arange(n) / 4], 1))
        assert (got.dtype, answers[0].typed) == (np.float64, False)
        _, answers = read(name, slice(None, None, -9), features=["f", "b"])
        np.testing.assert_array_equal([answer.data[""][1] for answer in answers], np.arange(n)[::-9])

    def test_threads_read_at_once(self, monkeypatch):
        monkeypatch.setattr("onnx_lrp.batch.sources.cursors.HELD_ROWS", 16)
        source = source_of(self.table(a=range(2000), size=700))
        items, wrong = list(source.items()), []

        def go(first):
            for start in range(first, 2000, 200):
                some = items[start : start + 50]
                if [int(answer.data[""][0]) for answer in source.read(some)] != list(range(start, start + 50)):
                    wrong.append(start)

        threads = [threading.Thread(target=go, args=(first,)) for first in (0, 50, 100, 150)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_no_number_is_rounded_before_its_type_is_known(self):
        large = [2**53 + 1, 2**63 + 1]
        decimals = self.pa.array([Decimal(2**53 + 3), Decimal(5)], self.pa.decimal128(20))
        wide = self.pa.array([2**53 + 5, None], self.pa.int64())
        name = self.table(a=[0.1, 1e300], b=self.pa.array(large, self.pa.uint64()), c=decimals, d=wide)
        _, answers = read(name)
        assert answers[0].data[""].tolist() == [0.1, 2**53 + 1, 2**53 + 3, 2**53 + 5]
        assert "row 1: column 'd' is empty" in str(answers[1])
        _, answers = read(name, features=["c", "a", "b"])
        assert answers[1].data[""].tolist() == [5, 1e300, 2**63 + 1]
        _, answers = read(self.table(a=[0.1], f=self.pa.array([16777217], self.pa.int32())))
        assert (answers[0].data[""].dtype, answers[0].data[""].tolist()) == (np.float64, [0.1, 16777217])

    def taken(self, source, items, size):
        """The first number of each, read in blocks as a run does: nobody asks for what is behind the last."""
        for start in range(0, len(items), size):
            block = items[start : start + size]
            answers = source.read(block)
            yield from [next(answers).data[""][0] for _ in block]

    def opens(self, monkeypatch):
        opened, parquet_file = [], self.pq.ParquetFile
        monkeypatch.setattr(
            self.pq, "ParquetFile", lambda path, **said: opened.append(path) or parquet_file(path, **said)
        )
        return opened

    @pytest.mark.parametrize(("groups", "held"), [(2000, 4096), (2000, 30), (64, 30), (100, 100)])
    def test_blocks_in_a_row_go_on_where_the_last_one_was(self, monkeypatch, groups, held):
        monkeypatch.setattr("onnx_lrp.batch.sources.cursors.HELD_ROWS", held)
        source = source_of(self.table(a=range(1000), size=groups))
        items, opened = list(source.items()), self.opens(monkeypatch)
        assert list(self.taken(source, items, 50)) == list(range(1000))
        assert len(opened) == 1
        assert list(self.taken(source, items[::-1], 50)) == list(range(1000))[::-1]

    def test_few_of_many_files_stay_open(self, monkeypatch):
        for i in range(9):
            self.pq.write_table(self.pa.table({"a": range(10 * i, 10 * i + 10)}), f"{i}.parquet")
        source = source_of([f"{i}.parquet" for i in range(9)])
        items, opened = list(source.items()), self.opens(monkeypatch)
        assert list(self.taken(source, items, 4)) == list(range(90))
        assert len(opened) == 9
        assert len(source._cursors._kept) <= 4

    def test_missing_values_cost_their_rows(self):
        name = self.table(a=[1.0, None, float("nan"), 4.0], b=[1, 2, 3, None], c=[True, True, None, False])
        _, answers = read(name)
        assert [isinstance(answer, Payload) for answer in answers] == [True, False, False, False]
        assert "row 3: column 'b' is empty" in str(answers[3])

    def test_columns_that_do_not_fit(self):
        name = self.table(a=[1], name=["x"], many=[[1, 2]])
        refused(name, "'name'", "string", "features")
        refused(name, "'many'", "list", features=["many"])
        refused(name, "'b'", label="b")
        refused(name, "'a'", "no paths", column="a")
        same = self.pa.Table.from_arrays([self.pa.array([1]), self.pa.array([2])], names=["a", "a"])
        self.pq.write_table(same, "same.parquet")
        refused("same.parquet", "two columns", "'a'")
        refused(self.table(a=self.pa.array([], self.pa.float32())), "no rows")
        Path("bad.parquet").write_bytes(b"PAR1" + b"\xff" * 300 + b"PAR1")
        refused("bad.parquet", "cannot be read")

    def test_paths_in_a_column(self):
        picture("a.png")
        name = self.table(path=["a.png", "b.png", None], y=[1, 2, 3])
        items, answers = read(name, column="path", label="y")
        assert [item.label for item in items] == ["1", "2", "3"]
        assert [isinstance(answer, Payload) for answer in answers] == [True, False, False]

    def test_damage_in_the_middle(self):
        name = self.table(a=np.random.default_rng(0).random(20_000), size=10_000)
        data = bytearray(Path(name).read_bytes())
        data[20_000:60_000] = bytes(40_000)
        Path(name).write_bytes(data)
        _, answers = read(name)
        assert len(answers) == 20_000
        assert isinstance(answers[-1], Payload | InputError)


class TestArchives:
    def test_groups_of_members(self):
        members = [
            ("000001.jpg", b"one"), ("000001.cls", b"7\n"), ("000001.json", b'{"target": 3, "name": "cat"}'),
            ("dir/000001.png", b"two"), ("dir/000001.seg.png", b"mask"), ("dir/000001.cls", b"8"),
            ("readme.md", b"no input"), ("b.npy", b"three"), ("photo.v2.webp", b"four"),
        ]  # fmt: skip
        name = tar("d.tar", *members)
        items, answers = read(name, target="target")
        assert [(item.name, item.label, item.target) for item in items] == [
            ("d.tar/000001.jpg", "7", "3"),
            ("d.tar/dir/000001.png", "8", None),
            ("d.tar/b.npy", None, None),
            ("d.tar/photo.v2.webp", None, None),
        ]
        endings = [".jpg", ".png", ".npy", ".webp"]
        assert answers == [Payload(data, e) for data, e in zip((b"one", b"two", b"three", b"four"), endings)]
        assert [item.label for item in listed(name, label="name")][:2] == ["cat", None]
        _, [answer] = read(name, column="seg.png")
        assert answer.data == b"mask"

    @pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_long_and_odd_names(self, kind):
        long = "/".join(["folder" * 8] * 3) + "/ünï.png"
        with tarfile.open("d.tar", "w", format=kind) as archive:
            for name in (long, "after.png"):
                member = tarfile.TarInfo(name)
                member.size = 3
                archive.addfile(member, io.BytesIO(b"abc"))
        items, answers = read("d.tar")
        assert [item.name for item in items] == [f"d.tar/{long}", "d.tar/after.png"]
        assert [answer.data for answer in answers] == [b"abc", b"abc"]

    def test_shards(self):
        for i in range(8, 12):
            tar(f"s-{i:04d}.tar", (f"{i}.png", b"%d" % i))
        items, answers = read("s-{0008..0011}.tar")
        assert [item.name for item in items] == [f"s-{i:04d}.tar/{i}.png" for i in range(8, 12)]
        assert [answer.data for answer in answers] == [b"8", b"9", b"10", b"11"]
        assert names("s-*.tar") == [item.name for item in items]
        assert names(["s-0009.tar", "s-0008.tar"]) == [items[1].name, items[0].name]
        refused("s-{0008..0013}.tar", "s-0012.tar", "no such file")
        refused("s-{9..3}.tar", "check the numbers")
        refused("s-{0..999999999}.tar", "check the numbers")

    def test_several_inputs_in_one_group(self):
        name = tar("d.tar", ("1.jpg", b"a"), ("1.png", b"b"), ("2.jpg", b"c"))
        items = listed(name)
        assert "jpg, png" in items[0].error
        assert items[1].error is None
        assert names(name, column="jpg") == ["d.tar/1.jpg", "d.tar/2.jpg"]

    def test_bad_labels_cost_their_rows(self):
        deep = b"[" * 100_000
        members = [
            ("1.jpg", b"a"),
            ("1.json", b"{"),
            ("2.jpg", b"b"),
            ("2.json", deep),
            ("3.jpg", b"c"),
            ("3.json", b"[1]"),
        ]
        items = listed(tar("d.tar", *members), label="key")
        assert [item.error is None for item in items] == [False, False, True]
        assert "d.tar/1.jpg" in items[0].error

    def test_nothing_to_explain(self):
        refused(tar("d.tar", ("a.txt", b"x")), "no member is a picture")
        refused(tar("e.tar", ("a.jpg", b"x")), ".png", column="png")


class TestOpening:
    def test_kinds_are_not_mixed(self):
        np.save("x.npy", ROWS)
        picture("a.png")
        refused(["a.png", "x.npy"], "different kinds", "a.png (path)", "x.npy (array)")

    @pytest.mark.parametrize("name", ["d.tar.gz", "d.tgz", "d.zip"])
    def test_packed_ones(self, name):
        Path(name).write_bytes(b"\x1f\x8b" + b"x" * 600)
        refused(name, "unpack it first")

    def test_addresses(self):
        refused("s3://bucket/data.tar", "download it")
        refused("pipe:cat x.tar", "download it")

    def test_what_does_not_fit_the_kind(self):
        np.save("x.npy", ROWS)
        refused("x.npy", "column", column="path")
        refused(ROWS, "column is for tables", column="x")
        refused({"x": ROWS}, "column is for tables", column="x")
        refused(source_of("x.npy"), "a source of your own has no columns", label="x")
        Path("t.csv").write_text("p,a\nx.npy,1\n")
        Path("t.parquet").write_bytes(b"PAR1")
        for table in ("t.csv", "t.parquet"):
            refused(table, "give one of them", column="p", features=["a"])
        refused(tar("d.tar", ("a.jpg", b"x")), "features", features=["a"])

    def test_an_item_with_an_error_answers_with_it(self):
        np.save("x.npy", ROWS)
        source = source_of("x.npy")
        bad = Item("x.npy[0]", 0, error="x.npy[0]: not this one; try another")
        first, second = source.read([bad, Item("x.npy[1]", 1)])
        assert str(first) == bad.error
        assert isinstance(second, Payload)
