"""Read what a user wants explained: a picture, an array (.npy) or several named arrays (.npz).

The files may come from anywhere. Nothing in them is executed, and no size that a file only *claims* is allocated
before it was compared with the bytes that are there.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import stat
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..text import printable

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
ARRAYS = (".npy", ".npz")
MAX_PIXELS = 64_000_000
MAX_FILE = 8 * MAX_PIXELS  # no picture of so many pixels is larger, not even a raw one with 16 bits and alpha
MAX_BYTES = 2 << 30
MAX_MEMBERS = 1024
MAX_HEADER = 1 << 14
BAND = 256


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels as they are seen: ``pixels`` is float32 (H, W, 1) for grey or (H, W, 3) for RGB, from 0 to 255."""

    pixels: NDArray[np.float32]


_Content = Picture | NDArray[Any] | dict[str, NDArray[Any]]


def read_input(path: str | os.PathLike[str]) -> _Content:
    """Read one file by its ending: a `Picture`, one array from .npy, or {member name: array} from .npz.

    A picture is turned upright by its EXIF tag, blended onto white where it is transparent, and has at most 64
    million pixels. Arrays keep their shape and their number type (bool, integer or float) and come in native byte
    order and C order; they may hold NaN. All arrays of a file together have at most 2 GiB.

    Raises:
        InputError: no such file, unknown ending, damaged, too large, or anything but numbers inside.

    """
    with _named(os.fspath(path)):
        size, ending = _checked_file(Path(path))
        with open(path, "rb") as file:
            return _content(file, size, ending)


def read_bytes(data: bytes, ending: str, name: str) -> _Content:
    """What :func:`read_input` gives for a file of this content.

    Args:
        data: the whole file.
        ending: of its name, as ``".png"``.
        name: what messages call it.

    Raises:
        InputError: as for :func:`read_input`.
    """
    with _named(name):
        _check_size(len(data), ending.lower())
        return _content(io.BytesIO(data), len(data), ending.lower())


def bytes_of(path: str | os.PathLike[str], name: str = "") -> tuple[bytes, str]:
    """All of a file that :func:`read_bytes` can read, and its ending; ``name`` is what messages call it.

    Raises:
        InputError: no such file, no regular one, one of an unknown ending, or one that is too large.
    """
    with _named(name or os.fspath(path)):
        size, ending = _checked_file(Path(path))
        with open(path, "rb") as file:
            return file.read(size), ending  # no more than was checked, should it grow


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    """Whatever goes wrong is an InputError that names the file."""
    shown = repr(name)  # repr, since a file name may hold a line break or a terminal's control characters
    try:
        yield
    except InputError as error:
        raise InputError(f"{shown}: {error}") from None
    except FileNotFoundError:
        raise InputError(f"{shown}: no such file; check the path") from None
    except Exception as error:  # parsers of damaged files raise nearly everything, MemoryError included
        said = printable(str(error)) or type(error).__name__
        raise InputError(f"{shown}: cannot be read ({said}); check the path, or save the file again") from error


def _checked_file(path: Path) -> tuple[int, str]:
    status, ending = path.stat(), path.suffix.lower()
    if stat.S_ISDIR(status.st_mode):
        raise InputError("is a folder; name one file in it")
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        raise InputError("not a regular file; save its content to a file first")
    _check_size(status.st_size, ending)
    return status.st_size, ending


def _check_size(size: int, ending: str) -> None:
    if ending not in (*PICTURES, *ARRAYS):
        raise InputError(f"unknown file type {ending!r}; give one of {', '.join((*PICTURES, *ARRAYS))}")
    if size == 0:
        raise InputError("the file is empty; save it again")
    if ending in PICTURES and size > MAX_FILE:
        raise InputError(f"{size >> 20} MiB are more than any picture has that can be read; save it again")
    if ending in ARRAYS:
        _check_bytes(size - MAX_HEADER * MAX_MEMBERS)


def _content(file: IO[bytes], size: int, ending: str) -> _Content:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken metadata, old file versions: readable all the same
        if ending == ".npy":
            return _npy(file, size)
        return _npz(file) if ending == ".npz" else _picture(file)


def pixels_of(image: Image) -> NDArray[np.float32]:
    """One of Pillow's pictures as :class:`Picture` holds it: upright, on white, float32 from 0 to 255.

    Raises:
        InputError: it has no pixels.
    """
    if not image.width * image.height:
        raise InputError("the picture has no pixels")
    return _pixels(_as_seen(image.copy()))


def _picture(file: IO[bytes]) -> Picture:
    return Picture(_pixels(_as_seen(_header_checked(file))))


def _pixels(image: Image) -> NDArray[np.float32]:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        return np.asarray((np.asarray(image, np.float32) / np.float32(257))[..., None])
    pixels = np.empty((image.height, image.width, len(image.getbands())), np.float32)
    for top in range(0, image.height, BAND):  # Pillow hands pixels out as copies; small ones save memory
        band = image.crop((0, top, image.width, min(top + BAND, image.height)))
        pixels[top : top + BAND] = np.asarray(band).reshape(band.height, band.width, -1)
    return pixels


