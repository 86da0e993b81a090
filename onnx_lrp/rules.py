"""The rules of LRP as data: how each one modifies a linear map's input, weight and bias.

A rule lists its *parts*; one formula (:mod:`onnx_lrp.propagation.linear`) runs them all, on every op and backend. With
z = Σ_terms W̃ x̃ + b̃ and the stabilizer st(z) = z + ε·sign(z), sign(0) = +1, a part contributes to the input

    R_j = scale · Σ_terms x̃_j Σ_k w̃_jk gate(R_k) / st(z_k).

Your own rule is a frozen dataclass with a ``parts`` method::

    @dataclass(frozen=True)
    class Quarter(Rule):
        \"\"\"LRP-0 on a quarter of the negative weights.\"\"\"

        def parts(self):
            soften = Signed(1, 0.25)  # a modifier: any function of (backend, array)
            return (Part((Term(identity, soften),), bias=soften),)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np

from .backends.base import Array, Backend
from .errors import CompositeError

Modifier = Callable[[Backend, Array], Array]
Gate = Literal["all", "positive", "negative"]
Bound = float | tuple[float, ...] | np.ndarray


@dataclass(frozen=True)
class Relative:
    """A stabilizer ε in units of z: ``factor`` times the standard deviation of z over a sample.

    In Montavon et al. 2019 (section 10.2.3) ε is given so: 0.25 std. A sample is everything behind the first axis.
    """

    factor: float

    def __post_init__(self) -> None:
        if not _is_at_least_0(self.factor):
            raise CompositeError(f"a relative stabilizer must be a number >= 0 before std, not {self.factor!r}")

    def __str__(self) -> str:
        return f"{self.factor:g}std"


Stabilizer = float | Relative


@dataclass(frozen=True)
class Signed:
    """a ↦ positive·a⁺ + negative·a⁻: what most rules do to a weight, as numbers that can be reckoned with."""

    positive: float
    negative: float

    def __call__(self, xp: Backend, a: Array) -> Array:
        """The modified array."""
        up, down = self.positive, self.negative
        if up == down:
            return a if up == 1 else up * a
        if up == 0:
            return times(down, xp.minimum(a, 0.0))
        return times(up, xp.leaky(a, down / up) if down else xp.maximum(a, 0.0))

    def scaled(self, factor: float) -> Signed:
        """factor · what it gives."""
        return Signed(factor * self.positive, factor * self.negative)


def times(factor: float, a: Array) -> Array:
    """factor · a, without a pass for a factor of 1."""
    return a if factor == 1 else factor * a


identity = Signed(1, 1)  # unmodified
pos = Signed(1, 0)  # max(a, 0)
neg = Signed(0, 1)  # min(a, 0)


def square(_: Backend, a: Array) -> Array:
    """a²."""
    return a * a


def ones(xp: Backend, a: Array) -> Array:
    """1 everywhere."""
    return xp.ones_like(a)


def constant(bound: Bound) -> Modifier:
    """The same value for every input; a sequence has one entry per channel (axis 1)."""

    def modifier(xp: Backend, a: Array) -> Array:
        value = np.asarray(bound, np.float64)
        shape = xp.shape(a)
        if value.ndim == 1 and value.size > 1:
            value = value.reshape(-1, *(1,) * (len(shape) - 2))
        aligned = (1,) * (len(shape) - value.ndim) + value.shape
        if len(aligned) != len(shape) or any(v not in (1, n) for n, v in zip(shape[1:], aligned[1:])):
            raise CompositeError(f"bounds of shape {value.shape} do not fit an input of shape {tuple(shape)}")
        return xp.expand(xp.asarray(value), tuple(n if v == 1 else v for n, v in zip(shape, aligned)))

    return modifier


SIGNS: dict[Modifier, int] = {pos: 1, neg: -1, square: 1, ones: 1}


@dataclass(frozen=True)
class Term:
    """One summand of a part: what is done to the input, and what to the weight.

    ``fixed`` says that the modified input is the same for every sample, so that one is enough to compute its part of
    the denominator: true of ``constant(low)`` and of ``ones``, which read no more than the shape of x, and of nothing
    that looks at a value of x. For example, z^B's second term is ``Term(constant(low), Signed(-1, 0), fixed=True)``:
    of a batch of 64, Σ low·w⁺ is summed once.
    """

    input: Modifier
    weight: Modifier
    fixed: bool = False


@dataclass(frozen=True)
class Part:
    """Terms that share a denominator, and the outputs that it serves.

    ``gate`` names them by the layer's own output z = Wx + b (without b under ``bias="ignore"``): all, or those with
    z > 0 or z < 0. It chooses, it promises nothing: the denominator of a gated part may have either sign, and is
    stabilized by the sign that it has. For example, of the outputs z = (2, -1) with relevance R = (4, 6)

        Part((Term(identity, Signed(1.25, 1)),), bias=Signed(1.25, 1), gate="positive")

    serves the first one only: it hands 4 / st(z + 0.25 z⁺) back to the inputs of the first, and nothing of the 6.
    """

    terms: tuple[Term, ...]
    bias: Modifier | None = None
    scale: float = 1.0
    gate: Gate = "all"

    @property
    def is_model(self) -> bool:
        """Whether it is the layer as it stands: all outputs, each over itself."""
        return self == OUTPUT

    def slopes(self, nonnegative: bool = False) -> Signed | None:
        """(u, d) if the denominator is u·z⁺ + d·z⁻, the sums of positive and of negative contributions; else None.

        ``nonnegative`` says that the input has no negative entry.
        """
        found = {term.input: term.weight for term in self.terms}
        if set(found) == {identity} and nonnegative:
            slopes = found[identity]
        elif set(found) == {pos, neg} and len(self.terms) == 2:
            slopes = found[pos]
            if not isinstance(slopes, Signed) or found[neg] != Signed(slopes.negative, slopes.positive):
                return None
        else:
            return None
        return slopes if isinstance(slopes, Signed) and len(self.terms) == len(found) and self.bias == slopes else None

    def sign(self, nonnegative: bool = False) -> int:
        """1 or -1 if the denominator cannot have the other sign where the part serves an output; else 0.

        It follows from the terms. Of a gated part, u·z⁺ + d·z⁻ = d·z + (u - d)·z⁺ > 0 for z > 0 if u > d >= 0. With
        u = d it is z itself, which may cancel, so that ε must not be added before.
        """
        if self.gate != "all":
            slopes = self.slopes(nonnegative)
            if slopes is None:
                return 0
            large, small = slopes.positive, slopes.negative
            if self.gate == "negative":
                large, small = small, large
            return (1 if self.gate == "positive" else -1) if large > small >= 0 else 0
        inputs = SIGNS | {identity: int(nonnegative)}
        signs = {inputs.get(term.input, 0) * SIGNS.get(term.weight, 0) for term in self.terms}
        signs |= {SIGNS.get(self.bias, 0)} if self.bias is not None else set()
        return signs.pop() if len(signs) == 1 else 0


OUTPUT = Part((Term(identity, identity),), bias=identity)  # the layer itself


def _is_at_least_0(value: object) -> bool:
    return isinstance(value, Real) and bool(np.isfinite(float(value))) and float(value) >= 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Base of all rules; ``epsilon`` is the stabilizer ε in every denominator, ``bias="ignore"`` leaves biases out.

    ``epsilon`` may be a string such as ``"0.1std"``, a :class:`Relative` stabilizer.
    """

    epsilon: Stabilizer = 1e-6
    bias: Literal["absorb", "ignore"] = "absorb"

    def __post_init__(self) -> None:
        if isinstance(self.epsilon, str):
            object.__setattr__(self, "epsilon", _relative(self.epsilon, type(self).__name__))
        if not isinstance(self.epsilon, Relative) and not _is_at_least_0(self.epsilon):
            raise CompositeError(f"{type(self).__name__}: epsilon must be a number >= 0, not {self.epsilon!r}")
        if self.bias not in ("absorb", "ignore"):
            raise CompositeError(f"{type(self).__name__}: bias must be 'absorb' or 'ignore', not {self.bias!r}")

    def parts(self) -> tuple[Part, ...]:
        """What the rule does."""
        raise NotImplementedError

    @property
    def vanishes_at_zero(self) -> bool:
        """Whether an input of 0 always receives relevance 0 (not so for Flat, WSquare and ZBox)."""
        return all(term.input in (identity, pos, neg) for part in self.parts() for term in part.terms)

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self._settings())})"

    def _settings(self) -> list[tuple[str, object]]:
        fields = self.__dataclass_fields__.values()
        return [
            (f.name, v) for f in fields if (v := getattr(self, f.name)) is not f.default and not _equal(v, f.default)
        ]


