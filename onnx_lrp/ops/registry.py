"""Which function gives an ONNX op its role.

An op is a function whose signature *is* its attribute schema, with the defaults of the standard::

    @register("Elu")
    def elu(node: Site, alpha: float = 1.0) -> Activation: ...

It returns a role, or raises :class:`Unsupported` with a reason and a remedy. One's own op is registered likewise, see
:func:`register`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, TypeVar

import numpy as np

from ..text import printable
from .roles import Held, Role

STANDARD = ("", "ai.onnx")  # what the standard domain is called


class Site(Protocol):
    """What an op may know about its node before anything runs."""

    @property
    def op_type(self) -> str:
        """The op."""

    @property
    def domain(self) -> str:
        """The op's domain, empty for the standard one."""

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
        product of a gate (the first operand) and a signal, which gets all relevance. ``"address"``: arithmetic on ids
        that are looked up. ``"profile"``: nothing of these, but a profile is in force.
        """

    @property
    def holds(self) -> bool:
        """Whether an operand depends on the data and counts as a constant."""

    def has(self, position: int) -> bool:
        """Whether this input is given."""

    def constant(self, position: int) -> np.ndarray | None:
        """An input's value if it is known already."""

    def rank(self, position: int) -> int | None:
        """An input's rank if it is known already."""

    def is_integer(self, position: int) -> bool:
        """Whether an input is known to be an integer, signed and wide enough for an id."""

    def is_boolean(self, position: int) -> bool:
        """Whether an input is known to be true or false."""


class Unsupported(Exception):  # noqa: N818 - a verdict, collected by the check, not an error by itself
    """The node has no role: why, and what to do about it; ``sizes``: only the size of an open axis is missing."""

    def __init__(self, reason: str, remedy: str, sizes: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.sizes = reason, remedy, sizes


def only_data(node: Site, position: int, what: str) -> None:
    """Raise unless this input alone depends on the data; ``what`` else would.

    Raises:
        Unsupported: it does not.
    """
    if node.variable != (position,):
        raise Unsupported(f"{what} depends on the data", "LRP needs a constant one: export it as an initializer")


Op = Callable[..., Role]
F = TypeVar("F", bound=Op)
G = TypeVar("G", bound=Callable[..., Any])
OPS: dict[str, Op] = {}  # by name, those of other domains as DOMAIN::NAME
PROFILED: dict[str, Op] = {}  # likewise, under a profile
COMPUTED: dict[str, Callable[..., Any]] = {}  # likewise, of what is held


def register(*names: str, domain: str = "") -> Callable[[F], F]:
    """Register a function for these ops of a domain, by default the standard one.

    Every model that is read from then on may hold them; what was registered before under the same name is replaced.
    The runtime has to know the op, too, because activations are recorded by it. For example, of an op that moves values
    and mixes none, whose map is written in docs/ops.md::

        @register("ExpandDims", domain="com.microsoft")
        def expand_dims(node):
            return Route(ExpandMap())
    """

    return _entering(OPS, names, domain)


def profiled(*names: str, domain: str = "") -> Callable[[F], F]:
    """Register the role that ops have under a profile, where they have none without, or where an operand is held."""
    return _entering(PROFILED, names, domain)


def forward_only(*names: str, domain: str = "") -> Callable[[G], G]:
    """Register what computes ops whose output is held, so that they need no role, only a value."""
    return _entering(COMPUTED, names, domain)


def _entering(table: dict[str, Any], names: tuple[str, ...], domain: str) -> Callable[[G], G]:
    def decorator(function: G) -> G:
        table.update({qualified(name, domain): function for name in names})
        return function

    return decorator


def qualified(op_type: str, domain: str) -> str:
    """What an op is called in :data:`OPS`."""
    return op_type if domain in STANDARD else f"{domain}::{op_type}"


@cache
def _attributes_of(op: Op) -> frozenset[str]:
    return frozenset(list(inspect.signature(op).parameters)[1:])


def role_of(node: Site, attributes: dict[str, Any]) -> Role:
    """The node's role, without a profile.

    Raises:
        Unsupported: the op is unknown, or used in a way that LRP has no role for.
    """
    op = OPS.get(qualified(node.op_type, node.domain))
    if op is None:
        raise Unsupported(*(_unknown(node.op_type) if node.domain in STANDARD else _foreign(node.op_type, node.domain)))
    return _called(op, node, attributes)  # type: ignore[no-any-return]


def _called(op: Op, node: Site, attributes: dict[str, Any]) -> Any:
    strange = sorted(set(attributes) - _attributes_of(op))
    if strange:
        raise Unsupported(f"unknown attribute {', '.join(strange)}", "export the model again with a standard opset")
    return op(node, **attributes)


def profiled_role_of(node: Site, attributes: dict[str, Any]) -> Role:
    """The node's role under a profile: its own, if it has one without; but what is held asks for the profile's first.

    Raises:
        Unsupported: it has none, for the reason that it has none without a profile.
    """
    op = PROFILED.get(qualified(node.op_type, node.domain))
    if op is not None and node.holds:
        return _called(op, node, attributes)  # type: ignore[no-any-return]
    try:
        return role_of(node, attributes)
    except Unsupported:
        if op is None:
            raise
        return _called(op, node, attributes)  # type: ignore[no-any-return]


def held_role_of(node: Site, attributes: dict[str, Any]) -> Held:
    """What computes a node whose output is held.

    Raises:
        Unsupported: nothing does.
    """
    computed = COMPUTED.get(qualified(node.op_type, node.domain))
    if computed is not None:
        return Held(_called(computed, node, attributes))
    return Held(profiled_role_of(node, attributes).forward)


# Why ops have no role, and what to do: (ops, reason, remedy)
REFUSED: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("Softmax", "LogSoftmax", "Hardmax", "Attention", "RotaryEmbedding"),
        "attention, or a normalisation like it, inside the network",
        "only a Softmax at the end is cut; explain an earlier output",
    ),
    (
        ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization",
         "RMSNormalization", "MeanVarianceNormalization"),
        "normalises by the data itself, so it is not linear",
        "train with BatchNormalization instead",
    ),
    (
        ("ReduceProd", "ReduceSumSquare", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "Det"),
        "a product, a square or a logarithm of variables, which is not linear",
        "explain an earlier output",
    ),
    (
        ("If", "Loop", "Scan"),
        "control flow",
        "export with fixed control flow (tracing), so that no If, Loop or Scan is left",
    ),
    (
        ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor", "Not"),
        "decides by the data which values count, and is not part of a ReLU, LeakyReLU or Clip",
        "write it with ReLU, LeakyReLU or Clip, or explain an earlier output",
    ),
    (
        ("Ceil", "Cos", "Cosh", "Exp", "Floor", "Log", "Mod", "Reciprocal", "Round", "Sign", "Sin",
         "Sinh", "Sqrt", "Tan"),
        "bends its input, and is no activation that LRP knows: neither linear nor ReLU-compatible",
        "explain an earlier output, or train with ReLU, LeakyReLU, PReLU or ReLU6",
    ),
    (
        ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        "random, so two runs have two explanations",
        "export in eval mode",
    ),
    (
        ("NonMaxSuppression", "NonZero", "Unique"),
        "selects by the data, and with it the shape",
        "explain an earlier output",
    ),
)  # fmt: skip


