"""What a user's file may hold: every odd picture is understood, every hostile file refused in one line."""

import importlib.util
import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnx_lrp.errors import InputError
from onnx_lrp.pictures.reading import MAX_PIXELS, Picture, read_input

HOSTILE = Path(__file__).resolve().parents[2] / "shared" / "hostile" / "gen_data.py"
# Makers whose files are odd but fine; every other one has to be refused.
READABLE = {
    "img_exif_rotated": (20, 10, 3),
    "img_16bit": (8, 8, 1),
    "img_cmyk": (8, 8, 3),
    "img_alpha_palette": (8, 8, 3),
    "img_1x1": (1, 1, 1),
    "npy_bigendian_f8": (3, 2),
    "npz_bomb": (400 << 20,),
    "npy_nan": (5,),
}


def load_makers():
    if not HOSTILE.exists():
        return {}
    spec = importlib.util.spec_from_file_location("gen_data", HOSTILE)
    sys.path.insert(0, str(HOSTILE.parent))
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HOSTILE.parent))
    return module.CASES


MAKERS = load_makers()


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        read_input(path)
    message = str(caught.value)
    assert message.isprintable()  # one line, no control characters
    assert message.startswith(repr(str(path)))
    assert "; " in message  # a remedy follows
    for word in words:
        assert word in message
    return message


def saved(path, image, **options):
    image.save(path, **options)
    return path


def pixels(path):
    picture = read_input(path)
    assert isinstance(picture, Picture)
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.min() >= 0
    assert picture.pixels.max() <= 255
    return picture.pixels


