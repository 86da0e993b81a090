"""Routes that rename axes or pick elements: the adjoint brings every relevance back to where its value came from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .addressing import renamed
from .maps import Operands
from .registry import Site, Unsupported, register
from .roles import Activation, Route
from .routes import BlocksMap, ConcatMap, ExpandMap, PermuteMap, ReshapeMap


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
