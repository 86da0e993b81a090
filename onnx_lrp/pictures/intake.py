"""From what Python users have at hand to what a model is fed: paths, Pillow's pictures, bytes as cameras give them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..model.graph import dims
from ..text import printable
from .conventions import Convention
from .labels import LabelSource, read_labels
from .layout import Layout
from .metadata import Beside, findings
from .preprocessing import PREPROCESSINGS, Preprocessing, named_size
from .reading import Picture, pixels_of, read_input

if TYPE_CHECKING:
    import onnx_ir as ir

UNSAID = "zero-one"  # how pictures are prepared where nobody said it
ZERO_ONE_TAKEN = (
    f"nobody said how the model's pictures are prepared: they are taken as {UNSAID} (pixel / 255); say it (in Python "
    "preprocessing='imagenet', for example)"
)
NUMBERS_OF_WORDS = ("INT8", "INT16", "INT32", "INT64", "UINT16", "UINT32", "UINT64", "BOOL", "STRING")


@dataclass(frozen=True)
class Intake:
    """What somebody said of a model's pictures and classes.

    Attributes:
        said: how pictures become inputs; None if nobody said it.
        name: the preset's, if it was asked for by name.
        labels: names of the classes, empty if nobody gave them.
        beside: the files next to the model.
    """

    said: Preprocessing | None = None
    name: str | None = None
    labels: tuple[str, ...] = ()
    beside: Beside = field(default_factory=Beside)

    @staticmethod
    def of(given: str | Preprocessing | None, labels: LabelSource, model: Any) -> Intake:
        """What the arguments ``preprocessing`` and ``labels`` of an explainer mean.

        Raises:
            InputError: no such preset, labels that cannot be read, or something else.
        """
        path = Path(model) if isinstance(model, str | os.PathLike) else None
        known = Intake(labels=read_labels(labels), beside=Beside.of(path))
        if given is None:
            return known
        if isinstance(given, Preprocessing):
            return replace(known, said=given)
        if not isinstance(given, str):
            raise InputError(f"preprocessing is a preset's name or a Preprocessing, not a {type(given).__name__}")
        return replace(known, said=Preprocessing.create(given), name=given)

    def way(self, model: ir.Model) -> Way:
        """How pictures become inputs of this model: as it was said, or as its own files say, or by default."""
        size = named_size(model.metadata_props)
        if self.said is not None:
            named = self.name is not None
            own = Convention(f"--preprocess {self.name}" if named else "these numbers", self.said)
            return Way(own if size is None or not named else _in_size(own, size), settled=not named)
        finding = next(findings(model, self.beside), None)
        if finding is not None:
            return Way(_in_size(Convention(f"what {finding.where} says", finding.preprocessing), size), settled=True)
        assumed = Convention(f"--preprocess {UNSAID} (the default)", PREPROCESSINGS[UNSAID])
        return Way(_in_size(assumed, size), ZERO_ONE_TAKEN)


@dataclass(frozen=True)
class Way:
    """How pictures become inputs, and what it is called.

    Attributes:
        convention: the numbers.
        warning: what there is to say of it, or nothing.
        settled: whether it is not to be doubted: numbers that somebody gave, or the model's own files.
    """

    convention: Convention
    warning: str = ""
    settled: bool = False


@dataclass(frozen=True)
class Taken:
    """What a model is fed, and the first picture among it: float32 (H, W, 1) or (H, W, 3), 0 to 255, and its input."""

    feeds: Any
    first: tuple[str, np.ndarray] | None = None


def take(x: Any, declared: Sequence[ir.Value], preprocessing: Callable[[], Preprocessing]) -> Taken:
    """Prepare the pictures in ``x``; all else stays as it is.

    Args:
        x: what an explainer is called with.
        declared: the model's inputs.
        preprocessing: gives how pictures become inputs.

    Raises:
        InputError: a file that cannot be read, or a picture that does not fit the model.
    """
    values = {value.name or "": value for value in declared}
    if isinstance(x, str | os.PathLike) and not _is_words(declared):
        content = read_input(x)
        x = content if isinstance(content, dict | np.ndarray) else [content]
        if isinstance(x, dict) and list(x) == ["arr_0"] and len(values) == 1:  # as numpy.savez calls a nameless array
            x = x["arr_0"]
    if isinstance(x, Mapping):
        given = {str(name): data for name, data in x.items()}
    elif len(values) == 1:
        given = dict.fromkeys(values, x)
    elif isinstance(x, list | tuple) and len(x) == len(values):
        given = dict(zip(values, x))
    else:
        return Taken(x)
    found = {name: pictures(data, values[name]) for name, data in given.items() if name in values}
    pixels = {name: some for name, some in found.items() if some}
    if not pixels:
        return Taken(x)
    how = preprocessing()
    fed = {name: prepared_batch(some, values[name], how) for name, some in pixels.items()}
    name, some = next(iter(pixels.items()))
    return Taken({**given, **fed}, (name, some[0]))


def prepared_picture(pixels: np.ndarray, value: ir.Value, preprocessing: Preprocessing) -> np.ndarray:
    """One picture as an input of the model, float32, with a batch axis of 1 where it has one.

    Raises:
        InputError: the input takes no pictures, or does not say its shape.
    """
    name, kind = printable(value.name or ""), value.dtype.name if value.dtype is not None else "FLOAT"
    if kind in NUMBERS_OF_WORDS:
        raise InputError(
            f"a picture was given, but the input {name!r} takes {kind.lower()}: ids of tokens or classes; give an "
            ".npy, or a .txt with sentences and --tokenizer FILE.json"
        )
    shape = dims(value)
    if shape is None:
        raise InputError("the model does not say its input's shape; give an .npy")
    return preprocessing.apply(pixels, shape)


def pictures(data: Any, value: ir.Value) -> list[np.ndarray]:
    """The pixels of every picture, float32 (H, W, 1) or (H, W, 3); none if ``data`` is something else.

    Raises:
        InputError: a file that cannot be read, or some pictures among other things.
    """
    if isinstance(data, np.ndarray) or hasattr(data, "detach"):
        return _of_array(data.detach().cpu().numpy() if hasattr(data, "detach") else data, value)
    if not isinstance(data, list | tuple):
        alone = _one(data, value)
        return [] if alone is None else [alone]
    listed = [_one(item, value) for item in data]
    found = [item for item in listed if item is not None]
    if found and len(found) < len(listed):
        raise InputError("a list holds pictures and other things; give pictures alone, or one array")
    return found


def _one(item: Any, value: ir.Value) -> np.ndarray | None:
    """The pixels of a picture, a path or Pillow's own, or None."""
    if isinstance(item, str | os.PathLike) and not _is_words([value]):
        content = read_input(item)
        if not isinstance(content, Picture):
            raise InputError(f"{printable(str(Path(item)), 4096)}: holds arrays; load them with numpy and give these")
        return content.pixels
    if isinstance(item, Picture):
        return item.pixels
    if type(item).__module__.startswith("PIL."):
        return pixels_of(item)
    if isinstance(item, np.ndarray):
        some = _of_array(item, value)
        return some[0] if len(some) == 1 else None
    return None


