"""Inputs that are damaged, odd or meant to harm: each costs its own row, and says why; none ends or holds up a run."""

import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnx_lrp.batch.items import Payload
from onnx_lrp.batch.sources.opening import source_of
from onnx_lrp.errors import InputError
from onnx_lrp.pictures.reading import Picture, bytes_of, read_bytes, read_input


@pytest.fixture(autouse=True)
def _there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def decoded(given, **said):
    """What each item of a source is in the end: what it shows, or an error, which names it."""
    source = source_of(given, **said)
    items = list(source.items())
    answers = list(source.read(items))
    assert len(answers) == len(items)
    return [(item.name, _content(item, answer)) for item, answer in zip(items, answers)]


def _content(item, answer):
    if isinstance(answer, Payload) and isinstance(answer.data, bytes):
        try:
            return read_bytes(answer.data, answer.ending, item.name)
        except InputError as error:
            answer = error
    if isinstance(answer, InputError):
        message = str(answer)
        assert message.isprintable()
        assert "; " in message
        return message
    return answer.data


def only(given, **said):
    [(_, content)] = decoded(given, **said)
    return content


def saved(path, image, **options):
    image.save(path, **options)
    return path


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_size(width, height, rows=0):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def noise(*shape):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8))


class TestPictures:
    def test_damaged_ones_cost_their_rows(self):
        Path("pics").mkdir()
        noise(40, 40, 3).save("pics/sound.png")
        noise(400, 400, 3).save("whole.jpg")
        data = Path("pics/sound.png").read_bytes()
        Path("pics/corrupt.png").write_bytes(data[:60] + bytes(200) + data[260:])
        Path("pics/cut.jpg").write_bytes(Path("whole.jpg").read_bytes()[:5000])
        Path("pics/empty.png").touch()
        Path("pics/text.png").write_text("no picture at all")
        Path("pics/script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
        noise(4, 4).save("pics/anim.gif", save_all=True, append_images=[noise(4, 4)])
        noise(4, 4, 3).save("pics/anim.webp", save_all=True, append_images=[Image.new("RGB", (4, 4))])
        found = dict(decoded("pics"))
        assert len(found) == 8
        assert isinstance(found.pop("pics/sound.png"), Picture)
        for name, content in found.items():
            assert isinstance(content, str), name
            assert content.startswith(repr(name))

    @pytest.mark.parametrize("size", [(17_000, 10_000), (1, 64_000_001), (1 << 30, 1 << 30)])
    def test_more_pixels_than_can_be_held(self, size):
        Path("big.png").write_bytes(png_of_size(*size, rows=10 if size[0] < 1 << 20 else 0))
        tracemalloc.start()
        try:
            assert "million pixels" in only("big.png")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()

    def test_a_file_that_is_larger_than_any_picture(self):
        with open("big.png", "wb") as file:
            file.truncate(3 << 30)
        tracemalloc.start()
        try:
            assert "3072 MiB" in only("big.png")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()

    def test_odd_ones_are_read(self):
        sixteen = Image.fromarray(np.array([[0, 65535], [257, 514]], np.uint16))
        np.testing.assert_array_equal(only(saved("a.png", sixteen)).pixels[..., 0], [[0, 255], [1, 2]])
        assert only(saved("b.jpg", Image.new("CMYK", (3, 2), (0, 0, 0, 0)))).pixels.shape == (2, 3, 3)
        palette = Image.new("P", (2, 1))
        palette.putpalette([255, 0, 0, 0, 0, 255])
        palette.putdata([0, 1])
        picture = only(saved("c.png", palette, transparency=0))
        np.testing.assert_array_equal(picture.pixels, [[[255, 255, 255], [0, 0, 255]]])
        assert only(saved("d.png", Image.new("L", (1, 1), 9))).pixels.tolist() == [[[9]]]
        exif = Image.Exif()
        exif[0x0112] = 6
        assert only(saved("e.jpg", Image.new("RGB", (20, 10)), exif=exif)).pixels.shape == (20, 10, 3)

    def test_bytes_are_read_as_files_are(self):
        noise(9, 7, 3).save("a.png")
        np.save("a.npy", np.arange(6.0).reshape(2, 3))
        np.savez("a.npz", x=np.arange(3), y=np.ones(2))
        np.testing.assert_array_equal(read_bytes(*bytes_of("a.png"), "a").pixels, read_input("a.png").pixels)
        np.testing.assert_array_equal(read_bytes(*bytes_of("a.npy"), "a"), read_input("a.npy"))
        assert read_bytes(*bytes_of("a.npz"), "a").keys() == read_input("a.npz").keys()
        Path("bad.png").write_bytes(b"x" * 100)
        Path("bad.npy").write_bytes(b"x" * 100)
        for name in ("bad.png", "bad.npy"):
            with pytest.raises(InputError) as first:
                read_input(name)
            with pytest.raises(InputError) as second:
                read_bytes(*bytes_of(name), name)
            assert str(first.value) == str(second.value)


class TestPlaces:
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_pipes_folders_and_links(self):
        Path("pics/folder.png").mkdir(parents=True)
        noise(2, 2).save("pics/folder.png/in.png")
        os.mkfifo("pics/pipe.png")
        os.symlink("nowhere.png", "pics/broken.png")
        os.symlink("self.png", "pics/self.png")
        found = dict(decoded("pics"))
        assert isinstance(found.pop("pics/folder.png/in.png"), Picture)
        assert set(found) == {"pics/pipe.png", "pics/broken.png", "pics/self.png"}
        assert "not a regular file" in found["pics/pipe.png"]
        for name in ("pipe.npy", "pipe.csv", "pipe.tar", "pipe.txt"):
            os.mkfifo(name)
            with pytest.raises(InputError, match="not a regular file"):
                list(source_of(name).items())
        Path("list.txt").write_text("pics/folder.png\n/dev/zero\npics/pipe.png\nnul\0.png\n" + "x" * 5000 + ".png\n")
        assert all(isinstance(content, str) for _, content in decoded("list.txt"))

    def test_a_folder_that_cannot_be_listed_is_one_item(self, monkeypatch):
        for name in ("a/1.png", "locked/2.png", "locked/deep/3.png", "z/4.png"):
            Path("pics", name).parent.mkdir(parents=True, exist_ok=True)
            noise(2, 2).save(Path("pics", name))
        scan = os.scandir

        def locked(path):
            if str(path).endswith("locked"):
                raise PermissionError(13, "Permission denied", path)
            return scan(path)

        monkeypatch.setattr(os, "scandir", locked)
        found = decoded("pics")
        assert [name for name, _ in found] == ["pics/a/1.png", "pics/locked", "pics/z/4.png"]
        assert "Permission denied" in found[1][1]
        with pytest.raises(InputError, match="Permission denied"):
            list(source_of("pics/locked").items())

    def test_an_empty_folder(self):
        Path("pics/sub").mkdir(parents=True)
        Path("pics/notes.md").touch()
        with pytest.raises(InputError, match=r"^pics: no inputs in this folder or below; it takes one of \.png"):
            list(source_of("pics").items())

    def test_names_that_harm_a_terminal(self):
        Path("pics").mkdir()
        for name in ("line\nbreak.png", "esc\x1b[31m.png", os.fsdecode(b"b\xffd.png"), "ünï.png"):
            Path("pics", name).write_bytes(b"x")
        assert all(isinstance(content, str) for _, content in decoded("pics"))
        with pytest.raises(InputError) as caught:
            list(source_of("no\x1b[31m").items())
        assert str(caught.value).isprintable()


class TestArrays:
    def test_lengths_that_differ(self):
        np.savez("x.npz", x=np.zeros((3, 2)), y=np.zeros(2))
        with pytest.raises(InputError, match=r"^x\.npz: .*x: 3, y: 2.*; "):
            list(source_of("x.npz", label="y").items())

    def test_damaged_files(self):
        np.save("a.npy", np.zeros((10, 3)))
        np.savez("a.npz", np.zeros((10, 3)))
        np.savez_compressed("b.npz", np.zeros((10, 3)))
        for name in ("a.npy", "a.npz", "b.npz"):
            data = Path(name).read_bytes()
            for damaged in (data[:40], data[:-20], b"x" * 200, data[:6] + b"\xff" * 60 + data[66:]):
                Path(name).write_bytes(damaged)
                with pytest.raises(InputError, match=rf"^{name}: .*; "):
                    decoded(name)

    def test_objects_are_not_unpickled(self):
        np.save("a.npy", np.array([{}], object), allow_pickle=True)
        np.savez("a.npz", x=np.array([print], object))
        for name in ("a.npy", "a.npz"):
            with pytest.raises(InputError, match="plain numbers"):
                list(source_of(name).items())

    def test_sizes_that_are_only_claimed(self, monkeypatch):
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 1000000), }"
        for claimed in (1_000_000, 10**15, 10**30):
            text = head % claimed
            text += b" " * (-(11 + len(text)) % 64) + b"\n"
            Path("a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(64))
            with pytest.raises(InputError, match="claims"):
                list(source_of("a.npy").items())
        monkeypatch.setattr("onnx_lrp.batch.sources.rows.MAX_PACKED", 1 << 20)
        with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", bytes(30 << 20))
        with pytest.raises(InputError, match="30 MiB are compressed"):
            list(source_of("bomb.npz").items())


class TestArchives:
    @staticmethod
    def write(path="d.tar", count=3):
        with tarfile.open(path, "w") as archive:
            for i in range(count):
                member = tarfile.TarInfo(f"{i}.png")
                member.size = 700
                archive.addfile(member, io.BytesIO(bytes([i]) * 700))
        return Path(path).read_bytes()

    def test_a_truncated_one(self):
        data = self.write()
        for length in (512 + 600, 3 * 1536 - 900, 2 * 1536 + 512, 2 * 1536 + 100):
            Path("d.tar").write_bytes(data[:length])
            found = decoded("d.tar")
            assert found[-1][1].startswith("'d.tar/")
            assert "the archive" in found[-1][1]
            assert len(found) == length // 1536 + 1
        Path("d.tar").write_bytes(data[: 2 * 1536])  # whole members, and no end
        assert len(decoded("d.tar")) == 2

    def test_a_damaged_header(self):
        data = bytearray(self.write())
        data[1536:2048] = b"\xff" * 512
        Path("d.tar").write_bytes(data)
        found = decoded("d.tar")
        assert len(found) == 2
        assert "damaged" in found[1][1]
        for start in (b"\xff" * 600, b"no archive", b"\x1f\x8b" + bytes(600)):
            Path("d.tar").write_bytes(start)
            with pytest.raises(InputError, match="no tar archive"):
                list(source_of("d.tar").items())
        Path("d.tar").write_bytes(bytes(10240))
        with pytest.raises(InputError, match="no member"):
            list(source_of("d.tar").items())

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE]
    )
    def test_members_that_are_no_files(self, kind):
        with tarfile.open("d.tar", "w") as archive:
            member = tarfile.TarInfo("link.png")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
            member = tarfile.TarInfo("sound.npy")
            data = io.BytesIO()
            np.save(data, np.arange(3))
            member.size = len(data.getvalue())
            archive.addfile(member, io.BytesIO(data.getvalue()))
        [(_, link), (name, sound)] = decoded("d.tar")
        assert "link or no regular file" in link
        assert name == "d.tar/sound.npy"
        np.testing.assert_array_equal(sound, [0, 1, 2])

    @pytest.mark.parametrize("size", [10**9, 8 << 30, 1 << 60])
    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE])
    def test_sizes_that_are_only_claimed(self, kind, size):
        first = self.write(count=1)[:1536]
        header = tarfile.TarInfo("big.png")
        header.size, header.type = size, kind
        Path("d.tar").write_bytes(first + header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        found = decoded("d.tar")
        assert len(found) == 2
        assert "d.tar" in found[1][1]

    def test_a_large_member_is_not_read(self):
        header = tarfile.TarInfo("big.png")
        header.size = 1 << 30
        Path("d.tar").write_bytes(header.tobuf())
        os.truncate("d.tar", 512 + (1 << 30))
        tracemalloc.start()
        try:
            assert "more than the" in only("d.tar")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()

    def test_an_archive_that_changes(self):
        self.write(count=5)
        source = source_of("d.tar")
        items = list(source.items())
        os.truncate("d.tar", 2000)
        answers = list(source.read(items))
        assert [isinstance(answer, Payload) for answer in answers] == [True, False, False, False, False]


def test_random_bytes_are_never_a_crash():
    """Whatever is in a file of any kind, there is an answer for each item, or one error."""
    random = np.random.default_rng(1)
    np.savez("a.npz", x=np.zeros((4, 3)))
    np.save("a.npy", np.zeros((4, 3)))
    Path("a.csv").write_text("a,b\n1,2\n3,4\n")
    TestArchives.write("a.tar")
    endings = ["npz", "npy", "csv", "tar"]
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"a": list(range(50)), "b": [float(i) for i in range(50)]}), "a.parquet")
        endings.append("parquet")
    except ImportError:
        pass
    for ending in endings:
        data = Path(f"a.{ending}").read_bytes()
        for _ in range(60):
            broken = bytearray(data)
            for place in random.integers(0, len(data), int(random.integers(1, 8))):
                broken[place] = random.integers(0, 256)
            kept = int(random.integers(1, len(data) + 1)) if random.random() < 0.3 else len(data)
            Path(f"b.{ending}").write_bytes(broken[:kept])
            try:
                decoded(f"b.{ending}")
            except InputError as error:
                assert str(error).isprintable()  # noqa: PT017
