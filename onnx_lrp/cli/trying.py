"""Pictures prepared in all ways: ``--preprocess try``, ``check --image``, and the doubt about the way in use."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..checking.preparing import tried_ways
from ..errors import InputError
from ..explainer import Explainer
from ..pictures.conventions import Attempt, named
from ..pictures.metadata import Beside, findings
from ..pictures.preprocessing import Preprocessing, named_size
from ..pictures.reading import Picture, read_input
from ..text import table
from ..writing import shown
from .holding import held
from .request import Request

TRY = "try"
WEIGHT = (
    "weight: near 1 if the answer stays on a darker picture and is another one on a blank one; a sure answer of little "
    "weight says nothing"
)


def doubted_picture(explainer: Explainer, request: Request) -> tuple[str, ...]:
    """Why the first picture may not be prepared as the model expects it, in a line, if there is a reason."""
    first = next((file.content for file in request.files if isinstance(file.content, Picture)), None)
    if first is None or len(explainer.prepared.inputs) != 1:
        return ()
    name = explainer.prepared.inputs[0].name or ""
    return explainer.doubts_of(first.pixels, name, request.way_for(explainer.prepared))


def ways_of(args: Namespace, paths: Sequence[str]) -> list[str]:
    """For each picture a table: the way, the prediction, its probability; the most probable first.

    Raises:
        InputError: not a picture, or the model is no classifier of pictures.
    """
    pictures = [(path, _picture(path)) for path in paths]
    explainer = Explainer(
        args.model, args.composite, output=args.output, pass_ops=args.pass_op, fixed=held(args),
        shapes=dict(args.shape), profile=args.profile, labels=args.labels,
    )  # fmt: skip
    source = explainer.prepared.source_model
    found = next(findings(source, Beside.of(Path(args.model))), None)
    size = getattr(args, "size", None) or named_size(source.metadata_props)
    if size is None and found is not None and found.preprocessing.size != "native":
        size = found.preprocessing.size
    said = "the model's files say nothing of its pictures" if found is None else f"{found.where} says {_words(found)}"
    tables = [(path, _trials(explainer, pixels, Preprocessing(size=size))) for path, pixels in pictures]
    if args.json:
        content = [{"input": shown(path), "ways": [_record(t, explainer.labels) for t in trials]}
                   for path, trials in tables]  # fmt: skip
        return [json.dumps({"model": explainer.prepared.source, "says": said, "pictures": content}, indent=2)]
    return [f"{explainer.prepared.source}: {said}", *(line for path, trials in tables for line in (
        f"{shown(path)}, prepared in {len(trials)} ways:", *_lines(trials, explainer.labels))), WEIGHT]  # fmt: skip


def _trials(explainer: Explainer, pixels: Any, like: Preprocessing) -> list[Attempt]:
    return tried_ways(explainer.prepared, explainer.options, explainer.prepared.inputs[0], pixels, like)


def _lines(trials: Sequence[Attempt], labels: Sequence[str]) -> list[str]:
    rows = [(t.convention.options, named(t.best, labels), f"{t.shares.max():.3f}", f"{t.weight:.2f}") for t in trials]
    return table(("way", "prediction", "probability", "weight"), rows)


def _record(trial: Attempt, labels: Sequence[str]) -> dict[str, Any]:
    label = {"label": labels[trial.best]} if trial.best < len(labels) else {}
    return {"way": trial.convention.options, "index": trial.best, **label,
            "probability": float(trial.shares.max()), "weight": trial.weight}  # fmt: skip


def _words(found: Any) -> str:
    p = found.preprocessing
    mean, std = ("/".join(f"{n:g}" for n in numbers) for numbers in (p.mean, p.std))
    return f"x = (pixel * {p.scale:g} - {mean}) / {std}, {p.channels}, {p.fit}"


def _picture(path: str) -> Any:
    content = read_input(path)
    if not isinstance(content, Picture):
        raise InputError(f"{shown(path)}: holds arrays; ways to prepare pictures are tried on a picture")
    return content.pixels
