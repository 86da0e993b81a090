"""What is compared: LRP by several composites, and other methods, each made ready for a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..composites import Composite
from ..errors import CompositeError, TargetError, names_of, require_whole
from ..explainer import Explainer
from ..explanation import Explanation
from ..model.loading import Source
from ..text import nearest
from .methods import METHODS, Attribute, method
from .predictor import Parts, predictor, single_input

Composites = str | Composite | Iterable[str | Composite] | Mapping[str, str | Composite]


@dataclass(frozen=True)
class Contender:
    """A method made ready for one model; ``explainer`` is that of LRP, None of the others."""

    name: str
    attribute: Attribute
    note: str = ""
    explainer: Explainer | None = None


@dataclass(frozen=True)
class Contenders:
    """All methods of one evaluation.

    Attributes:
        composites: of LRP, by what they are called.
        against: names of other methods.
        seed: the relevance that LRP starts with; None for each composite's own.
        options: of every Explainer.
        random_seed: of methods that draw numbers.
    """

    composites: Mapping[str, Composite]
    against: tuple[str, ...]
    seed: str | None
    options: Mapping[str, Any]
    random_seed: int = 0

    @classmethod
    def of(
        cls,
        composites: Composites,
        against: str | Iterable[str],
        seed: Any,
        options: Mapping[str, Any],
        random_seed: int = 0,
    ) -> Contenders:
        """Check names and the seed of what is drawn before anything is computed.

        Raises:
            CompositeError: none is given, one twice, or an unknown one.
            TargetError: the seed is an array.
            InputError: nothing can be drawn by the other one.
        """
        require_whole(random_seed, "random_seed", 0)
        if isinstance(composites, Mapping):
            names, listed = list(composites), list(composites.values())
        else:
            listed = [composites] if isinstance(composites, str | Composite) else list(composites)
            names = [c if isinstance(c, str) else Composite.parse(c).name for c in listed]
        others = names_of(against, "against", CompositeError)
        unknown = [name for name in others if name not in METHODS]
        if unknown:
            meant = nearest(unknown[0], METHODS)
            raise CompositeError(f"no method {unknown[0]!r} to compare with{meant}; there are {', '.join(METHODS)}")
        if not names or len({*names, *others}) < len(names) + len(others):
            raise CompositeError("give at least one composite" if not names else "a method is given twice")
        if not isinstance(seed, str | None):
            raise TargetError("evaluate starts from a word such as 'logit' or 'one', not from an array")
        return cls(dict(zip(names, map(Composite.parse, listed))), others, seed, options, random_seed)

    @property
    def names(self) -> tuple[str, ...]:
        """The first is what the others are compared with."""
        return (*self.composites, *self.against)

    def identity(self, name: str) -> str:
        """What distinguishes a method from others that were once called the same."""
        return str(self.composites.get(name, name))

    def explainer(self, model: Source, composite: Composite | None = None) -> Explainer:
        """Of a model, by default under the first composite."""
        return Explainer(model, composite or next(iter(self.composites.values())), **self.options)

    def build(self, name: str, model: Source) -> Contender:
        """Make one ready for a model.

        Raises:
            OnnxLrpError: as for the Explainer, or the method has no meaning for this model.
        """
        if name in self.composites:
            explainer = self.explainer(model, self.composites[name])
            return Contender(name, lrp_attribution(explainer, self.seed), explainer=explainer)
        explainer = self.explainer(model)
        made = method(name, explainer, predictor(explainer), self.random_seed)
        return Contender(name, made.attribute, made.note)


def lrp_attribution(explainer: Explainer, seed: str | None) -> Attribute:
    """Relevance of a model's one input, part by part, float64."""
    parts = Parts.of(single_input(explainer.prepared))

    def attribute(x: np.ndarray, targets: np.ndarray) -> np.ndarray:
        def one(inputs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
            return _relevance(explainer(inputs, wanted, seed=seed))

        return parts.run(one, x, targets)

    return attribute


def _relevance(explanation: Explanation) -> np.ndarray:
    (relevance,) = explanation.inputs.values()
    return relevance.astype(np.float64)
