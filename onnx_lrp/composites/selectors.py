"""Which layers an entry of a composite is for."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from ..errors import CompositeError, names_of
from .layers import LayerInfo, Place

ANY_DEPTH = (0.0, 1.0)
ANY_SIZE = (0.0, math.inf)


@dataclass(frozen=True)
class Selector:
    """Matches layers by op type, name pattern (``*`` and ``?``), place, shape, or a predicate; all must hold.

    ``first`` means every layer of those that the rest of the selector matches which no other of them precedes on any
    path from an input, ``last`` every one which precedes no other: in a network with two stems both have a first
    layer, in whatever order an exporter wrote them. A selector that matches no layer is an error of the composite,
    unless ``strict`` is off.

    Args:
        ops: op types.
        name: pattern of the node's name.
        first: see above.
        last: see above.
        depth: from and to, of :attr:`LayerInfo.depth`.
        where: a function of a :class:`LayerInfo`.
        strict: see above.
        place: ``"input"``, ``"head"`` or ``"between"``, of the layers with weights.
        kernel: of a convolution: one number for all axes, or one for each.
        depthwise: whether it convolves each channel on its own.
        dense: whether every output sees every input, as in Gemm, MatMul, and a convolution of one pixel to one.
        channels: from and to, of the input of a convolution.
        size: from and to, of every axis of the map that a convolution makes; an open axis matches no bound.

    Raises:
        CompositeError: a field is not of its type.
    """

    ops: tuple[str, ...] = ()
    name: str = "*"
    first: bool = False
    last: bool = False
    depth: tuple[float, float] = ANY_DEPTH
    where: Callable[[LayerInfo], bool] | None = None
    strict: bool = True
    place: Place | None = None
    kernel: int | tuple[int, ...] | None = None
    depthwise: bool | None = None
    dense: bool | None = None
    channels: tuple[float, float] = ANY_SIZE
    size: tuple[float, float] = ANY_SIZE

    def __post_init__(self) -> None:
        ops: object = self.ops
        if isinstance(ops, str):  # a tuple of letters, and "Conv" in "ConvTranspose"
            raise CompositeError(f"ops must be op types in a tuple, not one string; write ops=({ops!r},)")
        object.__setattr__(self, "ops", names_of(ops, "ops of a selector", CompositeError))
        if not isinstance(self.name, str):
            raise CompositeError(f"the name of a selector must be a pattern, not {self.name!r:.80}")
        for field in ("depth", "channels", "size"):
            object.__setattr__(self, field, _pair(field, getattr(self, field)))
        if self.where is not None and not callable(self.where):
            raise CompositeError(f"where must be a function of a LayerInfo, not {self.where!r:.80}")
        if self.place not in (None, *get_args(Place)):
            raise CompositeError(f"place must be one of {', '.join(get_args(Place))}, not {self.place!r:.80}")
        object.__setattr__(self, "kernel", _kernel(self.kernel))

    def select(self, layers: Iterable[LayerInfo]) -> list[LayerInfo]:
        """The layers that match."""
        found = [layer for layer in layers if self._matches(layer)]
        if not (self.first or self.last):
            return found
        orders, followed = 0, 0
        for layer in found:
            orders, followed = orders | 1 << layer.order, followed | layer.before
        return [
            layer
            for layer in found
            if (self.first and not orders & layer.before) or (self.last and not followed >> layer.order & 1)
        ]

    def _matches(self, layer: LayerInfo) -> bool:
        low, high = self.depth
        return (
            (not self.ops or layer.op in self.ops)
            and fnmatch.fnmatchcase(layer.name, self.name)
            and low <= layer.depth <= high
            and self.place in (None, layer.place)
            and self._fits(layer)
            and (self.where is None or self.where(layer))
        )

    def _fits(self, layer: LayerInfo) -> bool:
        """By what kind of layer it is, and its sizes."""
        kernel = (self.kernel,) * len(layer.kernel) if isinstance(self.kernel, int) else self.kernel
        return (
            self.dense in (None, layer.dense)
            and self.depthwise in (None, layer.depthwise)
            and (kernel is None or (bool(layer.kernel) and kernel == layer.kernel))
            and (self.channels == ANY_SIZE or _within(self.channels, (layer.channels or None,)))
            and (self.size == ANY_SIZE or _within(self.size, layer.made))
        )

    def settings(self) -> dict[str, object]:
        """The fields that are not as by default, but for ``strict``."""
        fields = self.__dataclass_fields__.values()
        return {f.name: v for f in fields if (v := getattr(self, f.name)) != f.default and f.name != "strict"}

    def __str__(self) -> str:
        return " ".join(_shown(name, value) for name, value in self.settings().items()) or "any"


def _pair(field: str, given: object) -> tuple[float, float]:
    if not (isinstance(given, Sequence) and len(given) == 2 and all(isinstance(n, int | float) for n in given)):
        raise CompositeError(f"the {field} of a selector must be a pair (low, high), not {given!r:.80}")
    return given[0], given[1]


def _kernel(given: object) -> int | tuple[int, ...] | None:
    if given is None or isinstance(given, int):
        return given
    if not (isinstance(given, Sequence) and given and all(isinstance(n, int) for n in given)):
        raise CompositeError(f"the kernel of a selector must be a size, or one for each axis, not {given!r:.80}")
    return tuple(given)


def _within(bounds: tuple[float, float], sizes: Sequence[int | None]) -> bool:
    """Whether there are sizes, and all are known and within."""
    return bool(sizes) and all(n is not None and bounds[0] <= n <= bounds[1] for n in sizes)


def _shown(name: str, value: Any) -> str:
    if name == "ops":
        return "|".join(value)
    if name in ("depth", "channels", "size"):
        low, high = value
        return f"{name}={low:g}..{high:g}"
    if name == "kernel":
        return f"kernel={value if isinstance(value, int) else 'x'.join(map(str, value))}"
    if value is True or name == "where":
        return name
    return f"not {name}" if value is False else f"{name}={value}"