def _relative(text: str, rule: str) -> Relative:
    """``0.1std``."""
    try:
        return Relative(float(text.removesuffix("std"))) if text.endswith("std") else float(text)  # type: ignore[return-value]
    except ValueError:
        raise CompositeError(f"{rule}: epsilon must be a number >= 0, or one before std, not {text!r:.80}") from None


def _equal(a: object, b: object) -> bool:
    if isinstance(a, Relative) or isinstance(b, Relative):
        return a == b
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


@dataclass(frozen=True)
class Epsilon(Rule):
    """R_j = x_j Σ_k w_jk R_k / (z_k + ε sign z_k) (Bach et al. 2015, eq. 58)."""

    epsilon: Stabilizer = 1e-6

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(identity, identity),), bias=identity),)


@dataclass(frozen=True)
class Zero(Epsilon):
    """LRP-0: Epsilon with ε = 0; an output of exactly 0 gives nothing (Bach et al. 2015, eq. 56)."""

    epsilon: Stabilizer = 0.0


@dataclass(frozen=True)
class Gamma(Rule):
    """Favours contributions of the output's own sign by γ (Montavon et al. 2019; signed: Andéol et al. 2021).

    Outputs z > 0 use x⁺(W+γW⁺) + x⁻(W+γW⁻), outputs z < 0 use x⁺(W+γW⁻) + x⁻(W+γW⁺); z = 0 gives nothing.
    """

    gamma: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _is_at_least_0(self.gamma):
            raise CompositeError(f"Gamma: gamma must be a number >= 0, not {self.gamma!r}")

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        up, down = Signed(1 + self.gamma, 1), Signed(1, 1 + self.gamma)
        return (
            Part((Term(pos, up), Term(neg, down)), bias=up, gate="positive"),
            Part((Term(pos, down), Term(neg, up)), bias=down, gate="negative"),
        )


