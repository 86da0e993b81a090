"""The list of a run's inputs: written once, found by row, and no larger in memory for a million."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from onnx_lrp.batch import inventory
from onnx_lrp.batch.blocks import Block, blocks_of
from onnx_lrp.batch.inventory import Inventory
from onnx_lrp.batch.items import Item
from onnx_lrp.errors import InputError, OutputError

ODD = [
    Item("plain.png", 3, "cat", "dog"),
    Item("b\udcffd\nname.png", -1, "\udcfe", None, "what is wrong\n; mend it \x1b[31m"),
    Item("ünï", 1 << 60, "", "0"),
    Item("half \ud800 a pair"),
    Item("plain.png", 5),
]


class Listed:
    """A source of these items."""

    def __init__(self, items):
        self._items = items

    def items(self):
        return iter(self._items)

    def read(self, items):
        raise AssertionError("nothing is read")


def of(count):
    return Listed(Item(f"pics/{i:07d}.png", i, str(i % 10)) for i in range(count))


def everything(some):
    return [item for block in blocks_of(len(some), 7) for item in some.block(block)]


def test_items_come_back_as_they_were(tmp_path):
    some = Inventory.write(tmp_path / "inputs.arrow", Listed(ODD))
    got = everything(some)
    assert len(some) == 5
    assert got[0] == ODD[0]
    assert got[1].name == ODD[1].name
    assert got[1].label == "\udcfe"
    assert got[1].error == "what is wrong\\n; mend it \\x1b[31m"
    assert got[2] == ODD[2]
    assert got[3].name == "half \\ud800 a pair"
    assert [some.item(row) for row in range(5)] == got
    assert os.listdir(tmp_path) == ["inputs.arrow"]
    for row in (-1, 5):
        with pytest.raises(IndexError):
            some.item(row)


def test_blocks_across_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(inventory, "_BATCH", 10)
    told = []
    some = Inventory.write(tmp_path / "inputs.arrow", of(95), told.append)
    assert told == list(range(10, 95, 10))
    assert everything(some) == list(of(95).items())
    assert [item.place for item in some.block(Block(0, 8, 31))] == list(range(8, 31))
    assert some.origins(Block(0, 8, 12)) == [8, 9, 10, 11]


def test_the_digest_is_of_the_content(tmp_path):
    first = Inventory.write(tmp_path / "a.arrow", Listed(ODD))
    assert len(first.sha256) == 64
    assert Inventory.write(tmp_path / "b.arrow", Listed(ODD)).sha256 == first.sha256
    assert Inventory.open(tmp_path / "a.arrow").sha256 == first.sha256
    for other in (ODD[:-1], [*ODD[:-1], Item("plain.png", 6)], [*ODD[:-1], Item("plain.png", 5, "")]):
        assert Inventory.write(tmp_path / "c.arrow", Listed(other)).sha256 != first.sha256


def test_it_is_opened_again_elsewhere(tmp_path):
    some = Inventory.write(tmp_path / "inputs.arrow", of(30))
    assert everything(pickle.loads(pickle.dumps(some))) == everything(some)


def test_some_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(inventory, "_BATCH", 4)
    some = Inventory.write(tmp_path / "inputs.arrow", of(30))
    rows = [29, 3, 3, 17, 0, 11]
    taken = some.take(iter(rows), tmp_path / "some.arrow")
    assert everything(taken) == [some.item(row) for row in rows]
    assert taken.origins(Block(0, 0, 6)) == rows
    again = taken.take([4, 0], tmp_path / "fewer.arrow")
    assert again.origins(Block(0, 0, 2)) == [0, 29]
    for wrong in ([30], [-1], []):
        with pytest.raises(InputError):
            some.take(wrong, tmp_path / "none.arrow")
    assert not (tmp_path / "none.arrow").exists()


def test_an_input_by_its_name(tmp_path):
    some = Inventory.write(tmp_path / "inputs.arrow", Listed(ODD))
    assert some.find("plain.png") == 0
    assert some.find("b\udcffd\nname.png") == 1
    with pytest.raises(InputError, match=r"none\.png: no input"):
        some.find("none.png")


def test_nothing_is_left_where_listing_fails(tmp_path):
    def failing():
        yield Item("a")
        raise InputError("the folder went away; mount it again")

    for source in (Listed([]), Listed(failing())):
        with pytest.raises(InputError, match="; "):
            Inventory.write(tmp_path / "inputs.arrow", source)
    assert os.listdir(tmp_path) == []
    with pytest.raises(OutputError, match="cannot be written"):
        Inventory.write(tmp_path / "none" / "inputs.arrow", of(3))


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "inputs.arrow"
    with pytest.raises(InputError, match="start the run anew"):
        Inventory.open(path)
    Inventory.write(path, of(300))
    data = path.read_bytes()
    for damaged in (b"", b"x", data[:100], data[: len(data) // 2], data[:-1], b"x" * len(data)):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="start the run anew"):
            Inventory.open(path)


CHILD = """
import sys
from pathlib import Path
from onnx_lrp.batch.inventory import Inventory
from onnx_lrp.batch.blocks import blocks_of
from onnx_lrp.batch.sources.opening import source_of
folder, count = Path(sys.argv[1]), int(sys.argv[2])
some = Inventory.write(folder / f"{count}.arrow", source_of(sys.argv[3]))
assert len(some) == count, len(some)
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]  # ru_maxrss is the parent's, too
print(int(peak.split()[1]) // 1024)
"""


def peak(folder, count, given):
    command = [sys.executable, "-c", CHILD, str(folder), str(count), str(given)]
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux says it")
def test_memory_does_not_grow_with_the_inputs(tmp_path):
    def given(count):
        path = tmp_path / f"{count}.txt"
        path.write_text("".join(f"some/folder/of/pictures/{i:09d}.png\n" for i in range(count)))
        return path

    few, many = (peak(tmp_path, count, given(count)) for count in (10_000, 100_000))  # a batch of the file, and ten
    assert many - few < 12, (few, many)  # the file is mapped, and 7 MiB larger
