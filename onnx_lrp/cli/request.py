"""What ``explain`` and ``compare`` are asked: files, how pictures become inputs, and how to compute."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass, replace
from typing import Any

from ..composites.pictured import from_preprocessing
from ..model.prepared import Prepared
from ..pictures.preprocessing import PictureSize, Preprocessing, named_size
from ..pictures.reading import Picture
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
        options: of the :class:`onnx_lrp.Explainer`.
        size: of pictures, where the model leaves it open.
    """

    files: list[File]
    preprocessing: Preprocessing
    about: list[str]
    composite: str
    options: dict[str, Any]
    size: PictureSize | None

    def for_model(self, prepared: Prepared) -> Preprocessing:
        """How pictures become inputs of this model: in the size that its metadata names, if none is given."""
        return replace(self.preprocessing, size=self.size or named_size(prepared.source_model.metadata_props))


def read(args: Namespace) -> Request:
    """Read every file.

    Raises:
        InputError: one that cannot be read, or a preprocessing that makes no sense.
    """
    preprocessing = Preprocessing.create(
        args.preprocess or PREPROCESSING,
        scale=args.scale, mean=args.mean, std=args.std, channels=args.channels, fit=args.fit,
    )  # fmt: skip
    files = read_files(args.inputs, bool(getattr(args, "tokenizer", None)))
    pictures = any(isinstance(file.content, Picture) for file in files)
    bounded = pictures or args.preprocess
    composite = from_preprocessing(args.composite, preprocessing) if bounded else args.composite
    names = ("output", "backend", "dtype", "device", "batchnorm", "threads", "profile")
    options = {name: getattr(args, name) for name in names} | {
        "pass_ops": args.pass_op,
        "fixed": held(args),
        "shapes": dict(args.shape),
    }
    return Request(files, preprocessing, _about(args, preprocessing) * pictures, composite, options, args.size)


def _about(args: Namespace, p: Preprocessing) -> list[str]:
    name = args.preprocess or f"{PREPROCESSING} (the default)"
    mean, std = ("/".join(f"{n:g}" for n in numbers) for numbers in (p.mean, p.std))
    return [f"pictures prepared as {name}: x = (pixel * {p.scale:g} - {mean}) / {std}, {p.channels}, {p.fit}"]
