"""Routes that pick positions along axes: Slice, Split, Tile, Pad."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from ..backends.base import Array, Backend
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Route
from .routes import PadMap, Pick, SelectMap
from .routing import constants_only, ints


@register("Slice")
def slice_(node: Site, starts: Sequence[int] | None = None, ends: Sequence[int] | None = None,
           axes: Sequence[int] | None = None) -> Route:  # fmt: skip
    """Slice: attributes, or inputs since opset 10."""
    constants_only(node)

    def picks(operands: Operands) -> list[list[Pick]]:
        shape = operands.shape(0)
        first = ints(operands, 1) if node.has(1) else list(starts or ())
        last = ints(operands, 2) if node.has(2) else list(ends or ())
        along = ints(operands, 3) if node.has(3) else list(axes or range(len(first)))
        steps = ints(operands, 4) if node.has(4) else [1] * len(first)
        along = [a % len(shape) for a in along]
        cuts = [c for c in zip(first, last, along, steps) if not _is_whole(shape[c[2]], *c[:2], c[3])]
        return [[(a, sliced(shape[a], s, e, st)) for s, e, a, st in cuts]]

    return Route(SelectMap(picks))


def _is_whole(n: int, start: int, end: int, step: int) -> bool:
    """Whether a Slice takes an axis as it is, however long (the batch, which exporters slice from 0 to the end)."""
    return start == 0 and step == 1 and (end == n or end >= ENDLESS)


ENDLESS = 10**9  # exporters write this, or the largest integer


def sliced(n: int, start: int, end: int, step: int) -> np.ndarray:
    """Positions of a Slice along an axis of length n, clamped as the standard says (not quite as Python does)."""
    low, high = (0, n) if step > 0 else (-1, n - 1)
    first = min(max(start + n * (start < 0), 0), high)
    last = min(max(end + n * (end < 0), low), high)
    return np.arange(first, last, step)


@register("Split")
def split(node: Site, axis: int = 0, split: Sequence[int] | None = None, num_outputs: int | None = None) -> Route:
    """Split: sizes as attribute, as input since opset 13, or equal ones."""
    constants_only(node)

    def picks(operands: Operands) -> list[list[Pick]]:
        shape = operands.shape(0)
        along = axis % len(shape)
        sizes = ints(operands, 1) if node.has(1) else list(split or ())
        chunk = -(-shape[along] // (num_outputs or node.outputs))
        bounds = np.cumsum(sizes or [chunk] * node.outputs).clip(max=shape[along]).tolist()
        return [[(along, np.arange(b, e))] for b, e in zip([0, *bounds[:-1]], bounds)]

    return Route(SplitMap(picks))


class SplitMap(SelectMap):
    """Picks runs that follow each other: the adjoint joins those that follow each other again."""

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance put side by side."""
        shape, summands = operands.shape(0), []
        pairs = [(r, picks[0]) for r, picks in zip(relevance, self.picks(operands))]
        for present, run in groupby(pairs, lambda pair: pair[0] is not None):
            if present:
                pieces, stretches = zip(*run)
                axis = stretches[0][0]
                joined = np.concatenate([indices for _, indices in stretches])
                summands.append(self.put(xp, xp.concat(pieces, axis), [(axis, joined)], shape))
        return [sum(summands[1:], summands[0])]


@register("Tile")
def tile(node: Site) -> Route:
    """Repeat along each axis."""
    constants_only(node)

    def picks(operands: Operands) -> list[list[Pick]]:
        times = enumerate(zip(operands.shape(0), ints(operands, 1)))
        return [[(i, np.tile(np.arange(n), r)) for i, (n, r) in times if r != 1]]

    return Route(SelectMap(picks))


@register("Pad")
def pad(node: Site, mode: str = "constant", pads: Sequence[int] | None = None, value: float = 0.0) -> Route:
    """Pad with a constant, which absorbs relevance like a bias, or by reflecting, repeating the edge, wrapping."""
    constants_only(node)
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise Unsupported(f"unknown mode {mode!r}", "export with constant or reflecting padding")
    fill = _fill(node, value) if mode == "constant" else 0.0
    if math.isnan(fill):
        raise Unsupported("pads with a value that is not known", "export it as a constant")

    def widths(operands: Operands) -> tuple[list[int], list[int]]:
        rank = len(operands.shape(0))
        given = ints(operands, 1) if node.has(1) else list(pads or ())
        axes = [a % rank for a in ints(operands, 3)] if node.has(3) else list(range(rank))
        before, after = dict(zip(axes, given)), dict(zip(axes, given[len(axes) :]))
        return [before.get(i, 0) for i in range(rank)], [after.get(i, 0) for i in range(rank)]

    def picks(operands: Operands) -> list[list[Pick]]:
        ends = zip(operands.shape(0), *widths(operands))
        return [[(i, _border(n, b, a, mode)) for i, (n, b, a) in enumerate(ends) if b or a]]

    return Route(PadMap(widths, fill) if mode == "constant" else SelectMap(picks), adds_negative=fill < 0)


def _border(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Positions that a padded axis shows; negative widths crop."""
    kept = np.arange(max(-before, 0), n - max(-after, 0))
    return np.pad(kept, (max(before, 0), max(after, 0)), mode=mode)  # type: ignore[call-overload,no-any-return]


def _fill(node: Site, attribute: float) -> float:
    if not node.has(2):
        return attribute
    value = node.constant(2)
    return float("nan") if value is None else float(np.asarray(value).reshape(-1)[0])
