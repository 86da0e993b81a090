"""Routes that rename axes or pick elements: the adjoint brings every relevance back to where its value came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..backends.base import Array, Backend, Shape, sum_to
from .addressing import renamed
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Activation, Route

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


def ints(operands: Operands, position: int) -> list[int]:
    """A constant input as a list of ints."""
    value = operands.constant(position)
    assert value is not None
    listed: list[int] = np.asarray(value).reshape(-1).tolist()
    return listed


def constants_only(node: Site) -> None:
    """Refuse a node whose shape or index inputs depend on the data.

    Raises:
        Unsupported: they do.
    """
    if node.variable not in ((0,), ()):
        raise Unsupported("a shape or index input depends on the data", "only a constant one can be explained")


@register("Identity", "Dropout")
def unchanged(node: Site, ratio: float = 0.5, seed: int = 0) -> Route:
    """Unchanged; Dropout does nothing at inference."""
    training = node.constant(2) if node.has(2) else None
    if training is not None and bool(np.asarray(training).any()):
        raise Unsupported("Dropout in training mode", "export the model in eval mode")
    return Route(ReshapeMap(lambda operands: operands.shape(0)))


@register("Cast", "CastLike")
def cast(node: Site, to: int = 1, saturate: int = 1, round_mode: str = "up") -> Route | Activation:
    """Among float types, and from 0 and 1: unchanged. To an id: its whole part."""
    if node.hint == "address":
        return renamed(node, lambda xp, operands: xp.truncate(operands.value(0)))
    if to not in (1, 10, 11, 16) and not node.is_boolean(0):
        raise Unsupported("casts data to a type that is not a float", "explain an earlier output")
    return Route(ReshapeMap(lambda operands: operands.shape(0)))


@register("Pow")
def power(node: Site) -> Route:
    """The first power is the number itself."""
    exponent = node.constant(1)
    if node.variable != (0,) or exponent is None or exponent.size != 1 or exponent.reshape(-1)[0] != 1:
        raise Unsupported(
            "bends its input, and is no activation that LRP knows: neither linear nor ReLU-compatible",
            "explain an earlier output, or train with ReLU, LeakyReLU, PReLU or ReLU6",
        )
    return Route(ReshapeMap(lambda operands: operands.shape(0)))


@register("Reshape")
def reshape(node: Site, allowzero: int = 0) -> Route:
    """To a constant shape; 0 copies the input's size unless ``allowzero``, -1 is what remains."""
    constants_only(node)

    def target(operands: Operands) -> list[int]:
        shape, wanted = operands.shape(0), ints(operands, 1)
        sizes = [shape[i] if n == 0 and not allowzero else n for i, n in enumerate(wanted)]
        known = math.prod(n for n in sizes if n != -1)
        return [math.prod(shape) // known if n == -1 else n for n in sizes]

    return Route(ReshapeMap(target))


@register("Flatten")
def flatten(node: Site, axis: int = 1) -> Route:
    """To a matrix, split before ``axis``."""

    def target(operands: Operands) -> list[int]:
        shape = operands.shape(0)
        split = axis + len(shape) if axis < 0 else axis
        return [math.prod(shape[:split]), math.prod(shape[split:])]

    return Route(ReshapeMap(target))


@register("Squeeze")
def squeeze(node: Site, axes: Sequence[int] | None = None) -> Route:
    """Drop axes of size 1: attribute, or input since opset 13."""
    constants_only(node)

    def target(operands: Operands) -> list[int]:
        shape = operands.shape(0)
        given = ints(operands, 1) if node.has(1) else axes
        drop = {i for i, n in enumerate(shape) if n == 1} if given is None else {a % len(shape) for a in given}
        return [n for i, n in enumerate(shape) if i not in drop]

    return Route(ReshapeMap(target))


@register("Unsqueeze")
def unsqueeze(node: Site, axes: Sequence[int] | None = None) -> Route:
    """Insert axes of size 1: attribute, or input since opset 13."""
    constants_only(node)

    def target(operands: Operands) -> list[int]:
        given = ints(operands, 1) if node.has(1) else list(axes or ())
        rank = len(operands.shape(0)) + len(given)
        sizes, new = iter(operands.shape(0)), {a % rank for a in given}
        if len(new) < len(given):
            raise ValueError("an axis is named twice")
        return [1 if i in new else next(sizes) for i in range(rank)]

    return Route(ReshapeMap(target))


@register("Transpose")
def transpose(node: Site, perm: Sequence[int] | None = None) -> Route:
    """Reorder the axes."""
    if perm is not None and sorted(perm) != list(range(len(perm))):
        raise Unsupported(f"perm = {list(perm)} is no permutation", "the model is malformed: export it again")
    return Route(PermuteMap(None if perm is None else tuple(perm)))


@register("Expand")
def expand(node: Site) -> Route:
    """Broadcast to a constant shape."""
    constants_only(node)
    return Route(ExpandMap(lambda operands: ints(operands, 1)))


@register("Concat")
def concat(node: Site, axis: int = 1) -> Route:
    """Join along an axis."""
    constants = tuple(sorted(set(range(node.arity)) - set(node.variable)))
    return Route(ConcatMap(axis, node.arity, node.variable), data=node.variable, moves=constants)


@register("DepthToSpace", "SpaceToDepth")
def blocks(node: Site, blocksize: int, mode: str = "DCR") -> Route:
    """Move blocks between channels and space; SpaceToDepth has the DCR order."""
    return Route(BlocksMap(blocksize, node.op_type == "DepthToSpace", mode == "CRD"))
