"""The base of all rules, with what every denominator has: a stabilizer, and the bias."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np

from ..errors import CompositeError
from .modifiers import identity, neg, pos
from .parts import Part


@dataclass(frozen=True)
class Relative:
    """A stabilizer ε in units of z: ``factor`` times the standard deviation of z over a sample.

    In Montavon et al. 2019 (section 10.2.3) ε is given so: 0.25 std. A sample is everything behind the first axis of z,
    also where a model has moved its samples to another one (then nothing is compiled).
    """

    factor: float

    def __post_init__(self) -> None:
        if not is_at_least_0(self.factor):
            raise CompositeError(f"a relative stabilizer must be a number >= 0 before std, not {self.factor!r}")

    def __str__(self) -> str:
        return f"{self.factor:g}std"


Stabilizer = float | Relative


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
        if not isinstance(self.epsilon, Relative) and not is_at_least_0(self.epsilon):
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


def is_at_least_0(value: object) -> bool:
    """Whether it is a finite number, not below 0."""
    return isinstance(value, Real) and bool(np.isfinite(float(value))) and float(value) >= 0
