"""From the files on the command line to what the model is fed: batches where shapes allow it, else one by one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..inputs import check_inputs
from ..model.graph import dims
from ..pictures.intake import any_picture, pictures, prepared_batch
from ..pictures.layout import counts_samples
from ..pictures.lines import read_lines
from ..pictures.preprocessing import Preprocessing
from ..pictures.reading import PICTURES, Picture, read_input
from ..writing import shown

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Text:
    """Sentences, one per line."""

    lines: list[str]


Content = Picture | np.ndarray | dict[str, np.ndarray] | Text


@dataclass(frozen=True)
class File:
    """One file from the command line."""

    path: Path
    content: Content

    @property
    def parts(self) -> list[Picture | np.ndarray | Text]:
        """What is in it, one by one."""
        return list(self.content.values()) if isinstance(self.content, dict) else [self.content]


@dataclass(frozen=True)
class Sample:
    """What to call one sample: ``title`` on the terminal, ``stem`` in file names; ``picture`` if it came as one, or as
    bytes of one.
    """

    title: str
    stem: str
    picture: bool


@dataclass(frozen=True)
class Batch:
    """What one run of the explainer gets."""

    feeds: dict[str, np.ndarray]
    samples: tuple[Sample, ...]

    def counted(self, count: int) -> tuple[Sample, ...]:
        """The samples, once the model's answer tells how many they are: shapes alone may mislead."""
        first = self.samples[0]
        if count == len(self.samples):
            return self.samples
        return (first,) if count == 1 else tuple(_numbered(first, i) for i in range(count))

    def part(self, start: int, stop: int) -> Batch:
        """Some of the samples; the feeds must have one row for each, unless it is all of them."""
        if stop - start == len(self.samples):
            return self
        return Batch({name: array[start:stop] for name, array in self.feeds.items()}, self.samples[start:stop])


@dataclass(frozen=True)
class Feeder:
    """Fits files to the inputs of a model."""

    inputs: Sequence[ir.Value]
    preprocessing: Preprocessing
    source: str

    def batches(self, files: Sequence[File], most: int | None = None) -> list[Batch]:
        """Everything to explain, in the order of the command line; at most so many samples together, if possible.

        Raises:
            InputError: data that do not fit the model, or another number of files than it has inputs.
        """
        return [part for batch in self._all(files) for part in self._parts(batch, most or len(batch.samples))]

    def _all(self, files: Sequence[File]) -> list[Batch]:
        if len(self.inputs) == 1:
            return _named_apart([batch for run in self._runs(files) for batch in self._joined(run)])
        if all(isinstance(file.content, dict) for file in files):
            return _named_apart([self._from_names(file) for file in files])
        return [self._from_order(files)]

    def _parts(self, batch: Batch, most: int) -> list[Batch]:
        count = len(batch.samples)
        whole = self._fixed is not None or any(a.shape[:1] != (count,) for a in batch.feeds.values())
        starts = [0] if whole else range(0, count, most)
        return [batch.part(start, count if whole else min(start + most, count)) for start in starts]

    def _runs(self, files: Sequence[File]) -> Iterator[list[Batch]]:
        """Batches of one file each, grouped where the next one has the same shape as the one before."""
        run: list[Batch] = []
        for file in files:
            batch = self._alone(file)
            if run and _shapes(batch) != _shapes(run[-1]):
                yield run
                run = []
            run.append(batch)
        yield run

    def _alone(self, file: File) -> Batch:
        name = self.inputs[0].name or ""
        content = file.content
        if isinstance(content, dict) and list(content) == ["arr_0"]:  # as numpy.savez calls a nameless array
            content = content["arr_0"]
        if isinstance(content, dict):
            return self._from_names(file)
        return self._batch(file, {name: self._array(content, self.inputs[0], file)})

    def _from_names(self, file: File) -> Batch:
        assert isinstance(file.content, dict)
        fed = dict(file.content)
        for value in self.inputs:
            name = value.name or ""
            prepared = self._prepared(fed[name], value, file) if name in fed else None
            if prepared is not None:
                fed[name] = prepared
        return self._batch(file, fed)

    def _from_order(self, files: Sequence[File]) -> Batch:
        names = ", ".join(repr(shown(value.name or "")) for value in self.inputs)
        if len(files) != len(self.inputs):
            raise InputError(
                f"{len(files)} files given, but the model has {len(self.inputs)} inputs: {names}; give one .npz with "
                "an array for each, or one file for each in this order"
            )
        feeds = {}
        for file, value in zip(files, self.inputs):
            if isinstance(file.content, dict):
                raise InputError(f"{shown(file.path)}: an .npz stands for all inputs at once; give it alone")
            feeds[value.name or ""] = self._array(file.content, value, file)
        return self._batch(files[0], feeds)

    def _batch(self, file: File, feeds: dict[str, np.ndarray]) -> Batch:
        title, stem = shown(file.path), file.path.stem
        if self._fixed in (None, 1):  # else it takes several files to make a batch, which the explainer checks
            try:
                feeds = check_inputs(feeds, self.inputs, self.source)
            except InputError as error:
                raise InputError(f"{title}: {error}") from None
        batched = all(map(self._batched, self.inputs))
        count = max((len(array) for array in feeds.values() if batched and array.ndim), default=1)
        picture = any_picture(file.parts, self.inputs)
        return Batch(feeds, Batch(feeds, (Sample(title, stem, picture),)).counted(count))

    def _array(self, content: Picture | np.ndarray | Text, value: ir.Value, file: File) -> np.ndarray:
        assert not isinstance(content, Text), "sentences have become arrays"
        prepared = self._prepared(content, value, file)
        if prepared is not None:
            return prepared
        assert isinstance(content, np.ndarray)
        shape = dims(value)
        lacks_batch = shape is not None and content.ndim == len(shape) - 1 and self._batched(value)
        return content[None] if lacks_batch else content

    def _prepared(self, content: Picture | np.ndarray, value: ir.Value, file: File) -> np.ndarray | None:
        """A picture, or bytes of some, as an input; None of other arrays."""
        try:
            found = pictures(content, value)
            return prepared_batch(found, value, self.preprocessing) if found else None
        except InputError as error:
            raise InputError(f"{shown(file.path)}: {error}") from None

    def _batched(self, value: ir.Value) -> bool:
        return counts_samples(dims(value))

    @property
    def _fixed(self) -> int | None:
        """The size of the batch, where the model sets one."""
        shape = dims(self.inputs[0]) or [None]
        return shape[0] if isinstance(shape[0], int) and self._batched(self.inputs[0]) else None

    def _joined(self, run: list[Batch]) -> list[Batch]:
        """One batch of all, if the model takes that many."""
        total = sum(len(batch.samples) for batch in run)
        if len(run) < 2 or not self._batched(self.inputs[0]) or self._fixed not in (None, total):
            return run
        name = self.inputs[0].name or ""
        data = np.concatenate([batch.feeds[name] for batch in run])
        return [Batch({name: data}, tuple(sample for batch in run for sample in batch.samples))]


