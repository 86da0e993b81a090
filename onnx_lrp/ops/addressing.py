"""Arithmetic on integers that end as addresses: an offset, a cast, a bound. It renames ids, so relevance passes.

Which nodes these are, a canonizer finds; they carry the hint ``"address"``.
"""

from __future__ import annotations

from collections.abc import Callable

from ..backends.base import Array, Backend
from .maps import Operands
from .registry import Site, Unsupported
from .roles import Activation


def renamed(node: Site, function: Callable[[Backend, Operands], Array]) -> Activation:
    """Another name of the same id."""
    if len(node.variable) != 1:
        raise Unsupported("an address made of two tensors", "export a model whose ids are looked up as they are fed")
    return Activation(function, data=node.variable[0], keeps_sign=False, through_zero=False)
