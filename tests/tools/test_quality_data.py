"""The data that nets are judged on: Fashion-MNIST without the network, digits and photographs as they are."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
COUNTS = {"train": 3, "t10k": 2}


@pytest.fixture
def data(monkeypatch, tmp_path):
    """The reader of Fashion-MNIST, with checksums of a small made-up one, nothing installed and an empty cache."""
    monkeypatch.syspath_prepend(str(TOOLS))
    import fashion_data

    monkeypatch.setenv("ONNX_LRP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_data, "INSTALLED", Path("/usr/share/datasets/made-up"))
    sums = {name: hashlib.sha256(gzip.decompress(content)).hexdigest() for name, content in small_files().items()}
    monkeypatch.setattr(fashion_data, "FILES", sums)
    return fashion_data


def idx_bytes(array: np.ndarray) -> bytes:
    """As http://yann.lecun.com/exdb/mnist describes it: 0, 0, 8 for bytes, the rank, then big endian sizes."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(head + array.tobytes())


def small_files() -> dict[str, bytes]:
    files = {}
    for split, count in COUNTS.items():
        pixels = np.arange(count * 28 * 28).reshape(count, 28, 28) % 256
        files[f"{split}-images-idx3-ubyte.gz"] = idx_bytes(pixels.astype(np.uint8))
        files[f"{split}-labels-idx1-ubyte.gz"] = idx_bytes(np.arange(count, dtype=np.uint8) + 7)
    return files


def deb(files: dict[str, bytes], prefix: str = "./usr/share/datasets/made-up/") -> bytes:
    """An ar archive, as deb(5) lays it out; control has an odd length, which takes a byte of padding."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": stream.getvalue()}
    out = b"!<arch>\n"
    for name, content in parts.items():
        out += f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def check(found: tuple[np.ndarray, np.ndarray], count: int) -> None:
    images, labels = found
    assert images.shape == (count, 1, 28, 28)
    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    assert labels.tolist() == list(range(7, 7 + count))
    assert images[1, 0, 2, 3] == np.float32((784 + 2 * 28 + 3) % 256 / 255)


def test_a_folder_and_an_archive_give_both_splits(data, tmp_path):
    (tmp_path / "small.deb").write_bytes(deb(small_files()))
    for source in (written(tmp_path / "folder", small_files()), tmp_path / "small.deb"):
        for split, count in COUNTS.items():
            check(data.fashion_mnist(split, source), count)


def test_what_is_installed_comes_first_then_the_cache(data, monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked for the network"))
    written(tmp_path / "cache", {})
    written(tmp_path / "cache" / data.PACKAGE, small_files())
    check(data.fashion_mnist(), 2)
    monkeypatch.setattr(data, "INSTALLED", written(tmp_path / "installed", small_files()))
    for name in small_files():
        (tmp_path / "cache" / data.PACKAGE / name).unlink()
    check(data.fashion_mnist(), 2)


def apt(monkeypatch, archive: bytes | None, calls: list[list[str]]) -> None:
    """apt-get as it would bring this archive, or complain."""

    def run(command, cwd, **_):
        calls.append(command)
        if archive is not None:
            (Path(cwd) / "some.deb").write_bytes(archive)
        failed = archive is None
        return subprocess.CompletedProcess(
            command, 100 * failed, "", "W: first\nE: Unable to locate package\n" * failed
        )

    monkeypatch.setattr(subprocess, "run", run)


def test_it_is_fetched_once(data, monkeypatch, tmp_path):
    calls: list[list[str]] = []
    apt(monkeypatch, deb(small_files()), calls)
    for _ in range(2):
        check(data.fashion_mnist(), 2)
    assert [command[-1] for command in calls] == [data.PACKAGE]
    assert sorted(path.name for path in (tmp_path / "cache" / data.PACKAGE).iterdir()) == sorted(small_files())


def test_without_a_package_one_line_says_what_to_do(data, monkeypatch):
    apt(monkeypatch, None, [])
    with pytest.raises(
        data.FetchError, match=r"Unable to locate package.*apt-get install dataset-fashion-mnist"
    ) as told:
        data.fashion_mnist()
    assert "\n" not in str(told.value)


def test_without_apt_one_line_says_what_to_do(data, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(data.FetchError, match=r"apt-get: No such file.*or name its \.deb"):
        data.fashion_mnist()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "No such file"),
        ({"t10k-images-idx3-ubyte.gz": b"no gzip"}, "cannot be read"),
        ({"t10k-images-idx3-ubyte.gz": idx_bytes(np.zeros((2, 28, 28), np.uint8))}, "checksum mismatch"),
    ],
)
def test_a_folder_with_something_else_is_refused(data, tmp_path, files, told):
    with pytest.raises(data.FetchError, match=f"t10k-images.*{told}|{told}.*t10k-images"):
        data.fashion_mnist("t10k", written(tmp_path / "folder", files))


STRANGE = (b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 99, deb({}), deb(small_files(), "./elsewhere/"))


@pytest.mark.parametrize("content", STRANGE)
def test_another_archive_is_refused(data, tmp_path, content):
    (tmp_path / "other.deb").write_bytes(content)
    with pytest.raises(data.FetchError, match=r"other\.deb is not Debian's package"):
        data.fashion_mnist("t10k", tmp_path / "other.deb")


def test_a_path_that_is_nowhere_is_refused(data, tmp_path):
    with pytest.raises(data.FetchError, match="neither a folder nor a"):
        data.fashion_mnist("t10k", tmp_path / "nowhere")


@pytest.fixture
def quality(data):
    import quality_data

    return quality_data


def test_fashion_gives_as_many_as_asked(quality, tmp_path):
    folder = written(tmp_path / "folder", small_files())
    assert len(quality.fashion(1, folder)[0]) == len(quality.fashion(1, folder)[1]) == 1
    with pytest.raises(quality.InputError, match="3 pictures asked for; there are 2"):
        quality.fashion(3, folder)


def test_digits_are_those_held_out(quality, monkeypatch):
    """Against the split of the script that trains on the others."""
    monkeypatch.syspath_prepend(str(TOOLS.parent / "models"))
    import train_mnist

    _, (images, labels) = train_mnist.load_digits()
    x, classes = quality.digits(1000)
    order = np.argsort(classes, kind="stable")
    assert np.array_equal(x[order], images.numpy())
    assert np.array_equal(classes[order], labels.numpy())
    assert quality.digits(20)[1].tolist() == [*range(10)] * 2
    for count in (0, 1001):
        with pytest.raises(quality.InputError, match="there are 1000"):
            quality.digits(count)


def test_photographs(quality):
    """Within the net's bounds; mirrored in pairs; the first is what the command line would make of the photograph."""
    from skimage import data

    x = quality.photographs("imagenet", 64)
    assert x.shape == (50, 3, 64, 64)
    assert np.abs(x[0::2] - x[1::2, :, :, ::-1]).max() < 1e-4
    prepare = quality.Preprocessing.create("imagenet")
    assert np.array_equal(x[0], prepare.apply(data.astronaut(), (1, 3, 64, 64))[0])
    low, high = prepare.bounds((1, 3, 64, 64))
    assert (x >= low).all()
    assert (x <= high).all()
    assert len({crop.tobytes() for crop in x}) == 50
