"""Which rule goes where: a composite is an ordered list of (selector → rule); the first selector that matches wins.

A composite is data: it prints as a table, and entries in front override it::

    Composite.parse("epsilon_gamma_box:low=0,high=1").with_entries((Selector(name="*stem*"), Flat()))

Presets carry the names that the field knows (Kohlbrenner et al. 2020, Montavon et al. 2019). Layers that no entry
matches (average pooling, unmerged BatchNormalization, merges) get Epsilon.
"""

from __future__ import annotations

import difflib
import fnmatch
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .errors import CompositeError, names_of
from .rules import AlphaBeta, Bound, Epsilon, Flat, Gamma, Rule, WSquare, ZBox, Zero, ZPlus
from .text import printable

CONVOLUTION = ("Conv", "ConvTranspose")
DENSE = ("Gemm", "MatMul")
WEIGHTED = CONVOLUTION + DENSE
DIAGONAL = ("BatchNormalization", "Mul", "Div")


@dataclass(frozen=True)
class LayerInfo:
    """What a selector sees of a node that takes a rule.

    ``depth`` is 0 for the weighted layers next to the input, 1 for those next to the output, and in between by the
    number of weighted layers before; ``order`` is a number of its own, and ``before`` a set of these as an integer:
    bit n stands for the layer of order n, and is 1 if that is on any path from an input to this one. What one node
    of the user's was expanded to, such as the steps of an LSTM, has one depth and one order.
    """

    name: str
    op: str
    depth: float
    order: int
    before: int = 0


@dataclass(frozen=True)
class Selector:
    """Matches layers by op type, name pattern (``*`` and ``?``), place, depth range, or a predicate; all must hold.

    ``first`` means every layer of those that the rest of the selector matches which no other of them precedes on any
    path from an input, ``last`` every one which precedes no other: in a network with two stems both have a first
    layer, in whatever order an exporter wrote them. A selector that matches no layer is an error of the composite,
    unless ``strict`` is off.

    Raises:
        CompositeError: a field is not of its type.
    """

    ops: tuple[str, ...] = ()
    name: str = "*"
    first: bool = False
    last: bool = False
    depth: tuple[float, float] = (0.0, 1.0)
    where: Callable[[LayerInfo], bool] | None = None
    strict: bool = True

    def __post_init__(self) -> None:
        ops: object = self.ops
        if isinstance(ops, str):  # a tuple of letters, and "Conv" in "ConvTranspose"
            raise CompositeError(f"ops must be op types in a tuple, not one string; write ops=({ops!r},)")
        object.__setattr__(self, "ops", names_of(ops, "ops of a selector", CompositeError))
        if not isinstance(self.name, str):
            raise CompositeError(f"the name of a selector must be a pattern, not {self.name!r:.80}")
        if not (isinstance(self.depth, Sequence) and len(self.depth) == 2):
            raise CompositeError(f"the depth of a selector must be a pair (low, high), not {self.depth!r:.80}")
        if self.where is not None and not callable(self.where):
            raise CompositeError(f"where must be a function of a LayerInfo, not {self.where!r:.80}")

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
            and (self.where is None or self.where(layer))
        )

    def __str__(self) -> str:
        parts = ["|".join(self.ops)] if self.ops else []
        parts += [f"name={self.name}"] if self.name != "*" else []
        parts += [word for word, on in (("first", self.first), ("last", self.last)) if on]
        parts += [f"depth={self.depth[0]:g}..{self.depth[1]:g}"] if self.depth != (0.0, 1.0) else []
        parts += ["where"] if self.where else []
        return " ".join(parts) or "any"


Entry = tuple[Selector, Rule]


@dataclass(frozen=True)
class Composite:
    """Ordered entries, and the rule for what none of them matches."""

    name: str
    entries: tuple[Entry, ...]
    default: Rule = field(default_factory=Epsilon)

    def __post_init__(self) -> None:
        pairs = tuple(self.entries.items() if isinstance(self.entries, Mapping) else self.entries)
        for pair in pairs:
            if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[0], Selector)):
                raise CompositeError(f"an entry of a composite is a pair (Selector, rule), not {pair!r:.80}")
        for rule in (*(rule for _, rule in pairs), self.default):
            _require_rule(rule)
        object.__setattr__(self, "entries", pairs)

    def with_entries(self, *entries: Entry) -> Composite:
        """The same composite with these entries in front."""
        return replace(self, entries=(*entries, *self.entries))

    def assign(self, layers: list[LayerInfo]) -> dict[LayerInfo, Rule]:
        """The rule of each layer.

        Raises:
            CompositeError: a strict selector matches none.
        """
        rules: dict[LayerInfo, Rule] = {}
        for selector, rule in self.entries:
            found = selector.select(layers)
            if selector.strict and not found:
                raise CompositeError(f"composite {self.name!r}: the selector {selector} {_missed(selector, layers)}")
            for layer in found:
                rules.setdefault(layer, rule)
        return {layer: rules.get(layer, self.default) for layer in layers}

    def __str__(self) -> str:
        width = max([len(str(s)) for s, _ in self.entries] + [len("otherwise")])
        rows = [f"  {selector!s:{width}}  {rule}" for selector, rule in self.entries]
        return "\n".join([self.name, *rows, f"  {'otherwise':{width}}  {self.default}"])

    @staticmethod
    def parse(text: str | Composite) -> Composite:
        """A composite from ``NAME[:key=value,...]``, for example ``"epsilon_gamma_box:low=0,high=1,gamma=0.3"``.

        A value may have one number per channel, separated by ``/``: ``low=-2.1/-2/-1.8``.

        Raises:
            CompositeError: unknown name or parameter, or a value that is no number.
        """
        if isinstance(text, Composite):
            return text
        if not isinstance(text, str):
            raise CompositeError(
                f"a composite is a Composite or a string NAME[:key=value,...], not {type(text).__name__}"
            )
        name, _, settings = text.partition(":")
        return preset(name.strip(), **dict(_setting(item, name) for item in settings.split(",") if item.strip()))