def npy(header, data=b""):
    header = header.encode("latin1")
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npy_of(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(path, *members, **options):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", **options) as archive:
        warnings.simplefilter("ignore")  # a duplicate name
        for name, data in members:
            archive.writestr(name, data)
    return path


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


CHILD = """
import resource, sys
from onnx_lrp.errors import InputError
from onnx_lrp.pictures.reading import Picture, read_input
try:
    result = read_input(sys.argv[1])
    arrays = [result.pixels] if isinstance(result, Picture) else result.values() if type(result) is dict else [result]
    print(*[a.shape for a in arrays], sep="|")
except InputError as error:
    print("refused", error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(not MAKERS, reason="no hostile files beside this checkout")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's unit")
@pytest.mark.parametrize("name", MAKERS or [""])
@pytest.mark.filterwarnings("ignore:Duplicate name")  # by the maker, not by us
def test_shared_hostile_file_stays_small_and_clean(name, tmp_path):
    path = MAKERS[name](tmp_path)
    command = [sys.executable, "-W", "error", "-c", CHILD, str(path)]
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    answer, memory = done.stdout.splitlines()
    assert int(memory) < 1024
    if name in READABLE:
        assert answer == str(READABLE[name])
    else:
        assert answer.startswith("refused " + repr(str(path)))
    assert not list(tmp_path.glob("**/PWNED"))


class TestPictures:
    def test_rgb_keeps_every_pixel(self, tmp_path):
        rgb = np.random.default_rng(0).integers(0, 256, (300, 7, 3), dtype=np.uint8)  # higher than one band
        np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", Image.fromarray(rgb))), rgb)

    @pytest.mark.parametrize("suffix", [".bmp", ".webp", ".PNG", ".jpg", ".jpeg"])
    def test_other_formats(self, tmp_path, suffix):
        rgb = Image.new("RGB", (4, 3), (200, 100, 50))
        options = {"lossless": True} if suffix == ".webp" else {"quality": 100} if "j" in suffix else {}
        got = pixels(saved(tmp_path / f"a{suffix}", rgb, **options))
        assert got.shape == (3, 4, 3)
        np.testing.assert_allclose(got, np.broadcast_to([200, 100, 50], (3, 4, 3)), atol=2 if "j" in suffix else 0)

    def test_grey_has_one_channel(self, tmp_path):
        grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
        np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", Image.fromarray(grey))), grey[..., None])

    def test_black_and_white(self, tmp_path):
        image = Image.fromarray(np.eye(3) > 0)
        np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", image))[..., 0], 255 * np.eye(3))

    def test_16_bit_grey_is_scaled_and_not_clipped(self, tmp_path):
        deep = np.array([[0, 257, 1000, 65535]], np.uint16)
        got = pixels(saved(tmp_path / "a.png", Image.fromarray(deep)))
        np.testing.assert_allclose(got[..., 0], [[0, 1, 1000 / 257, 255]], rtol=1e-6)

    def test_palette_shows_its_colours(self, tmp_path):
        image = Image.new("RGB", (2, 2), (10, 20, 30)).quantize(2)
        np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", image))[0, 0], [10, 20, 30])

    @pytest.mark.parametrize(("alpha", "expected"), [(0, [255, 255, 255]), (255, [100, 0, 200]), (51, [224, 204, 244])])
    def test_transparency_is_blended_onto_white(self, tmp_path, alpha, expected):
        image = Image.new("RGBA", (2, 2), (100, 0, 200, alpha))
        np.testing.assert_array_equal(pixels(saved(tmp_path / "a.png", image))[1, 1], expected)

    def test_transparent_grey_stays_grey(self, tmp_path):
        got = pixels(saved(tmp_path / "a.png", Image.new("LA", (2, 2), (10, 0))))
        np.testing.assert_array_equal(got, np.full((2, 2, 1), 255))

    def test_transparent_colour_key(self, tmp_path):
        image = Image.fromarray(np.array([[0, 9]], np.uint8))
        got = pixels(saved(tmp_path / "a.png", image, transparency=9))
        np.testing.assert_array_equal(got[..., 0], [[0, 255]])

    def test_cmyk_becomes_rgb(self, tmp_path):
        got = pixels(saved(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=100))
        np.testing.assert_allclose(got[4, 4], [255, 0, 0], atol=3)

    def test_exif_orientation_is_applied(self, tmp_path):
        exif = Image.Exif()
        exif[0x112] = 6  # the camera was turned: the stored left column is the top row
        stored = np.zeros((2, 3, 3), np.uint8)
        stored[:, 0] = 255
        got = pixels(saved(tmp_path / "a.png", Image.fromarray(stored), exif=exif))
        assert got.shape == (3, 2, 3)
        np.testing.assert_array_equal(got[:, :, 0], [[255, 255], [0, 0], [0, 0]])

    def test_the_content_counts_not_the_ending(self, tmp_path):
        assert pixels(saved(tmp_path / "a.png", Image.new("RGB", (5, 4)), format="JPEG")).shape == (4, 5, 3)


class TestHostilePictures:
    @pytest.mark.parametrize("size", [(8001, 8000), (10000, 10000), (60000, 60000), (2**31 - 1, 2**31 - 1)])
    def test_too_many_pixels(self, tmp_path, size):
        assert size[0] * size[1] > MAX_PIXELS
        path = tmp_path / "a.png"
        path.write_bytes(png_header(*size))
        refused(path, "64 million pixels", "scale it down")

    def test_the_pixel_limit_does_not_refuse_the_allowed(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(png_header(8000, 8000))
        assert "pixels" not in refused(path)  # it fails for its missing content

    def test_postscript_behind_a_png_name(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n")
        refused(path, "not a PNG, JPEG, WebP or BMP")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
    def test_truncated(self, tmp_path, suffix):
        path = saved(tmp_path / f"a{suffix}", Image.effect_noise((64, 64), 90).convert("RGB"))
        path.write_bytes(path.read_bytes()[:400])
        refused(path)

    def test_compressed_text_bomb(self, tmp_path):
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_text("k", "A" * 5_000_000, zip=True)
        refused(saved(tmp_path / "a.png", Image.new("L", (1, 1)), pnginfo=text), "ecompressed")

    @pytest.mark.parametrize("suffix", [".png", ".webp"])
    def test_animation(self, tmp_path, suffix):
        frames = [Image.new("RGB", (8, 8), (i, i, i)) for i in (0, 99, 255)]
        path = saved(tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:])
        refused(path, "animation", "PNG")

    def test_a_cameras_preview_is_no_animation(self, tmp_path):
        photo, preview = Image.new("RGB", (32, 16)), Image.new("RGB", (8, 4))
        path = saved(tmp_path / "a.jpg", photo, format="MPO", save_all=True, append_images=[preview])
        assert pixels(path).shape == (16, 32, 3)

    def test_broken_metadata_does_not_hide_the_picture(self, tmp_path):
        path = saved(tmp_path / "a.jpg", Image.new("RGB", (8, 8)), exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
        assert pixels(path).shape == (8, 8, 3)


class TestArrays:
    @pytest.mark.parametrize("dtype", ["?", "u1", "i8", "<f2", ">f4", ">i2", "f8"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_numbers_come_native_and_in_c_order(self, tmp_path, dtype, order):
        array = np.asarray(np.arange(6).reshape(2, 3), dtype, order=order)
        np.save(tmp_path / "a.npy", array)
        got = read_input(tmp_path / "a.npy")
        np.testing.assert_array_equal(got, array)
        assert got.dtype == array.dtype.newbyteorder("=")
        assert got.dtype.isnative
        assert got.flags.c_contiguous
        assert got.flags.writeable

    def test_a_scalar_and_nan_survive(self, tmp_path):
        np.save(tmp_path / "a.npy", np.float64("nan"))
        got = read_input(tmp_path / "a.npy")
        assert got.shape == ()
        assert np.isnan(got)

    def test_header_version_2(self, tmp_path):
        with (tmp_path / "a.npy").open("wb") as file:
            np.lib.format.write_array(file, np.arange(3), version=(2, 0))
        np.testing.assert_array_equal(read_input(tmp_path / "a.npy"), [0, 1, 2])

    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_npz_is_a_dict_of_its_members(self, tmp_path, save):
        save(tmp_path / "a.npz", **{"ids": np.arange(4), "inputs/x:0": np.ones((2, 2), ">f4")})
        got = read_input(tmp_path / "a.npz")
        assert list(got) == ["ids", "inputs/x:0"]
        np.testing.assert_array_equal(got["ids"], np.arange(4))
        assert got["inputs/x:0"].dtype == np.float32
        assert got["inputs/x:0"].dtype.isnative


class Boom:
    def __reduce__(self):
        return os.system, ("touch ./PWNED",)


class TestHostileArrays:
    def test_pickles_are_not_executed(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("raw.npy").write_bytes(pickle.dumps(Boom()))
        np.save("object.npy", np.array([Boom()], object), allow_pickle=True)
        zipped("object.npz", ("a.npy", Path("object.npy").read_bytes()))
        refused("raw.npy")
        refused("object.npy", "not plain numbers")
        refused("object.npz", "not plain numbers", "'a.npy'")
        assert not Path("PWNED").exists()

    @pytest.mark.parametrize(
        ("header", "data"),
        [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }", b""),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }", b"\0" * 16),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", b"\0" * 15),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", b"\0" * 17),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 3000 + ")" * 3000 + ", }", b""),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': " + "-" * 9000 + "1, }", b""),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }", b""),
            ("{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
            ("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
            ("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8),
            ("__import__('os').system('touch PWNED')", b""),
        ],
    )
    def test_headers_that_lie(self, tmp_path, monkeypatch, header, data):
        monkeypatch.chdir(tmp_path)
        Path("a.npy").write_bytes(npy(header, data))
        zipped("a.npz", ("x.npy", npy(header, data)))
        refused("a.npy")
        refused("a.npz")
        assert not Path("PWNED").exists()

    @pytest.mark.parametrize("array", [np.zeros(3, [("a", "f4"), ("b", "U5")]), np.array(["x"]), np.array([b"x"])])
    def test_structured_and_text(self, tmp_path, array):
        np.save(tmp_path / "a.npy", array)
        refused(tmp_path / "a.npy", "not plain numbers")

    def test_a_header_of_gigabytes_is_not_read(self, tmp_path):
        path = tmp_path / "a.npy"
        path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 31) + b" " * 100)
        refused(path)
        head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 25) + b" " * (1 << 25)
        path = zipped(tmp_path / "a.npz", ("a.npy", head), compression=zipfile.ZIP_DEFLATED)
        tracemalloc.start()
        try:
            refused(path)
            assert tracemalloc.get_traced_memory()[1] < 1 << 22
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("name", ["../a.npy", "b/../../a.npy", "..\\a.npy", "a.txt", "a"])
    def test_member_names(self, tmp_path, name):
        refused(zipped(tmp_path / "a.npz", (name, npy_of(np.zeros(2)))), "plain name")

    def test_duplicate_members(self, tmp_path):
        member = ("a.npy", npy_of(np.zeros(2)))
        refused(zipped(tmp_path / "a.npz", member, member), "two members 'a.npy'")

    def test_no_and_too_many_members(self, tmp_path):
        refused(zipped(tmp_path / "no.npz"), "0 arrays")
        refused(zipped(tmp_path / "many.npz", *((f"{i}.npy", b"") for i in range(1025))), "1025 arrays")

    def test_unusual_compression(self, tmp_path):
        path = zipped(tmp_path / "a.npz", ("a.npy", npy_of(np.zeros(2))), compression=zipfile.ZIP_LZMA)
        refused(path, "unusual way")

    def test_total_size_is_limited(self, tmp_path, monkeypatch):
        monkeypatch.setattr("onnx_lrp.pictures.arrayfiles.MAX_BYTES", 1000)
        one, two = (("a.npy", npy_of(np.zeros(50))), ("b.npy", npy_of(np.zeros(50))))
        assert set(read_input(zipped(tmp_path / "one.npz", one))) == {"a"}
        refused(zipped(tmp_path / "both.npz", one, two), "GiB")

    def test_a_member_larger_than_the_directory_says(self, tmp_path):
        path = zipped(tmp_path / "a.npz", ("a.npy", npy_of(np.zeros(50))), compression=zipfile.ZIP_DEFLATED)
        data = path.read_bytes()
        assert data.count(struct.pack("<I", 128 + 400)) == 2
        path.write_bytes(data.replace(struct.pack("<I", 128 + 400), struct.pack("<I", 128 + 40)))
        refused(path)

    def test_not_a_zip(self, tmp_path):
        path = tmp_path / "a.npz"
        path.write_bytes(npy_of(np.zeros(2)))
        refused(path)


class TestPaths:
    def test_unknown_ending(self, tmp_path):
        path = tmp_path / "a.gif"
        path.write_bytes(b"GIF89a")
        refused(path, "'.gif'", ".png", ".npz")

    def test_missing_folder_and_empty(self, tmp_path):
        refused(tmp_path / "none.png", "no such file")
        refused(tmp_path, "is a folder")
        (tmp_path / "empty.npy").touch()
        refused(tmp_path / "empty.npy", "is empty")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.png")
        refused(tmp_path / "pipe.png", "not a regular file")

    @pytest.mark.parametrize("name", ["nul\0.png", "line\nbreak\x1b[31m.png", "x" * 300 + ".png"])
    def test_odd_names(self, tmp_path, name):
        refused(str(tmp_path / name))

    def test_a_plain_string_is_a_path(self, tmp_path):
        np.save(tmp_path / "ä.npy", np.arange(2))
        assert read_input(str(tmp_path / "ä.npy")).shape == (2,)