def _as_seen(image: Image) -> Image:
    from PIL import ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):
        return image
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        return _on_white(image, mode)
    return image if image.mode == mode else image.convert(mode)


def _header_checked(file: IO[bytes]) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        # The ending is no proof: without this list a .png that is PostScript would be run by Ghostscript.
        image = Image.open(file, formats=("PNG", "JPEG", "WEBP", "BMP"))
    except UnidentifiedImageError:
        raise InputError("not a PNG, JPEG, WebP or BMP picture; convert it to PNG") from None
    except Image.DecompressionBombError:  # Pillow's own limit, above ours
        raise InputError(f"more than {MAX_PIXELS // 10**6} million pixels; scale it down") from None
    if image.width * image.height > MAX_PIXELS:  # nothing is decoded yet
        size = f"{image.width} x {image.height}"
        raise InputError(f"{size} is more than {MAX_PIXELS // 10**6} million pixels; scale it down")
    # Many cameras store a preview as the second frame of a JPEG ("MPO"), which does not make it an animation.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise InputError("is an animation; save the one frame to explain as a PNG")
    return image


def _on_white(image: Image, mode: str) -> Image:
    from PIL import Image as Pillow

    image = image.convert(mode + "A")
    white = Pillow.new(mode, image.size, "white")
    white.paste(image.convert(mode), mask=image.getchannel("A"))
    return white


def _npz(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(file) as archive:
        members = checked_members(archive)
        _check_bytes(sum(member.file_size for member in members))  # the most that zipfile unpacks, whatever is inside
        arrays = {}
        for member in members:
            try:
                with archive.open(member) as stream:
                    arrays[member.filename.removesuffix(".npy")] = _npy(stream, member.file_size)
            except InputError as error:
                raise InputError(f"its member {member.filename!r}: {error}") from None
    return arrays


def checked_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The arrays of .npz.

    Raises:
        InputError: there are none or too many, or one has a name or a compression that numpy.savez does not give.
    """
    members = archive.infolist()
    names = [member.filename for member in members]
    if not 0 < len(names) <= MAX_MEMBERS:
        raise InputError(f"holds {len(names)} arrays; between 1 and {MAX_MEMBERS} can be read")
    for member in members:
        name = member.filename
        if not name.endswith(".npy") or ".." in name.replace("\\", "/").split("/"):
            raise InputError(f"its member {name!r} is no array of a plain name; write the file with numpy.savez")
        if names.count(name) > 1:
            raise InputError(f"holds two members {name!r}; give every array its own name")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # an LZMA dictionary takes GiBs
            raise InputError(f"its member {name!r} is packed in an unusual way; write the file with numpy.savez")
    return members


def _check_bytes(size: int) -> None:
    if size > MAX_BYTES:
        raise InputError(f"holds {size / (1 << 30):.1f} GiB, more than {MAX_BYTES >> 30} GiB; give fewer samples")


def _npy(stream: IO[bytes], size: int) -> NDArray[Any]:
    header = array_header(stream, size)
    _check_bytes(header.bytes)
    stream.seek(0)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    return np.asarray(array, header.dtype.newbyteorder("="), order="C")


@dataclass(frozen=True)
class ArrayHeader:
    """What .npy says before its numbers, which begin after ``start`` bytes; ``columns``: in Fortran's order."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    columns: bool
    start: int

    @property
    def bytes(self) -> int:
        """How many follow."""
        return math.prod(self.shape) * self.dtype.itemsize


def array_header(stream: IO[bytes], size: int, kinds: str = "biuf") -> ArrayHeader:
    """Read the header of .npy, of which ``size`` bytes are there in all; ``kinds`` of numbers are allowed.

    Raises:
        InputError: no numbers, or not as many as it claims.
    """
    head = io.BytesIO(stream.read(MAX_HEADER))  # a header may claim to be gigabytes long, and numpy would read them
    header = _header(head)
    if header.dtype.kind not in kinds:
        raise InputError(f"holds {header.dtype!s:.80}, not plain numbers; save a bool, integer or float array")
    if any(length < 0 for length in header.shape):
        raise InputError(f"its header claims the shape {header.shape}; save it again")
    there = size - header.start
    if there != header.bytes:
        raise InputError(f"its header claims {header.bytes} bytes of numbers, but {there} are there; save it again")
    return header


def _header(head: io.BytesIO) -> ArrayHeader:
    version = np.lib.format.read_magic(head)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:  # 3.0 exists only for the field names of structured arrays
        raise InputError(f"is .npy of version {version[0]}.{version[1]}; save a plain array with numpy.save")
    shape, columns, dtype = readers[version](head)
    return ArrayHeader(shape, dtype, columns, head.tell())
