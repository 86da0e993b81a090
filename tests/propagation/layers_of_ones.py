"""Layers of ones, by what a shortcut looks at: the rule's parts, and what is claimed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from layers import CASES, NUMPY, Own

from onnx_lrp import Part, Term
from onnx_lrp.propagation.fast import Claims, FastRelevance, LayerWeights
from onnx_lrp.propagation.linear import LinearRelevance
from onnx_lrp.rules import Signed, identity


@dataclass(frozen=True)
class Setting:
    """A layer's rule and claims, as far as shortcuts look at them."""

    parts: tuple[Part, ...]
    epsilon: float = 0.25
    bias: Any = "absorb"
    has_bias: bool = True
    nonnegative: bool = True
    masked: bool = False
    at_hand: bool = True
    over: bool = False
    case: str = "conv"

    def layer(self) -> FastRelevance:
        case = CASES[self.case]
        rule = Own("own", self.parts, epsilon=self.epsilon, bias=self.bias)
        a, w, b = np.ones(case.x), np.ones(case.w), np.ones(case.b or ()) if self.has_bias else None
        layer = LinearRelevance(NUMPY, case.map, rule, a, w, b)
        claims = Claims(self.nonnegative, self.masked, np.ones(case.z) if self.at_hand else None)
        return FastRelevance(layer, claims, LayerWeights(w, b), self.over)


def signed(up: float, down: float, gate: Any = "all", **settings: Any) -> Part:
    """One term that weighs the signs of the weight."""
    by = Signed(up, down)
    return Part((Term(identity, by),), **{"bias": by, "gate": gate, **settings})


def only(part: Part, **changes: Any) -> tuple[Part, ...]:
    return (replace(part, **changes),)
