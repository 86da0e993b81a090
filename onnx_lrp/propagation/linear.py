"""The formula: any rule on any linear map, as Montavon et al. 2019 write it, and nothing that makes it faster.

For each part of a rule, with a_j the input, w_jk the weight, b_k the bias, R_k the relevance of the output, and a tilde
for what the part does to them::

    z_k = Σ_terms map(ã_j, w̃_jk) + b̃_k         step 1, forward
    s_k = scale · gate(R_k) / st(z_k)           step 2, st(z) = z + ε sign(z) with sign(0) = +1
    c_j = mapᵀ(s_k, w̃_jk)                       step 3, backward
    R_j = Σ_terms ã_j c_j                       step 4

This is what runs where facts are off, on every backend: :mod:`.shortcuts` has to give the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..backends.base import Array, Backend
from ..ops import LinearMap
from ..rules import OUTPUT, Part, Relative, Rule, Stabilizer


@dataclass(frozen=True)
class LinearRelevance:
    """One layer at a recorded activation, under a rule; ``b``, if there is one, broadcasts to the output."""

    xp: Backend
    map: LinearMap
    rule: Rule
    a: Array
    w: Array
    b: Array | None = None

    def relevance(self, r: Array) -> Array:
        """R_j of the input, from R_k of the output."""
        return total(ac for part in self.rule.parts() for ac in self.contributions(part, r))

    def contributions(self, part: Part, r: Array) -> list[Array]:
        """ã_j c_j of each term of one part."""
        s = part.scale * quotient(self.xp, self.gated(part, r), self.denominator(part), self.rule.epsilon)
        c = [self.map.transpose(self.xp, s, t.weight(self.xp, self.w), self.xp.shape(self.a)) for t in part.terms]
        return [t.input(self.xp, self.a) * c_j for t, c_j in zip(part.terms, c)]

    def denominator(self, part: Part) -> Array:
        """z_k, not stabilized yet."""
        xp = self.xp
        z = total(self.map.forward(xp, t.input(xp, self.a), t.weight(xp, self.w)) for t in part.terms)
        without = part.bias is None or self.b is None or self.rule.bias == "ignore"
        return z if without else z + part.bias(xp, self.b)  # type: ignore[misc]

    def gated(self, part: Part, r: Array) -> Array:
        """R_k where the part serves it: everywhere, or where the layer's own output is above (below) 0."""
        if part.gate == "all":
            return r
        z = self.denominator(OUTPUT)
        return self.xp.where(z > 0 if part.gate == "positive" else z < 0, r, 0.0)


def quotient(xp: Backend, r: Array, z: Array, epsilon: Stabilizer) -> Array:
    """R / st(z); where ε = 0, an output of 0 hands on nothing."""
    if isinstance(epsilon, Relative):
        d = xp.abs(z) + epsilon.factor * deviation(xp, z)
        z, epsilon = xp.where(z < 0, -d, d), 0.0
    if epsilon == 0:
        return xp.where(z == 0, 0.0, r / xp.where(z == 0, 1.0, z))
    return r / xp.stabilize(z, epsilon)


def deviation(xp: Backend, z: Array) -> Array:
    """The standard deviation of each sample's entries, in a shape that broadcasts to z."""
    shape = xp.shape(z)
    axes = list(range(1, len(shape)))
    count = math.prod(shape[axis] for axis in axes)
    centred = z - xp.sum(z, axes, keepdims=True) * (1.0 / count)
    return xp.elementwise("Sqrt", xp.sum(centred * centred, axes, keepdims=True) * (1.0 / count))


def total(summands: Iterable[Array]) -> Array:
    """The sum of at least one array."""
    first, *others = summands
    for summand in others:
        first = first + summand
    return first
