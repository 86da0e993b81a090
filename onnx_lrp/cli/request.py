"""What ``explain`` and ``compare`` are asked: files, how pictures become inputs, and how to compute."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..composites.pictured import from_preprocessing
from ..model.prepared import Prepared
from ..pictures.conventions import Convention
from ..pictures.intake import Way, any_picture
from ..pictures.metadata import Finding, declared_by, said_by
from ..pictures.preprocessing import PictureSize, Preprocessing, named_size
from .arguments import PREPROCESSING
from .feeding import File, read_files
from .holding import held


@dataclass(frozen=True)
class Request:
    """Everything that is read before there is a model.

    Attributes:
        files: what to explain.
        preprocessing: how pictures become inputs.
        about: what to tell of that; empty if there are no pictures.
        composite: with the bounds that follow from the preprocessing.
        others: further ones, for the same figure.
        options: of the :class:`onnx_lrp.Explainer`.
        size: of pictures, where the model leaves it open.
        way: the preprocessing by what it is called; settled where numbers were given, or the model's files say it.
    """

    files: list[File]
    preprocessing: Preprocessing
    about: list[str]
    composite: str
    others: list[str]
    options: dict[str, Any]
    size: PictureSize | None
    way: Way

    def for_model(self, prepared: Prepared) -> Preprocessing:
        """How pictures become inputs of this model: in the size that its metadata names, if none is given."""
        return replace(self.preprocessing, size=self.size or named_size(prepared.source_model.metadata_props))

    def way_for(self, prepared: Prepared) -> Way:
        """The same, with what it is called."""
        return replace(self.way, convention=replace(self.way.convention, preprocessing=self.for_model(prepared)))


def read(args: Namespace) -> Request:
    """Read every file.

    Raises:
        InputError: one that cannot be read, or a preprocessing that makes no sense.
    """
    files = read_files(args.inputs, bool(getattr(args, "tokenizer", None)))
    pictures = _any_picture(files, args)
    preprocessing, found = preparation(args, pictures)
    bounded = pictures or args.preprocess
    given = getattr(args, "composites", None) or [args.composite]
    composite, *others = (from_preprocessing(c, preprocessing) if bounded else c for c in given)
    numbers = found is not None or any(given is not None for given in (args.scale, args.mean, args.std))
    way = Way(Convention(_typed(args, found), preprocessing), settled=numbers)
    about = told_of(args, preprocessing, found) * pictures
    size = args.size or size_of(found)
    return Request(files, preprocessing, about, composite, others, options_of(args), size, way)


def preparation(args: Namespace, pictures: bool) -> tuple[Preprocessing, Finding | None]:
    """How pictures become inputs, but for their size; and what the model's files say, where nobody else said it.

    Raises:
        InputError: a preprocessing that makes no sense.
    """
    found = said_by(_model(args)) if pictures and not args.preprocess else None
    preprocessing = Preprocessing.create(
        args.preprocess or (PREPROCESSING if found is None else found.preprocessing),
        scale=args.scale, mean=args.mean, std=args.std, channels=args.channels, fit=args.fit,
    )  # fmt: skip
    return preprocessing, found


def _any_picture(files: Sequence[File], args: Namespace) -> bool:
    parts = [part for file in files for part in file.parts]
    bytes_in_it = any(isinstance(part, np.ndarray) and part.dtype == np.uint8 for part in parts)
    return any_picture(parts, declared_by(_model(args)) if bytes_in_it else ())  # reading a model may take long


def _model(args: Namespace) -> Path:
    return Path(getattr(args, "model", None) or args.a)


def options_of(args: Namespace) -> dict[str, Any]:
    """Those of the :class:`onnx_lrp.Explainer`, but for its composite.

    Raises:
        InputError: the value of a fixed input cannot be read.
    """
    names = ("output", "backend", "dtype", "device", "batchnorm", "threads", "profile")
    return {name: getattr(args, name) for name in names} | {
        "pass_ops": args.pass_op,
        "fixed": held(args),
        "shapes": dict(args.shape),
    }


def size_of(found: Finding | None) -> PictureSize | None:
    """The size that the model's files say; "native" there only means that they do not."""
    size = None if found is None else found.preprocessing.size
    return None if size == "native" else size


def _typed(args: Namespace, found: Finding | None) -> str:
    """The options that say it."""
    name = f"--preprocess {args.preprocess or PREPROCESSING}" if found is None else f"what {found.where} says"
    more = [f" --{key} {getattr(args, key)}" for key in ("channels", "fit") if getattr(args, key)]
    return name + " (the default)" * (args.preprocess is None and found is None) + "".join(more)


def told_of(args: Namespace, p: Preprocessing, found: Finding | None) -> list[str]:
    """What to tell of how pictures become inputs."""
    said = f"{PREPROCESSING} (the default)" if found is None else f"{found.where} says"
    name = args.preprocess or said
    mean, std = ("/".join(f"{n:g}" for n in numbers) for numbers in (p.mean, p.std))
    return [f"pictures prepared as {name}: x = (pixel * {p.scale:g} - {mean}) / {std}, {p.channels}, {p.fit}"]
