"""What can be chosen of a composite, one thing after the other, and the composite that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..composites import CONVOLUTION, DENSE, Bounded, Composite, Entry, Selector, preset
from ..composites.library import DENSE_HEAD, INPUT
from ..rules import Bound, Epsilon, Flat, Gamma, Rule, WSquare, ZPlus

NAME = "tuned"
SUMS = ("Add", "Sub", "Sum", "Mean")  # what merges tensors
MIDDLE = 0.5  # of the depth, where the upper half begins


@dataclass(frozen=True)
class Recipe:
    """All choices; as they stand by default they are the preset ``default``.

    Attributes:
        low: the least value of the model's input, or one per channel, where it is known.
        high: the largest.
        heads: whether a convolution of a map of one pixel to such a map counts as dense.
        first: the rule of the first layers: ``"box"`` (z^B where bounds are known), a rule, or None for what such a
            layer gets anywhere.
        seed: what relevance starts with.
        bias: ``"absorb"`` or ``"ignore"``.
        merges: the rule of sums of tensors.
        lower: of convolutions up to the middle of the depth.
        upper: of convolutions above.
        dense: of dense layers, but for the last.
    """

    low: Bound | None = None
    high: Bound | None = None
    heads: bool = True
    first: Rule | str | None = "box"
    seed: str = "logit"
    bias: str = "absorb"
    merges: Rule = field(default_factory=Epsilon)
    lower: Rule = field(default_factory=ZPlus)
    upper: Rule = field(default_factory=ZPlus)
    dense: Rule = field(default_factory=Epsilon)

    def composite(self) -> Composite:
        """What it comes to."""
        if self == Recipe(self.low, self.high):
            return preset("default", **{k: v for k, v in (("low", self.low), ("high", self.high)) if v is not None})
        made = Composite(NAME, (*self._below(), *self._between()), Epsilon(), self.seed)
        return made if self.bias == "absorb" else made.with_bias(self.bias)

    def _below(self) -> list[Entry]:
        """The first layers, and what is dense in effect."""
        first = Bounded(self.low, self.high) if isinstance(self.first, str) else self.first
        below: list[Entry] = [] if first is None else [(INPUT, first)]
        return [*below, (DENSE_HEAD, Epsilon())] if self.heads else below

    def _between(self) -> list[Entry]:
        """Convolutions, dense layers, merges: an entry for each that differs from what stands behind it."""
        found: list[Entry] = []
        if self.lower != self.upper:
            found.append((Selector(CONVOLUTION, depth=(0.0, MIDDLE), strict=False), self.lower))
        found.append((Selector(CONVOLUTION, strict=False), self.upper))
        if self.dense != Epsilon():
            found.append((Selector(DENSE, place="head", strict=False), Epsilon()))
        found.append((Selector(DENSE, strict=False), self.dense))
        if self.merges != Epsilon():
            found.append((Selector(SUMS, strict=False), self.merges))
        return found


@dataclass(frozen=True)
class Stage:
    """One thing to choose: what each choice changes of a recipe, by what it is called."""

    name: str
    choices: Mapping[str, Mapping[str, Any]]

    def recipes(self, recipe: Recipe) -> dict[str, Recipe]:
        """All choices made in turn."""
        return {name: replace(recipe, **changes) for name, changes in self.choices.items()}


def _rules(*fields: str, rules: dict[str, Rule]) -> dict[str, dict[str, Rule]]:
    return {name: dict.fromkeys(fields, rule) for name, rule in rules.items()}


def _gammas(*numbers: float) -> dict[str, Rule]:
    return {f"Gamma {number:g}": Gamma(number) for number in numbers}


EPSILON: dict[str, Rule] = {"Epsilon": Epsilon()}
ZONE: dict[str, Rule] = {"ZPlus": ZPlus(), **_gammas(1.0, 0.5, 0.25, 0.1), **EPSILON}
STAGES = (
    Stage("head", {"dense in effect": {"heads": True}, "by op type": {"heads": False}}),
    Stage(
        "input",
        {"ZBox": {"first": "box"}, "Flat": {"first": Flat()}, "WSquare": {"first": WSquare()}, "none": {"first": None}},
    ),
    Stage("seed", {"logit": {"seed": "logit"}, "odds": {"seed": "odds"}}),
    Stage("bias", {"absorb": {"bias": "absorb"}, "ignore": {"bias": "ignore"}}),
    Stage("merges", _rules("merges", rules=EPSILON | _gammas(1.0, 0.25))),
    Stage("convolutions", _rules("lower", "upper", rules=ZONE)),
    Stage("lower half", _rules("lower", rules=ZONE)),
    Stage("upper half", _rules("upper", rules=ZONE)),
    Stage("dense layers", _rules("dense", rules=EPSILON | _gammas(0.25, 0.05))),
)
