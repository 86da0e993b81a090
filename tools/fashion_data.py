"""Fashion-MNIST, which this repository does not carry, as Debian's package ``dataset-fashion-mnist`` holds it.

Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms"; MIT
licence, Zalando SE. The package is not installed: its archive is read, and the four files are kept in the cache.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fetch_models import FetchError, default_cache, write_atomically

PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("top", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
# SHA-256 of the files behind gzip, whose own bytes differ from one distributor to the next
FILES = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
Pictures = tuple[np.ndarray, np.ndarray]


def fashion_mnist(split: str = "t10k", source: Path | None = None) -> Pictures:
    """The training (``train``) or the test split (``t10k``).

    Args:
        split: ``train`` (60,000 pictures) or ``t10k`` (10,000).
        source: a folder with the four files, or the package's .deb; by default where the package installs them, else
            the cache, else what ``apt-get download`` brings into the cache.

    Returns:
        Pictures (N, 1, 28, 28), float32, grey value / 255, and classes (N,), int64.

    Raises:
        FetchError: the data cannot be had or are not the recorded ones; one line that says what to do.
    """
    read = reader(source)
    names = (f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz")
    images, labels = (idx(name, read(name)) for name in names)
    return images[:, None].astype(np.float32) / 255, labels.astype(np.int64)


def reader(source: Path | None) -> Callable[[str], bytes]:
    """A function that gives the content of one of the files by its name."""
    if source is not None and source.is_file():
        return unpacked(source.read_bytes(), source.name).__getitem__
    if source is not None and not source.is_dir():
        raise FetchError(f"{source} is neither a folder nor a .deb")
    folder = source or INSTALLED
    if source is None and not folder.is_dir():
        folder = default_cache() / PACKAGE
        if not all((folder / name).is_file() for name in FILES):
            for name, content in downloaded().items():
                write_atomically(folder / name, content)
    return lambda name: read_file(folder / name)


def read_file(path: Path) -> bytes:
    """A file of a folder."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FetchError(f"{path}: {error.strerror}; it is one of the four files of Fashion-MNIST") from None


def downloaded() -> dict[str, bytes]:
    """The four files out of the package, which ``apt-get`` fetches by its name."""
    remedy = f"install it with `apt-get install {PACKAGE}`, or name its .deb or a folder with {', '.join(FILES)}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                ["apt-get", "--quiet", "download", PACKAGE], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
        except OSError as error:
            raise FetchError(f"no Fashion-MNIST: apt-get: {error.strerror}; {remedy}") from None
        found = list(Path(folder).glob("*.deb"))
        if done.returncode or len(found) != 1:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise FetchError(f"no Fashion-MNIST: apt-get says {said!r}; {remedy}")
        return unpacked(found[0].read_bytes(), found[0].name)


def unpacked(archive: bytes, name: str) -> dict[str, bytes]:
    """The four files of a .deb, in memory: nothing that the archive says can name a place on disk."""
    prefix = f".{INSTALLED}/"
    try:
        with tarfile.open(fileobj=io.BytesIO(ar_member(archive, "data.tar.xz")), mode="r:xz") as tar:
            streams = {file: tar.extractfile(prefix + file) for file in FILES}
            return {file: stream.read() for file, stream in streams.items() if stream}
    except (KeyError, ValueError, tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise FetchError(f"{name} is not Debian's package {PACKAGE}: {error}") from None


def ar_member(archive: bytes, wanted: str) -> bytes:
    """One file of an ar archive, the outer shell of a .deb: headers of 60 bytes, contents padded to even length."""
    at = 8
    while archive[:at].startswith(b"!<arch>\n") and at + 60 <= len(archive):
        name, size = archive[at : at + 16].decode("ascii").strip().rstrip("/"), int(archive[at + 48 : at + 58])
        if name == wanted:
            return archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise ValueError(f"it holds no {wanted}")


def idx(name: str, compressed: bytes) -> np.ndarray:
    """An array of bytes out of a gzipped IDX file: two zeros, type, rank, sizes in big endian, then the values."""
    try:
        content = gzip.decompress(compressed)
    except (OSError, EOFError) as error:
        raise FetchError(f"{name} cannot be read: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != FILES[name]:
        raise FetchError(f"checksum mismatch: {name} has SHA-256 {found} unzipped, expected {FILES[name]}")
    rank = content[3]
    shape = np.frombuffer(content, ">u4", rank, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
