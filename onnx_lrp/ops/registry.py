"""Which function gives an ONNX op its role.

An op is a function whose signature *is* its attribute schema, with the defaults of the standard::

    @register("Elu")
    def elu(node: Site, alpha: float = 1.0) -> Pass: ...

It returns a role, or raises :class:`Unsupported` with a reason and a remedy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from .roles import Role


class Site(Protocol):
    """What an op may know about its node before anything runs."""

    @property
    def op_type(self) -> str:
        """The op."""

    @property
    def opset(self) -> int:
        """The opset version of the node's domain."""

    @property
    def arity(self) -> int:
        """Number of inputs, those left out at the end not counted."""

    @property
    def outputs(self) -> int:
        """Number of outputs."""

    @property
    def variable(self) -> tuple[int, ...]:
        """Positions of the inputs that depend on the data."""

    @property
    def hint(self) -> str | None:
        """How the node is meant where its op alone does not tell.

        ``"trusted"``: an activation through which relevance passes, by the user's word or a canonizer's. ``"gate"``: a
        product of a gate (the first operand) and a signal, which gets all relevance.
        """

    def has(self, position: int) -> bool:
        """Whether this input is given."""

    def constant(self, position: int) -> np.ndarray | None:
        """An input's value if it is known already."""

    def rank(self, position: int) -> int | None:
        """An input's rank if it is known already."""


class Unsupported(Exception):  # noqa: N818 - a verdict, collected by the check, not an error by itself
    """The node has no role: why, and what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


Op = Callable[..., Role]
F = TypeVar("F", bound=Op)
OPS: dict[str, Op] = {}


def register(*names: str) -> Callable[[F], F]:
    """Register a function for these ops of the standard domain."""

    def decorator(function: F) -> F:
        OPS.update(dict.fromkeys(names, function))
        return function

    return decorator


def role_of(node: Site, attributes: dict[str, Any]) -> Role:
    """The node's role.

    Raises:
        Unsupported: the op is unknown, or used in a way that LRP has no role for.
    """
    op = OPS.get(node.op_type)
    if op is None:
        raise Unsupported(*_unknown(node.op_type))
    known = list(inspect.signature(op).parameters)[1:]
    strange = sorted(set(attributes) - set(known))
    if strange:
        raise Unsupported(f"unknown attribute {', '.join(strange)}", "export the model again with a standard opset")
    return op(node, **attributes)


NORMS = ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization", "LRN",
         "RMSNormalization", "MeanVarianceNormalization")  # fmt: skip
CONTROL = ("If", "Loop", "Scan")
RECURRENT = ("LSTM", "GRU", "RNN")


def _unknown(op: str) -> tuple[str, str]:
    """Reason and remedy for an op without a role."""
    if op in ("Softmax", "LogSoftmax"):
        return "attention-like normalisation inside the network", "only a Softmax at the end is cut; explain up to it"
    if op in NORMS:
        return "normalises by the data itself, so it is not linear", "train with BatchNormalization instead"
    if op in CONTROL:
        return "control flow", "export with fixed control flow (tracing), so that no If, Loop or Scan is left"
    if op in RECURRENT:
        return "recurrent layers are not supported yet", "explain a part of the model without them"
    return "no role in LRP is known for this op", "replace it, or register a role for it (CONTRIBUTING.md)"