@dataclass(frozen=True)
class AlphaBeta(Rule):
    """α times the positive contributions minus β times the negative ones, α − β = 1 (Bach et al. 2015, eq. 60)."""

    alpha: float = 2.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = _is_at_least_0(self.alpha) and _is_at_least_0(self.beta)
        if not numbers or self.alpha < 1 or abs(self.alpha - self.beta - 1) >= 1e-9:
            raise CompositeError(f"AlphaBeta: alpha - beta must be 1 and beta >= 0, not {self.alpha} and {self.beta}")

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        activating = Part((Term(pos, pos), Term(neg, neg)), bias=pos, scale=self.alpha)
        inhibiting = Part((Term(pos, neg), Term(neg, pos)), bias=neg, scale=-self.beta)
        return (activating, inhibiting) if self.beta else (activating,)


@dataclass(frozen=True)
class ZPlus(Rule):
    """Positive contributions only: AlphaBeta with α = 1, β = 0 (Montavon et al. 2017, z⁺-rule)."""

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(pos, pos), Term(neg, neg)), bias=pos),)


@dataclass(frozen=True)
class ZBox(Rule):
    """For inputs bounded by low ≤ x ≤ high, such as pixels (Montavon et al. 2017, z^B-rule); the bias cancels.

    ``low`` and ``high`` are numbers, one number per channel, or arrays that broadcast to the input.
    """

    low: Bound = 0.0
    high: Bound = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            low, high = np.asarray(self.low, float), np.asarray(self.high, float)
        except (TypeError, ValueError):
            raise CompositeError(f"ZBox: low and high must be numbers, not {self.low!r} and {self.high!r}") from None
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
            raise CompositeError(f"ZBox: low must be at most high, both finite, not low={self.low}, high={self.high}")

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        below, above = constant(self.low), constant(self.high)
        terms = (
            Term(identity, identity),
            Term(below, Signed(-1, 0), fixed=True),
            Term(above, Signed(0, -1), fixed=True),
        )
        return (Part(terms),)


@dataclass(frozen=True)
class WSquare(Rule):
    """By squared weight, whatever the input (Montavon et al. 2017, w²-rule); ``square_bias`` adds b² below."""

    square_bias: bool = False

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(ones, square, fixed=True),), bias=square if self.square_bias else None),)


@dataclass(frozen=True)
class Flat(Rule):
    """In equal shares to every input that an output sees (Lapuschkin et al. 2019)."""

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return (Part((Term(ones, ones, fixed=True),)),)


@dataclass(frozen=True)
class Pass(Rule):
    """Relevance unchanged: only for maps that keep the shape, such as an unmerged BatchNormalization."""

    def parts(self) -> tuple[Part, ...]:  # noqa: D102
        return ()

    @property
    def vanishes_at_zero(self) -> bool:
        """A zero input may stand for a non-zero output, whose relevance it takes."""
        return False