def _require_rule(rule: object) -> None:
    if isinstance(rule, type) and issubclass(rule, Rule):
        raise CompositeError(f"{rule.__name__} is a class of rules; make one of it: {rule.__name__}()")
    if not isinstance(rule, Rule):
        raise CompositeError(f"a rule is one of onnx_lrp's or your own, such as Epsilon(), not {rule!r:.80}")


def _missed(selector: Selector, layers: Sequence[LayerInfo]) -> str:
    """What a selector might have meant."""
    near = difflib.get_close_matches(selector.name, [layer.name for layer in layers], 3, 0.0)
    ops = ", ".join(f"{op} ({n})" for op, n in Counter(layer.op for layer in layers).most_common())
    names = f"; the nearest names are {', '.join(map(printable, near))}" if near and selector.name != "*" else ""
    return f"matches no layer (strict=False allows that){names}; layers that take a rule: {ops or 'none'}"


def _setting(item: str, name: str) -> tuple[str, Bound]:
    key, found, value = item.partition("=")
    try:
        numbers = tuple(float(v) for v in value.split("/"))
    except ValueError:
        found = ""
    if not found:
        raise CompositeError(f"composite {name}: {item.strip()!r} is not of the form key=number")
    return key.strip(), numbers[0] if len(numbers) == 1 else numbers


def preset(name: str, **parameters: Bound) -> Composite:
    """A preset by name.

    Raises:
        CompositeError: unknown name or parameter.
    """
    if name not in PRESETS:
        raise CompositeError(f"unknown composite {name!r}; choose one of {', '.join(PRESETS)}")
    known = list(inspect.signature(PRESETS[name]).parameters)
    strange = sorted(set(parameters) - set(known))
    if strange:
        raise CompositeError(f"composite {name} has no parameter {', '.join(strange)}; it has {', '.join(known)}")
    for key, value in parameters.items():
        if key not in ("low", "high") and np.ndim(value):
            raise CompositeError(f"composite {name}: {key} must be one number")
    return replace(PRESETS[name](**parameters), name=name)


# One ε for all denominators of a composite; ``stabilizer`` is another one for the rules that are not Epsilon, for
# averages and for merges, and is ``epsilon`` where it is not given.


def epsilon(epsilon: float = 1e-6, stabilizer: float | None = None) -> Composite:
    """Epsilon on every layer (Bach et al. 2015)."""
    return _everywhere(Epsilon(epsilon), _either(stabilizer, epsilon), DIAGONAL)


def gamma(gamma: float = 0.25, epsilon: float = 1e-6, stabilizer: float | None = None) -> Composite:
    """Gamma on every layer, but for averages and merges."""
    return _everywhere(Gamma(gamma, epsilon=_either(stabilizer, epsilon)), _either(stabilizer, epsilon))


def zplus(epsilon: float = 1e-6, stabilizer: float | None = None) -> Composite:
    """z⁺ on every layer, but for averages and merges (Montavon et al. 2017)."""
    return _everywhere(ZPlus(epsilon=_either(stabilizer, epsilon)), _either(stabilizer, epsilon))


def alpha_beta(
    alpha: float = 2.0, beta: float = 1.0, epsilon: float = 1e-6, stabilizer: float | None = None
) -> Composite:
    """αβ on every layer, but for averages and merges (Bach et al. 2015)."""
    return _everywhere(AlphaBeta(alpha, beta, epsilon=_either(stabilizer, epsilon)), _either(stabilizer, epsilon))


def epsilon_plus(epsilon: float = 1e-6, stabilizer: float | None = None) -> Composite:
    """z⁺ on convolutions, Epsilon on dense layers (Kohlbrenner et al. 2020)."""
    other = _either(stabilizer, epsilon)
    return _two(ZPlus(epsilon=other), epsilon, other)


def epsilon_plus_flat(epsilon: float = 1e-6, stabilizer: float | None = None) -> Composite:
    """``epsilon_plus`` with Flat on the first weighted layer."""
    flat = Flat(epsilon=_either(stabilizer, epsilon))
    return epsilon_plus(epsilon, stabilizer).with_entries((FIRST, flat))


