"""Read what a user wants explained: a picture, an array (.npy) or several named arrays (.npz).

The files may come from anywhere. Nothing in them is executed, and no size that a file only *claims* is allocated
before it was compared with the bytes that are there.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..text import printable
from .arrayfiles import MAX_HEADER, MAX_MEMBERS, check_bytes, npy_array, npz_arrays

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
ARRAYS = (".npy", ".npz")
MAX_PIXELS = 64_000_000
MAX_FILE = 8 * MAX_PIXELS  # no picture of so many pixels is larger, not even a raw one with 16 bits and alpha
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
        check_bytes(size - MAX_HEADER * MAX_MEMBERS)


def _content(file: IO[bytes], size: int, ending: str) -> _Content:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # broken metadata, old file versions: readable all the same
        if ending == ".npy":
            return npy_array(file, size)
        return npz_arrays(file) if ending == ".npz" else _picture(file)


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
