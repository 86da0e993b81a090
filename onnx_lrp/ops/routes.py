"""Maps that move numbers, and change none: reshape, permute, expand, select, concatenate, pad, blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend, Shape, sum_to
from .maps import Operands

Pick = tuple[int, np.ndarray]  # (axis, positions along it)


@dataclass(frozen=True)
class ReshapeMap:
    """Same values, other shape; ``target`` computes it from the input's shape and the constants."""

    target: Callable[[Operands], Sequence[int]]

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        return [xp.reshape(operands.value(0), self.target(operands))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance in the input's shape."""
        return [xp.reshape(relevance[0], operands.shape(0))]


@dataclass(frozen=True)
class PermuteMap:
    """Transpose; no ``perm`` reverses the axes."""

    perm: tuple[int, ...] | None

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        return [xp.permute(operands.value(0), self._order(operands))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """The inverse permutation."""
        order = self._order(operands)
        return [xp.permute(relevance[0], [order.index(i) for i in range(len(order))])]

    def _order(self, operands: Operands) -> list[int]:
        return list(self.perm) if self.perm is not None else list(range(len(operands.shape(0))))[::-1]


@dataclass(frozen=True)
class ExpandMap:
    """Broadcast; the adjoint sums."""

    target: Callable[[Operands], Sequence[int]]

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        return [xp.expand(operands.value(0), np.broadcast_shapes(operands.shape(0), tuple(self.target(operands))))]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance summed over the copies."""
        return [sum_to(xp, relevance[0], operands.shape(0))]


@dataclass(frozen=True)
class SelectMap:
    """Picks positions along axes, one list of picks per output: Slice, Split, Gather, Tile, Resize, reflecting Pad."""

    picks: Callable[[Operands], Sequence[Sequence[Pick]]]

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The outputs."""
        return [self.pick(xp, operands.value(0), picks) for picks in self.picks(operands)]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Relevance added where it was picked."""
        shape, total = operands.shape(0), None
        for r, picks in zip(relevance, self.picks(operands)):
            if r is not None:
                back = self.put(xp, r, picks, shape)
                total = back if total is None else total + back
        return [total]

    @staticmethod
    def pick(xp: Backend, x: Array, picks: Sequence[Pick]) -> Array:
        """x at the picked positions."""
        for axis, indices in picks:
            x = xp.take(x, indices, axis)
        return x

    @staticmethod
    def put(xp: Backend, r: Array, picks: Sequence[Pick], shape: Shape) -> Array:
        """Adjoint of :meth:`pick`."""
        for axis, indices in reversed(picks):
            if indices.size and (np.diff(indices) == 1).all():  # one run: zeros around it are cheaper
                rank, before, after = len(shape), int(indices[0]), shape[axis] - 1 - int(indices[-1])
                r = xp.pad(r, _at(axis, before, rank), _at(axis, after, rank))
            else:
                r = xp.put(r, indices, axis, shape[axis])
        return r


@dataclass(frozen=True)
class ConcatMap:
    """Join along an axis; constants may be among the operands."""

    axis: int
    arity: int
    data: tuple[int, ...]

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        axis = self.axis % len(operands.shape(0))
        return [xp.concat([operands.value(i) for i in range(self.arity)], axis)]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """Each operand's stretch."""
        shapes = [operands.shape(i) for i in range(self.arity)]
        rank = len(shapes[0])
        axis = self.axis % rank
        ends = np.cumsum([shape[axis] for shape in shapes]).tolist()
        starts = [0, *ends[:-1]]
        return [
            xp.pad(relevance[0], _at(axis, -starts[i], rank), _at(axis, ends[i] - ends[-1], rank)) for i in self.data
        ]


@dataclass(frozen=True)
class PadMap:
    """A border of one number (or, negative, a crop); ``widths`` gives (before, after) per axis."""

    widths: Callable[[Operands], tuple[Sequence[int], Sequence[int]]]
    fill: float = 0.0

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        before, after = self.widths(operands)
        padded = xp.pad(operands.value(0), before, after)
        return [padded if self.fill == 0 else xp.where(self._border(xp, operands), self.fill, padded)]

    def _border(self, xp: Backend, operands: Operands) -> Array:
        """Where the border is, in a shape that broadcasts."""
        ends = zip(operands.shape(0), *self.widths(operands))
        inside: np.ndarray = np.zeros(())
        for n, b, a in ends:
            length = n + min(b, 0) + min(a, 0)
            along = (
                np.pad(np.zeros(length), (max(b, 0), max(a, 0)), constant_values=1) if max(b, a) > 0 else np.zeros(1)
            )
            inside = np.maximum(inside[..., None], along)
        return xp.asarray(inside > 0)

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """The crop: what falls on the border is lost, it belongs to no input."""
        before, after = self.widths(operands)
        return [xp.pad(relevance[0], [-b for b in before], [-a for a in after])]


@dataclass(frozen=True)
class BlocksMap:
    """DepthToSpace or, reversed, SpaceToDepth: a reshape, a permutation and a reshape."""

    block: int
    to_space: bool
    crd: bool

    def forward(self, xp: Backend, operands: Operands) -> list[Array]:
        """The output."""
        return [self._run(xp, operands.value(0), self.to_space)]

    def adjoint(self, xp: Backend, relevance: Sequence[Array | None], operands: Operands) -> list[Array]:
        """The inverse rearrangement."""
        return [self._run(xp, relevance[0], not self.to_space)]

    def _run(self, xp: Backend, x: Array, to_space: bool) -> Array:
        (n, c, h, w), b = xp.shape(x), self.block
        if to_space:
            depth = c // (b * b)
            split, order = ((n, depth, b, b, h, w), (0, 1, 4, 2, 5, 3)) if self.crd else (
                (n, b, b, depth, h, w), (0, 3, 4, 1, 5, 2))  # fmt: skip
            return xp.reshape(xp.permute(xp.reshape(x, split), order), (n, depth, h * b, w * b))
        split = (n, c, h // b, b, w // b, b)
        order = (0, 1, 3, 5, 2, 4) if self.crd else (0, 3, 5, 1, 2, 4)
        return xp.reshape(xp.permute(xp.reshape(x, split), order), (n, c * b * b, h // b, w // b))


def _at(axis: int, n: int, rank: int) -> list[int]:
    return [n if i == axis else 0 for i in range(rank)]