def epsilon_alpha2_beta1(epsilon: float = 1e-6, stabilizer: float | None = None) -> Composite:
    """α=2, β=1 on convolutions, Epsilon on dense layers (Kohlbrenner et al. 2020)."""
    other = _either(stabilizer, epsilon)
    return _two(AlphaBeta(2.0, 1.0, epsilon=other), epsilon, other)


def epsilon_alpha2_beta1_flat(epsilon: float = 1e-6, stabilizer: float | None = None) -> Composite:
    """``epsilon_alpha2_beta1`` with Flat on the first weighted layer."""
    flat = Flat(epsilon=_either(stabilizer, epsilon))
    return epsilon_alpha2_beta1(epsilon, stabilizer).with_entries((FIRST, flat))


def epsilon_gamma_box(
    low: Bound | None = None,
    high: Bound | None = None,
    gamma: float = 0.25,
    epsilon: float = 1e-6,
    stabilizer: float | None = None,
) -> Composite:
    """z^B on the first convolution, γ on the others, Epsilon on dense layers (Montavon et al. 2019)."""
    if low is None or high is None:
        raise CompositeError(
            "epsilon_gamma_box needs the bounds of the input: epsilon_gamma_box:low=NUMBER,high=NUMBER "
            "(one per channel as 1/2/3); `onnx-lrp explain` takes them from the preprocessing of a picture"
        )
    other = _either(stabilizer, epsilon)
    box = (Selector(CONVOLUTION, first=True, strict=False), ZBox(low, high, epsilon=other))
    return _two(Gamma(gamma, epsilon=other), epsilon, other).with_entries(box)


def layered(
    low: Bound | None = None,
    high: Bound | None = None,
    gamma: float = 0.25,
    epsilon: float = 1e-6,
    boundary: float = 0.5,
    stabilizer: float | None = None,
) -> Composite:
    """Four zones by depth (Montavon et al. 2019): z^B (w² without bounds), γ, above ``boundary`` ε, LRP-0 on top."""
    if not 0 <= boundary <= 1:
        raise CompositeError(f"layered: boundary must be between 0 and 1, not {boundary}")
    if (low is None) != (high is None):
        raise CompositeError("layered needs both bounds of the input, low and high, or none of them")
    other = _either(stabilizer, epsilon)
    bottom: Rule = WSquare(epsilon=other) if low is None or high is None else ZBox(low, high, epsilon=other)
    return Composite(
        "layered",
        (
            (Selector(WEIGHTED, depth=(1.0, 1.0), strict=False), Zero()),
            (Selector(WEIGHTED, depth=(0.0, 0.0), strict=False), bottom),
            (Selector(WEIGHTED, depth=(0.0, boundary), strict=False), Gamma(gamma, epsilon=other)),
            (Selector(WEIGHTED, strict=False), Epsilon(epsilon)),
        ),
        Epsilon(other),
    )


def attnlrp(epsilon: float = 1e-9, stabilizer: float | None = None) -> Composite:
    """Epsilon on every layer, with a small ε: for attention, under a profile (Achtibat et al. 2024)."""
    return _everywhere(Epsilon(epsilon), _either(stabilizer, epsilon), DIAGONAL)


def attnlrp_vit(
    conv: float = 0.25, linear: float = 0.05, epsilon: float = 1e-9, stabilizer: float | None = None
) -> Composite:
    """γ on convolutions and dense layers, Epsilon on all else: for vision transformers (Achtibat et al. 2024, A.2)."""
    other = _either(stabilizer, epsilon)
    dense = (Selector(DENSE, strict=False), Gamma(linear, epsilon=other))
    return Composite("", ((Selector(CONVOLUTION, strict=False), Gamma(conv, epsilon=other)), dense), Epsilon(other))


FIRST = Selector(WEIGHTED, first=True, strict=False)


def _either(stabilizer: float | None, epsilon: float) -> float:
    return epsilon if stabilizer is None else stabilizer


def _everywhere(rule: Rule, stabilizer: float, diagonal: tuple[str, ...] = ("Mul", "Div")) -> Composite:
    """A BatchNormalization that could not be merged takes ε, as in the other presets."""
    return Composite("", ((Selector(WEIGHTED + diagonal, strict=False), rule),), Epsilon(stabilizer))


def _two(convolution: Rule, epsilon: float, stabilizer: float) -> Composite:
    return Composite(
        "",
        ((Selector(CONVOLUTION, strict=False), convolution), (Selector(DENSE, strict=False), Epsilon(epsilon))),
        Epsilon(stabilizer),
    )


PRESETS: dict[str, Callable[..., Composite]] = {
    f.__name__: f
    for f in (
        epsilon, epsilon_plus, epsilon_plus_flat, epsilon_alpha2_beta1, epsilon_alpha2_beta1_flat, epsilon_gamma_box,
        layered, gamma, zplus, alpha_beta, attnlrp, attnlrp_vit,
    )
}  # fmt: skip