def read_files(paths: Sequence[str], texts: bool = False) -> list[File]:
    """Read every file, and of a folder all pictures in it; with ``texts``, a .txt has one sentence per line.

    Raises:
        InputError: one of them is not a picture, .npy or .npz that can be read, or a folder has no picture.
    """
    paths = [file for path in paths for file in _spread(path)]
    sentences = [texts and path.lower().endswith(".txt") for path in paths]
    return [File(Path(p), _sentences(p) if text else read_input(p)) for p, text in zip(paths, sentences)]


def _spread(path: str) -> list[str]:
    """The file; of a folder the pictures in it, by name."""
    if not os.path.isdir(path):  # unlike Path.is_dir, it takes any name
        return [path]
    found = sorted(str(file) for file in Path(path).iterdir() if file.suffix.lower() in PICTURES and file.is_file())
    if not found:
        raise InputError(f"{shown(path)}: no picture in this folder ({', '.join(PICTURES)})")
    return found


def _sentences(path: str) -> Text:
    lines = [line for line in read_lines(path, "sentences") if line]
    if not lines:
        raise InputError(f"{shown(path)}: no sentence in it")
    return Text(lines)


def _numbered(sample: Sample, i: int) -> Sample:
    return Sample(f"{sample.title}, sample {i}", f"{sample.stem}_{i}", sample.picture)


def _shapes(batch: Batch) -> dict[str, Any]:
    """Names, shapes after the batch axis, and kind of number: what must agree in a batch."""
    return {name: (array.shape[1:], array.ndim, array.dtype.kind) for name, array in batch.feeds.items()}


def _named_apart(batches: list[Batch]) -> list[Batch]:
    """Files of the same name in different folders get a number, so that their results do not overwrite each other."""
    seen: Counter[str] = Counter()

    def renamed(sample: Sample) -> Sample:
        seen[sample.stem] += 1
        number = seen[sample.stem]
        return sample if number == 1 else Sample(sample.title, f"{sample.stem}-{number}", sample.picture)

    return [Batch(batch.feeds, tuple(map(renamed, batch.samples))) for batch in batches]