TREES = ("decision trees compare, and are no sum of what they are fed", "explain a linear model or a network instead")
TABULAR = {  # ops of scikit-learn's exporter that have no role
    "Normalizer": ("normalises by the data itself, so it is not linear", "scale by constants instead: StandardScaler"),
    "TreeEnsembleClassifier": TREES,
    "TreeEnsembleRegressor": TREES,
    "TreeEnsemble": TREES,
    "SVMClassifier": ("a kernel that is not linear, or more than two classes", "train it with kernel='linear'"),
    "Binarizer": ("decides by the data which values count", "explain an earlier output"),
}


def _unknown(op: str) -> tuple[str, str]:
    """Reason and remedy for an op without a role."""
    for ops, reason, remedy in REFUSED:
        if op in ops:
            return reason, remedy
    return "no role in LRP is known for this op", "replace it, or register a role for it (docs/ops.md)"


def _foreign(op: str, domain: str) -> tuple[str, str]:
    """Reason and remedy for an op of a domain that is not ONNX's."""
    reason = f"op of the domain {printable(domain)!r}, which is not standard ONNX"
    if "nchwc" in domain:
        return reason, "laid out for one processor: save it at onnxruntime's extended level, or give the original"
    if domain == "ai.onnx.ml":
        reason, remedy = TABULAR.get(
            op, ("no role in LRP is known for this op of scikit-learn's", "explain an earlier output")
        )
        return reason, remedy
    if "microsoft" in domain:
        return reason, "export without runtime-specific optimisation"
    return reason, "replace it by standard ops, or register a role for it (docs/ops.md)"