def axes_of_bytes(dtype: np.dtype[Any], given: Sequence[int], value: ir.Value) -> str:
    """How an array is one of pictures for an input, as :meth:`Layout.axes_of` says it; "" if it is none.

    Args:
        dtype: the array's: bytes are pictures, unless the model takes bytes itself.
        given: the array's shape.
        value: the input.
    """
    shape = dims(value)
    if dtype != np.uint8 or shape is None or value.dtype is None or not value.dtype.is_floating_point():
        return ""
    return Layout.of(shape).axes_of(given) if 1 <= len(shape) <= 4 and 0 not in given else ""


def any_picture(some: Iterable[Any], declared: Sequence[ir.Value]) -> bool:
    """Whether one of these is a picture, or holds bytes of some, for one of a model's inputs."""
    return any(
        isinstance(one, Picture)
        or (isinstance(one, np.ndarray) and any(axes_of_bytes(one.dtype, one.shape, value) for value in declared))
        for one in some
    )


def _of_array(array: np.ndarray, value: ir.Value) -> list[np.ndarray]:
    """The pictures that bytes are."""
    axes = axes_of_bytes(array.dtype, array.shape, value)
    if not axes:
        return []
    some = array if axes.startswith("N") else array[None]
    some = some if "C" in axes else some[..., None]
    some = some.transpose(0, 2, 3, 1) if axes.endswith("CHW") else some
    return [one.astype(np.float32) for one in some]


def prepared_batch(found: Sequence[np.ndarray], value: ir.Value, preprocessing: Preprocessing) -> np.ndarray:
    """Pictures as one input of the model.

    Raises:
        InputError: as for :func:`prepared_picture`, or they make no batch.
    """
    rows = [prepared_picture(pixels, value, preprocessing) for pixels in found]
    if len(rows) == 1:
        return rows[0]
    if not Layout.of(dims(value) or ()).batched or len({row.shape for row in rows}) > 1:
        raise InputError("the pictures do not make one batch for this model; give them one at a time, or one size")
    return np.concatenate(rows)


def _is_words(declared: Sequence[ir.Value]) -> bool:
    return any(value.dtype is not None and value.dtype.name == "STRING" for value in declared)


def _in_size(convention: Convention, size: tuple[int, int] | None) -> Convention:
    """Where the model leaves the size open, in the one that its metadata names."""
    wanted = convention.preprocessing.size
    if size is None or (wanted is not None and wanted != "native"):
        return convention
    return replace(convention, preprocessing=replace(convention.preprocessing, size=size))
