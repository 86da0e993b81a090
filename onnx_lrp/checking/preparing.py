"""A model's answers to one picture that is prepared in several ways, and whether they cast doubt on the one in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from ..errors import InputError, OnnxLrpError
from ..model.graph import dims
from ..model.precision import to_float32
from ..model.prepared import Prepared
from ..model.runtime import SessionOptions, open_session, run
from ..pictures.conventions import VIEWS, Attempt, Convention, doubt, every, tried, usual, views
from ..pictures.layout import Layout
from ..pictures.preprocessing import Preprocessing
from ..targets import softmaxed

SURE = 1e-3  # how far probabilities may be from a sum of 1


def doubted(
    prepared: Prepared, options: SessionOptions, value: ir.Value, pixels: np.ndarray, own: Convention,
    labels: Sequence[str] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Why the preparation of this picture may be wrong, in a line; nothing where there is no way to tell.

    Args:
        prepared: the model: what is not a classifier gives no doubt, nor what takes other things than one picture.
        options: of the session; it runs 21 to 24 inputs.
        value: the input.
        pixels: the picture, float32 (H, W, 1) or (H, W, 3), 0 to 255.
        own: how it was prepared.
        labels: names of the classes.
    """
    channels = _channels(prepared, value)
    if channels is None:
        return ()
    with_own = [own, *usual(channels)]
    try:
        trials = trials_of(prepared, options, value, pixels, with_own)
    except OnnxLrpError:  # a way that the model cannot take: the explanation itself has gone well
        return ()
    return doubt(trials[0], trials[1:], labels) if trials else ()


def tried_ways(
    prepared: Prepared, options: SessionOptions, value: ir.Value, pixels: np.ndarray, fit_to: Preprocessing
) -> list[Attempt]:
    """The answers under all ways, the most confident first.

    Args:
        prepared: the model.
        options: of the session.
        value: the input.
        pixels: the picture.
        fit_to: has the size where the model leaves it open.

    Raises:
        InputError: the model is no classifier of pictures.
    """
    channels = _channels(prepared, value)
    ways = [] if channels is None else [_sized(way, fit_to) for way in every(channels)]
    trials = trials_of(prepared, options, value, pixels, ways)
    if not trials:
        raise InputError(
            f"{prepared.source}: takes no single picture of 1 or 3 channels, or gives no probabilities of classes, so "
            "ways to prepare pictures cannot be compared; say how the model was trained (--preprocess NAME)"
        )
    return sorted(trials, key=lambda t: -float(t.shares.max()))


def trials_of(
    prepared: Prepared, options: SessionOptions, value: ir.Value, pixels: np.ndarray, ways: Sequence[Convention]
) -> list[Attempt]:
    """One for each way; none if the model is no classifier.

    Raises:
        InputError, ModelError: the model cannot take the picture.
    """
    shape = dims(value)
    if shape is None or not ways:
        return []
    size = ways[0].preprocessing.size
    ready = [replace(way.preprocessing, size=size) for way in ways]
    seen = {fit: views(replace(ready[0], fit=fit).resized(pixels, shape)) for fit in {way.fit for way in ready}}
    shares = _answers(prepared, options, value, [way.apply(view, shape) for way in ready for view in seen[way.fit]])
    if shares is None:
        return []
    return [tried(way, shares[VIEWS * i : VIEWS * (i + 1)]) for i, way in enumerate(ways)]


def _answers(
    prepared: Prepared, options: SessionOptions, value: ir.Value, rows: Sequence[np.ndarray]
) -> np.ndarray | None:
    """Probabilities, float64 of shape (rows, classes); None of what is no row of at least two classes."""
    reference, shape = prepared.reference(prepared.probability), dims(value) or [None]
    if value.dtype == ir.DataType.DOUBLE:
        reference = to_float32(reference)
    session = open_session(reference, options, prepared.source)
    one_by_one = not Layout.of(shape).batched or isinstance(shape[0], int)
    batches = list(rows) if one_by_one else [np.concatenate(rows)]
    name, feed = reference.graph.outputs[0].name or "", value.name or ""
    tables = [_table(run(session, [name], {feed: batch}, prepared.source)[0], len(rows) // len(batches))
              for batch in batches]  # fmt: skip
    found = [table for table in tables if table is not None]
    if len(found) < len(batches):
        return None
    shares = np.concatenate(found)
    return softmaxed(shares) if prepared.probability is None else shares if _are_shares(shares) else None


def _table(answer: np.ndarray, samples: int) -> np.ndarray | None:
    """The answer as (samples, classes), if it is such a table, maybe with axes of 1 behind it."""
    if answer.dtype.kind != "f" or answer.size % samples:
        return None
    flat = answer.reshape(samples, -1).astype(np.float64)
    classes = flat.shape[1]
    return flat if classes > 1 and classes in (answer.size, *answer.shape[1:2]) else None


def _are_shares(table: np.ndarray) -> bool:
    return bool(table.min() >= 0 and np.abs(table.sum(1) - 1).max() < SURE)


def _channels(prepared: Prepared, value: ir.Value) -> int | None:
    """1 or 3, of a model with one input that pictures fit; else None."""
    shape = dims(value)
    if len(prepared.inputs) != 1 or shape is None or not 1 <= len(shape) <= 4:
        return None
    layout = Layout.of(shape)
    count = layout.channels if layout.channels is not None or "F" in layout.axes else 3
    return count if count in (1, 3) else None


def _sized(way: Convention, like: Preprocessing) -> Convention:
    return replace(way, preprocessing=replace(way.preprocessing, size=like.size))
